"""The files that the cast reads: nginx as provider and as plain proxy, the gateway's configuration, the bodies."""

import json

KEY = "bench-key-0123456789-abcdefghij"

_NGINX = """
daemon off; worker_processes 1; pid @folder@/nginx.pid; worker_rlimit_nofile 16384;
events { worker_connections 8192; }
http {
  access_log off; default_type application/json; keepalive_requests 100000000; keepalive_timeout 300s;
  client_body_buffer_size 64k; client_max_body_size 4m;
  client_body_temp_path @folder@/body; proxy_temp_path @folder@/proxy;
  fastcgi_temp_path @folder@/fastcgi; uwsgi_temp_path @folder@/uwsgi; scgi_temp_path @folder@/scgi;
"""

PROVIDER = (
    _NGINX
    + """
  server { listen 127.0.0.1:@port@ backlog=4096; location / { return 200 '@answer@'; } }
}
"""
)

PROXY = (
    _NGINX
    + """
  upstream canned { server 127.0.0.1:@canned@; keepalive 1024; keepalive_requests 100000000; }
  upstream paced { server 127.0.0.1:@paced@; keepalive 1024; keepalive_requests 100000000; }
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Authorization "Bearer provider-secret";
  server { listen 127.0.0.1:@port@ backlog=4096; location / { proxy_pass http://canned; } }
  server { listen 127.0.0.1:@streaming@ backlog=4096; location / { proxy_pass http://paced; proxy_buffering off; } }
}
"""
)

FAIRLEAD = """
server: {{listen: 127.0.0.1:{port}, workers: 1}}
admin: {{listen: 127.0.0.1:{admin}}}
data: {data}
providers:
  left: {{kind: openai, base_url: "http://127.0.0.1:{canned}/v1", api_key: env://BENCH_PROVIDER_KEY}}
  right: {{kind: openai, base_url: "http://127.0.0.1:{canned}/v1", api_key: env://BENCH_PROVIDER_KEY}}
  paced: {{kind: openai, base_url: "http://127.0.0.1:{paced}/64x20/v1", api_key: env://BENCH_PROVIDER_KEY}}
  brisk: {{kind: openai, base_url: "http://127.0.0.1:{paced}/2x1/v1", api_key: env://BENCH_PROVIDER_KEY}}
  claude: {{kind: anthropic, base_url: "http://127.0.0.1:{paced}/64x20/v1", api_key: env://BENCH_PROVIDER_KEY}}
routes:
  - model: chat
    deployments:
      - {{use: left/canned, weight: 3}}
      - {{use: right/canned, weight: 1}}
    select: weighted
    retry: {{attempts: 2, backoff: {{base: 200ms, cap: 8s, jitter: full}}, on: [429, 5xx, timeout, connect]}}
  - {{model: paced, deployments: [paced/canned]}}
  - {{model: brisk, deployments: [brisk/canned]}}
  - {{model: translated, deployments: [claude/canned]}}
keys:
  - {{name: bench, key: env://BENCH_CLIENT_KEY}}
"""


def canned_answer() -> str:
    """A whole answer of about 1 kB with usage; free of single quotes and dollars, which nginx would read."""
    text = "A lantern is a light in a case that keeps the wind out and lets the light through. " * 5
    answer = {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion",
        "created": 1741569952,
        "model": "canned",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 187,
            "completion_tokens": 96,
            "total_tokens": 283,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": "fp_fc9f1d7035",
    }
    return json.dumps(answer)


def chat_body(size: int) -> bytes:
    """A chat request of `size` bytes: a system message, a few turns, and text to fill it."""
    sentence = 'The ship "Fairlead" ran her line through the ring,\nand the line held. '
    messages = [{"role": "system", "content": "You answer in one sentence."}, {"role": "user", "content": ""}]
    request = {"model": "chat", "temperature": 0.2, "max_tokens": 256, "messages": messages}
    while len(json.dumps(request)) + len(json.dumps(sentence)) - 2 <= size:
        messages[1]["content"] += sentence
    messages[1]["content"] += "." * (size - len(json.dumps(request)))
    return json.dumps(request).encode()
