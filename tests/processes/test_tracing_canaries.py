"""X20 and X21 for what leaves by OTLP: no secret ever, and texts only of a tenant that wants them told."""

import json
import urllib.parse
from pathlib import Path

import pytest
from tests.processes.family import Family, fetch
from tests.processes.tenants import fake_provider, tenants
from tests.processes.test_canaries import CANARIES, traces
from tests.rotel import Rotel, rotel

TEXTS = {name: f"canary-{number}-text-of-{name}" for number, name in enumerate(("open", "closed", "user", "note"), 40)}
KEYS = {"open": CANARIES["client"], "closed": CANARIES["clientvault"]}
SMALL = CANARIES["admin"]
"""The key of a tenant that may ask once an hour."""


def config(provider: int, collector: str, content: str) -> str:
    """`content` is what the tenant `open` says of its texts; the route `bad` leads nowhere."""
    return f"""
server: {{drain: 1s}}
providers:
  good: {{kind: openai, base_url: "http://127.0.0.1:{provider}/v1", api_key: "{CANARIES["literal"]}"}}
  bad: {{kind: openai, base_url: "http://127.0.0.1:1/v1", api_key: env://CANARY_ENV}}
routes:
  - {{model: chat, deployments: [good/m]}}
  - {{model: bad, deployments: [bad/m], retry: {{attempts: 0}}}}
tiers: {{one: {{requests: {{limit: 1, per: 1h}}}}}}
tenants: {{open: {content}, closed: {{}}, small: {{tier: one}}}}
keys:
  - {{name: a, tenant: open, key: "{KEYS["open"]}"}}
  - {{name: b, tenant: closed, key: "{KEYS["closed"]}"}}
  - {{name: c, tenant: small, key: "{SMALL}"}}
observability: {{otlp: "{collector}", headers: {{x-token: env://CANARY_HEADER}}}}
"""


def ask(family: Family, key: str, body: bytes, query: str = "") -> None:
    headers = {
        "authorization": f"Bearer {key}",
        "x-secret": CANARIES["file"],
        "x-fairlead-metadata": json.dumps({"note": TEXTS["note"]}),
    }
    fetch(f"{family.url}/v1/chat/completions{query}", body, headers)


def body(model: str, text: str, *, stream: bool = False) -> bytes:
    messages = [{"role": "user", "content": text}]
    return json.dumps({"model": model, "stream": stream, "user": TEXTS["user"], "messages": messages}).encode()


def ask_everything(family: Family, collector: Rotel) -> bytes:
    """Well and badly, whole and as streams; what the collector was told of it."""
    asked = [
        (key, body(model, TEXTS[name], stream=stream))
        for name, key in KEYS.items()
        for model in ("chat", "bad", "none")
        for stream in (False, True)
    ]
    asked += [(key, body("chat", TEXTS["closed"])) for key in (CANARIES["stranger"], SMALL, SMALL)]
    asked += [(KEYS["closed"], b'{"model": "chat", "api_key": "' + CANARIES["bad"].encode() + b'", "messages": 7}')]
    for key, content in asked:
        ask(family, key, content)
    ask(family, KEYS["open"], body("chat", TEXTS["closed"]), f"?key={urllib.parse.quote(CANARIES['query'])}")
    told = collector.until(
        lambda told: told.count("fairlead.request: Str(") == len(asked) + 1 and "gen_ai.client.token.usage" in told
    )
    return told.encode()


def told_of(tmp_path: Path, content: str) -> bytes:
    """Everything that the collector was told."""
    with fake_provider() as port, rotel(tmp_path) as collector:
        with tenants(tmp_path, config(port, collector.http, content)) as family:
            told = ask_everything(family, collector)
        assert traces("".join(family.raw).encode(), CANARIES | TEXTS) == []
    return told


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "CANARY_ENV": CANARIES["env"],
        "CANARY_HEADER": CANARIES["header"],
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
    }.items():
        monkeypatch.setenv(name, value)


def test_x20_x21_neither_a_secret_nor_a_text_is_in_a_span_or_a_metric(tmp_path: Path) -> None:
    told = told_of(tmp_path, "{}")
    for code in (b"invalid_api_key", b"model_not_found", b"rate_limit_exceeded"):
        assert b"error.type: Str(" + code in told
    assert traces(told, CANARIES | TEXTS) == []


def test_x21_texts_are_told_of_the_tenant_that_wants_it_and_of_no_other(tmp_path: Path) -> None:
    told = told_of(tmp_path, "{content: on}")
    assert traces(told, CANARIES | TEXTS) == ["open"]
    assert told.count(b"gen_ai.output.messages") == 2
