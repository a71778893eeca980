"""The demo: which faults its three fake providers have, and the configuration that routes over them.

It knows the configuration's text. It must not know how the gateway reads it.
"""

from collections.abc import Mapping

from fairlead.fakes.script import Pace, Script

CLIENT_KEY = "fl-demo"
PROVIDER_KEYS: dict[str, str | None] = {
    "openai": "sk-fake-openai",
    "anthropic": "sk-ant-fake-anthropic",
    "self_hosted": None,
}
SCRIPTS: dict[str, Script] = {
    "openai": Script.of(
        "429:1",  # so that the very first request shows a fallback
        rates={"429:1": 0.25, "503": 0.10, "500": 0.05},
        pace=Pace(first=0.15, interval=0.02, jitter=0.5),
    ),
    "anthropic": Script.of(rates={"529": 0.15, "429:1": 0.10}, pace=Pace(first=0.2, interval=0.02, jitter=0.5)),
    "self_hosted": Script.of(rates={"503": 0.05}, pace=Pace(first=0.05, interval=0.03, jitter=0.5)),
}
"""What each fake does to its requests."""

CONFIG = """\
# The demo's configuration. Its providers are fakes on this machine: they echo, and they fail on purpose.
providers:
  openai:      {{kind: openai, base_url: "http://127.0.0.1:{openai}/v1", api_key: sk-fake-openai}}
  anthropic:   {{kind: anthropic, base_url: "http://127.0.0.1:{anthropic}/v1", api_key: sk-ant-fake-anthropic}}
  self-hosted: {{kind: openai, base_url: "http://127.0.0.1:{self_hosted}/v1", self_hosted: true}}

routes:
  - model: chat
    select: priority
    deployments:
      - {{use: openai/gpt-4o-mini, priority: 1}}
      - {{use: anthropic/claude-haiku-4-5, priority: 2}}
      - {{use: self-hosted/llama-3.3-70b, priority: 3}}
    retry:    {{attempts: 1, backoff: {{base: 100ms, cap: 1s}}}}
    timeout:  {{total: 60s, connect: 2s, first_token: 10s, idle: 15s}}
    cooldown: {{after: 5, for: 5s}}

keys:
  - {{name: demo, key: fl-demo}}
"""


def demo_config(ports: Mapping[str, int]) -> str:
    """The demo's `fairlead.yaml` for fakes on `ports`, by dialect name (as `fakes.process` prints them)."""
    return CONFIG.format(**ports)
