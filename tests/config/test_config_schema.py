"""The JSON Schema accepts what binding accepts and refuses unknown keys."""

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fairlead.config.bind import bind
from fairlead.config.model import Config
from fairlead.config.problems import Findings
from fairlead.config.schema import json_schema, written
from fairlead.config.shape import record_of

SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
FULL = """
server: {listen: 127.0.0.1:4000, workers: 1, max_body: 32MiB, drain: 600s, tls: {cert: /c, key: /k}}
admin: {listen: '[::1]:4001', key: env://FAIRLEAD_ADMIN_KEY}
data: ./.fairlead
database: null
state: local
providers:
  openai: {api_key: env://OPENAI_API_KEY}
  plain:
  box: {kind: openai, base_url: http://10.0.0.5:8000/v1, region: eu, self_hosted: true, auth: none, headers: {x-a: b}}
routes:
  - model: chat
    deployments:
      - {use: openai/gpt-4o-mini, weight: 3}
      - groq/openai/gpt-oss-120b
      - {use: box/llama, priority: 2, context: 128k, price: {input: '0.1', output: '2'}, tools: true}
    select: weighted
    retry: {attempts: 2, backoff: {base: 200ms, cap: 8s, jitter: full}, "on": [429, 5xx, timeout, connect]}
    fallback: {"on": ["429", quality], to: [chat-backup]}
    timeout: {total: 60s, connect: 2s, first_token: 20s, idle: 30s}
    cooldown: {after: 3, for: 30s}
  - {model: "gpt-*", deployments: [openai/*]}
tenants: {acme: {tags: {cost_center: "42", floor: 3}}, other: {}}
keys:
  - {name: ci, tenant: acme, key: env://ACME_KEY, models: [chat]}
"""


def document(text: str) -> Any:
    return yaml.safe_load(text)


def test_it_is_a_draft_07_schema_and_plain_json() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize("text", [FULL, (files("fairlead.cli") / "starter.yaml").read_text(), "{}"])
def test_it_accepts_what_binds(text: str) -> None:
    findings = Findings("f.yaml")
    assert bind(text.encode(), findings) is not None, findings.in_order()
    VALIDATOR.validate(document(text))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("server:", "servr:"),
        ("workers:", "wrkers:"),
        ("weight: 3", "wieght: 3"),
        ("attempts: 2", "attempts: '2'"),
        ("jitter: full", "jitter: half"),
        ("total: 60s", "total: 60"),
        ("429, 5xx", "428, 5xx"),
        ("state: local", "state: redis"),
        ("http://10.0.0.5:8000/v1", "ftp://x"),
        ("use: box/llama", "usee: box/llama"),
        ("name: ci, ", ""),
        ("self_hosted: true", "self_hosted: maybe"),
        ('model: "gpt-*"', 'model: "g*t"'),
        ("groq/openai/gpt-oss-120b", "groq"),
        ("data:", "guardrails: {}\ndata:"),
    ],
)
def test_it_refuses_what_does_not_bind(old: str, new: str) -> None:
    text = FULL.replace(old, new, 1)
    assert text != FULL
    assert bind(text.encode(), Findings("f.yaml")) is None
    assert not VALIDATOR.is_valid(document(text))


def test_a_configuration_that_is_written_out_binds_to_itself() -> None:
    config = bind(FULL.encode(), Findings("f.yaml"))
    assert config is not None
    text = yaml.safe_dump(written(record_of(Config), config))
    findings = Findings("g.yaml")
    assert bind(text.encode(), findings) == config, findings.in_order()
    VALIDATOR.validate(document(text))


@given(st.from_regex(r"\A[0-9]{1,6}(ms|s|m|h|d|mo)\Z"))
def test_durations_are_the_same_to_both(text: str) -> None:
    bound = bind(f"server: {{drain: {text}}}".encode(), Findings("f.yaml"))
    assert bound is not None
    VALIDATOR.validate({"server": {"drain": text}})
