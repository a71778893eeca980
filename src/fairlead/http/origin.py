"""Where a connection leads: scheme, host, port, and how to get and prove the way there.

It knows the rules of a valid origin. It must not know how to connect (dial) nor when (pool).
"""

import base64
from urllib.parse import unquote, urlsplit

import msgspec

PORTS = {"http": 80, "https": 443}
"""The schemes that we speak, with the ports that a `Host` field leaves out."""


class Origin(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """One upstream as the client sees it; equal origins share one pool. ValueError: not an origin.

    `ca` is a PEM file whose certificates are trusted instead of the system's roots, `client_cert` a PEM file with our
    certificate and its key, `proxy` an `http://[user:password@]host:port` that is asked to CONNECT.
    """

    scheme: str
    host: str
    port: int
    ca: str | None = None
    client_cert: str | None = None
    proxy: str | None = None
    max_connections: int = 512
    max_waiting: int = 1024
    """Requests that may wait for one of those connections; the next one fails at once."""

    def __post_init__(self) -> None:
        if self.scheme not in PORTS:
            raise ValueError(f"origin scheme {self.scheme!r} is neither 'http' nor 'https'")
        if not self.host or not self.host.isascii() or not self.host.isprintable() or " " in self.host:
            raise ValueError(f"origin host {self.host!r} is not a host name; write it in ASCII (punycode)")
        if set(self.host) & set("/@?#"):
            raise ValueError(f"origin host {self.host!r} is not a host name; give scheme and path apart")
        if not 0 < self.port < 65536:
            raise ValueError(f"origin port {self.port!r} is not between 1 and 65535")
        if self.max_connections < 1:
            raise ValueError(f"max_connections {self.max_connections!r} leaves no connection; use 1 or more")
        if self.proxy is not None:
            proxy_of(self.proxy)

    @classmethod
    def of(
        cls,
        url: str,
        *,
        ca: str | None = None,
        client_cert: str | None = None,
        proxy: str | None = None,
        max_connections: int = 512,
    ) -> "Origin":
        """Where `url` leads; its path is left out. ValueError: nowhere."""
        parts = urlsplit(url)
        return cls(
            scheme=parts.scheme,
            host=parts.hostname or "",
            port=parts.port or PORTS.get(parts.scheme, 0),
            ca=ca,
            client_cert=client_cert,
            proxy=proxy,
            max_connections=max_connections,
        )

    @property
    def address(self) -> str:
        """The host as `getaddrinfo` and certificates have it: an IPv6 literal without brackets."""
        return self.host.removeprefix("[").removesuffix("]")

    @property
    def authority(self) -> str:
        """`host:port`, with brackets around an IPv6 literal."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    @property
    def host_field(self) -> str:
        """The value of `Host`: the authority, less the scheme's own port."""
        if self.port == PORTS[self.scheme]:
            return self.authority.rpartition(":")[0]
        return self.authority


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int
    authorization: str | None = None
    """The value of `Proxy-Authorization`."""


def proxy_of(url: str) -> Proxy:
    """Read a proxy's URL. ValueError: not one; the message leaves user and password out."""
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.hostname}"
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"proxy {place!r} is not supported; use http://[user:password@]host:port")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"proxy {place!r} has a path; use http://[user:password@]host:port")
    authorization = None
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        authorization = "Basic " + base64.b64encode(user).decode()
    return Proxy(host=parts.hostname, port=parts.port or 80, authorization=authorization)
