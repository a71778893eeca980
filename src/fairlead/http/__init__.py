"""HTTP/1.1, both sides: `server` answers clients, `client` asks upstreams. Neither knows a model."""
