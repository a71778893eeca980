"""What the configuration says, as the admin port tells it: everything that was written, and no secret."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from fairlead.config.load import load
from fairlead.control.setup_entries import SetupEntries

CANARY = "sk-canary-0123456789abcdef"
TEXT = f"""
providers: {{openai: {{api_key: {CANARY}, headers: {{x-access: {CANARY}}}}}}}
admin: {{key: {CANARY}-admin}}
pepper: {CANARY}-pepper-of-32-bytes-and-more-than-that
database: "postgresql://ann:{CANARY}@db/fairlead"
state: "redis://:{CANARY}@cache:6379"
tiers: {{paid: {{requests: {{limit: 5, per: 1m}}, models: [chat]}}}}
keys: [{{name: ci, key: {CANARY}-client}}]
routes:
  - model: chat
    deployments: [{{use: openai/gpt-4o, price: {{input: "1", output: "2"}}}}, {{use: openai/gpt-4o-mini, priority: 2}}]
"""


@pytest.fixture
async def told(tmp_path: Path) -> dict[str, Any]:
    """What each path answers."""
    (tmp_path / "fairlead.yaml").write_text(TEXT)
    loaded = load(str(tmp_path / "fairlead.yaml"), {})
    assert loaded.snapshot is not None, loaded.errors
    config: Any = SimpleNamespace(serving=loaded.snapshot, config=loaded.config)
    call: Any = SimpleNamespace(query=lambda _known: {})
    answers = {entry.path.rpartition("/")[2]: await entry.run(call) for entry in SetupEntries(config).entries()}
    return {name: json.loads(msgspec.json.encode(answer.body)) for name, answer in answers.items()}


async def test_tiers_and_routes_are_told(told: dict[str, Any]) -> None:
    (tier,) = told["tiers"]["tiers"]
    assert (tier["name"], tier["models"], tier["limits"]["requests"][0]["limit"]) == ("paid", ["chat"], 5)
    (route,) = told["routes"]["routes"]
    assert [(one["name"], one["priority"]) for one in route["deployments"]] == [
        ("openai/gpt-4o", 1),
        ("openai/gpt-4o-mini", 2),
    ]
    assert route["deployments"][0]["price"]["input"] == "1"


async def test_the_configuration_is_told_whole_and_without_a_secret(told: dict[str, Any]) -> None:
    config = told["config"]["config"]
    assert config["routes"][0]["model"] == "chat"
    assert config["providers"]["openai"]["headers"] == {"x-access": "***"}
    assert config["tiers"]["paid"]["requests"][0]["per"] == "1m"
    assert "canary" not in json.dumps(told)
