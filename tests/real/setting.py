"""What the tests of this folder share: the gateway's configuration over our fakes, and how to drive a fake.

A test that makes a provider fail asks for models of its own (`lone`), so that no test meets the health that another
one left behind. All others share the wildcard routes.
"""

import itertools
import json
import urllib.request
from typing import Any

KEY = "fl-test-key-for-the-real-tests"
PROVIDER_KEY = "sk-the-providers-own-key"
NUMBERS = itertools.count()
LONE_NAMES = 150
"""For so many tests there are deployments of their own."""

ROUTES = {
    "openai": ["openai/*"],
    "claude": ["anthropic/*"],
    "old-claude": ["anthropic-old/*"],
    "self": ["self-hosted/*"],
    "chain": ["openai/*", "anthropic/*", "self-hosted/*"],
    "reverse": ["anthropic/*", "openai/*"],
    "poor-openai": ["openai-poor/*"],
    "wrong-key-openai": ["openai-wrong-key/*"],
    "wrong-key-claude": ["anthropic-wrong-key/*"],
}
"""Routes by prefix: deployments in the order in which they are tried. Each has a twin `once-`: without retries."""
LONE_PREFIXES = ("openai", "claude", "self", "chain", "reverse")
BEHIND = {"openai": "openai", "claude": "anthropic", "old-claude": "anthropic", "self": "self_hosted"}
"""Which fake a prefix leads to first."""


def config(ports: dict[str, int]) -> str:
    """The tests' `fairlead.yaml`, as JSON, which is YAML too."""
    openai_url, anthropic_url, self_url = (
        f"http://127.0.0.1:{ports[name]}/v1" for name in ("openai", "anthropic", "self_hosted")
    )
    return json.dumps(
        {
            "server": {"drain": "5s"},
            "providers": {
                "openai": {"kind": "openai", "base_url": openai_url, "api_key": PROVIDER_KEY},
                "anthropic": {"kind": "anthropic", "base_url": anthropic_url, "api_key": PROVIDER_KEY},
                "openai-poor": {"kind": "openai", "base_url": openai_url, "api_key": PROVIDER_KEY},
                "openai-wrong-key": {"kind": "openai", "base_url": openai_url, "api_key": "sk-wrong"},
                "anthropic-wrong-key": {"kind": "anthropic", "base_url": anthropic_url, "api_key": "sk-wrong"},
                "anthropic-old": {
                    "kind": "anthropic",
                    "base_url": anthropic_url,
                    "api_key": PROVIDER_KEY,
                    "api_version": "2023-06-01",
                },
                "self-hosted": {"kind": "openai", "base_url": self_url, "self_hosted": True, "auth": "none"},
            },
            "routes": [
                _route(f"{twin}{prefix}-{name}", [use.replace("*", _model(prefix, name)) for use in uses], retries)
                for prefix, uses in ROUTES.items()
                for name in ("*", *(f"lone{number}" for number in range(LONE_NAMES) if prefix in LONE_PREFIXES))
                for twin, retries in (("", 1), ("once-", 0))
            ],
            "keys": [{"name": "tests", "key": KEY}],
        }
    )


def _model(prefix: str, name: str) -> str:
    return "*" if name == "*" else f"{prefix}-{name}"


def _route(model: str, deployments: list[str], retries: int) -> dict[str, Any]:
    return {
        "model": model,
        "select": "priority",
        "deployments": [{"use": use, "priority": rank} for rank, use in enumerate(deployments, 1)],
        "retry": {"attempts": retries, "backoff": {"base": "20ms", "cap": "50ms"}},
        "timeout": {"total": "20s", "connect": "2s", "first_token": "2s", "idle": "2s"},
    }


class Fake:
    """One fake provider, as told and asked over its control paths."""

    def __init__(self, port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"

    def script(self, *faults: str) -> None:
        """Faults for its next requests, one each."""
        self._control("POST", "script", {"sequence": faults})

    def pace(self, **pace: float) -> None:
        self._control("POST", "script", {"pace": pace})

    def log(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._control("GET", "log")
        return found

    def open(self) -> int:
        return int(self._control("GET", "open")["open"])

    def reset(self) -> None:
        self._control("POST", "script", {"pace": {}})
        self._control("DELETE", "log")

    def _control(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.origin}/__fake/{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())


Fakes = dict[str, Fake]
