"""The official Anthropic SDK in front of the gateway, our fakes behind it, in every dialect and both API versions."""

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

import anthropic
import pytest
from anthropic.types import Message
from pydantic import BaseModel
from tests.real.processes import Gateway
from tests.real.setting import BEHIND, KEY, Fakes

pytestmark = pytest.mark.real

PREFIXES = ["claude", "old-claude", "openai", "self"]
HELLO: Any = [{"role": "user", "content": "hello there world"}]
WEATHER: Any = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: Any = [{"name": name, "description": "d", "input_schema": WEATHER} for name in ("weather", "tides")]


class City(BaseModel):
    name: str
    people: int
    twins: list[str]


@pytest.fixture(params=PREFIXES)
def model(request: pytest.FixtureRequest) -> str:
    return f"{request.param}-x"


def said(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_an_answer_is_strictly_valid_and_carries_the_usage(
    claude: anthropic.Anthropic, fake: Fakes, model: str
) -> None:
    raw = claude.messages.with_raw_response.create(model=model, max_tokens=50, system="You are terse", messages=HELLO)
    answer = Message.model_validate_json(raw.read(), strict=True)
    assert said(answer) == "You said: hello there world"
    assert answer.stop_reason == "end_turn"
    read = answer.usage.cache_read_input_tokens or 0
    assert (answer.usage.input_tokens + read, answer.usage.output_tokens) == (6, 5)
    assert raw.headers["x-fairlead-deployment"]


def test_a_stream_tells_the_same_as_the_whole_answer(claude: anthropic.Anthropic, fake: Fakes, model: str) -> None:
    whole = claude.messages.create(model=model, max_tokens=50, messages=HELLO)
    with claude.messages.stream(model=model, max_tokens=50, messages=HELLO) as stream:
        streamed = stream.get_final_message()
    assert said(streamed) == said(whole) == "You said: hello there world"
    assert streamed.stop_reason == whole.stop_reason
    assert (streamed.usage.input_tokens, streamed.usage.output_tokens) == (
        whole.usage.input_tokens,
        whole.usage.output_tokens,
    )


def test_the_events_of_a_stream_come_in_order(claude: anthropic.Anthropic, fake: Fakes, model: str) -> None:
    stream = claude.messages.create(model=model, max_tokens=50, messages=HELLO, stream=True)
    kinds = [event.type for event in stream]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1


def test_the_async_client_works_too(gate: Gateway, fake: Fakes, model: str) -> None:
    async def go() -> tuple[str, str]:
        async with anthropic.AsyncAnthropic(base_url=gate.origin, api_key=KEY, max_retries=0) as client:
            whole = await client.messages.create(model=model, max_tokens=50, messages=HELLO)
            async with client.messages.stream(model=model, max_tokens=50, messages=HELLO) as stream:
                return said(whole), "".join([text async for text in stream.text_stream])

    assert asyncio.run(go()) == ("You said: hello there world",) * 2


@pytest.mark.parametrize("stream", [False, True])
def test_tools_go_round(claude: anthropic.Anthropic, fake: Fakes, model: str, stream: bool) -> None:
    first: Any = {"role": "user", "content": "call weather and call tides"}
    asked: Any = {"model": model, "max_tokens": 99, "tools": TOOLS}
    if stream:
        with claude.messages.stream(**asked, messages=[first]) as events:
            answer: Message = events.get_final_message()
    else:
        answer = claude.messages.create(**asked, messages=[first])
    assert answer.stop_reason == "tool_use"
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == [
        ("weather", {"city": "fake", "days": 2}),
        ("tides", {"city": "fake", "days": 2}),
    ]
    results: Any = [{"type": "tool_result", "tool_use_id": c.id, "content": f"{c.name} is fine"} for c in calls]
    said_first: Any = {"role": "assistant", "content": [call.model_dump(exclude_none=True) for call in calls]}
    after = claude.messages.create(**asked, messages=[first, said_first, {"role": "user", "content": results}])
    assert "tides is fine" in said(after)


def test_a_tool_choice_is_kept(claude: anthropic.Anthropic, fake: Fakes, model: str) -> None:
    answer = claude.messages.create(
        model=model, max_tokens=99, messages=HELLO, tools=TOOLS, tool_choice={"type": "tool", "name": "tides"}
    )
    assert [block.name for block in answer.content if block.type == "tool_use"] == ["tides"]


def test_a_structured_answer_is_parsed(claude: anthropic.Anthropic, fake: Fakes, model: str) -> None:
    parsed = claude.messages.parse(model=model, max_tokens=99, messages=HELLO, output_format=City)
    assert parsed.parsed_output == City(name="fake", people=1, twins=["fake"])


def test_limits_arrive(claude: anthropic.Anthropic, fake: Fakes, model: str) -> None:
    short = claude.messages.create(model=model, max_tokens=2, messages=HELLO)
    assert (said(short), short.stop_reason) == ("You said:", "max_tokens")


@pytest.mark.parametrize("prefix", ["claude", "old-claude"])
def test_thinking_comes_back_with_its_signature(claude: anthropic.Anthropic, fake: Fakes, prefix: str) -> None:
    asked: Any = {
        "model": f"{prefix}-x",
        "max_tokens": 2000,
        "messages": HELLO,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    whole = claude.messages.create(**asked)
    with claude.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for message in (whole, streamed):
        thought: Any = message.content[0]
        assert thought.type == "thinking"
        assert thought.signature
        assert "hello there world" in thought.thinking


def test_cached_tokens_are_told_and_cache_marks_pass(claude: anthropic.Anthropic, fake: Fakes) -> None:
    system: Any = [{"type": "text", "text": "You are terse", "cache_control": {"type": "ephemeral"}}]
    answer = claude.messages.create(model="claude-x", max_tokens=9, system=system, messages=HELLO)
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (3, 3)
    (seen,) = fake["anthropic"].log()
    assert seen["body"]["system"] == system


def test_an_openai_refusal_is_told(claude: anthropic.Anthropic, fake: Fakes) -> None:
    asked: Any = [{"role": "user", "content": "refuse please"}]
    for prefix in ("openai", "claude"):
        answer = claude.messages.create(model=f"{prefix}-x", max_tokens=50, messages=asked)
        assert answer.stop_reason == "refusal"


def raw(gate: Gateway, model: str, headers: dict[str, str], **more: Any) -> tuple[int, Any]:
    body = {"model": model, "max_tokens": 20, "messages": HELLO, **more}
    request = urllib.request.Request(
        f"{gate.origin}/v1/messages", json.dumps(body).encode(), {"content-type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


OLD = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
NEW = {"authorization": f"Bearer {KEY}", "anthropic-version": "2026-10-21"}


@pytest.mark.parametrize("headers", [OLD, NEW, {"x-api-key": KEY}], ids=["old", "new", "no version"])
def test_both_versions_and_both_ways_to_send_the_key(
    gate: Gateway, fake: Fakes, model: str, headers: dict[str, str]
) -> None:
    status, answer = raw(gate, model, headers)
    assert status == 200
    assert answer["content"][0]["text"] == "You said: hello there world"


def test_the_version_upstream_is_the_routes_and_not_the_clients(gate: Gateway, fake: Fakes) -> None:
    for prefix, headers in (("claude", OLD), ("claude", NEW), ("old-claude", OLD), ("old-claude", NEW)):
        status, _ = raw(gate, f"{prefix}-x", headers)
        assert status == 200
    versions = [entry["headers"]["anthropic-version"] for entry in fake["anthropic"].log()]
    assert versions[0] == versions[1]
    assert versions[2:] == ["2023-06-01", "2023-06-01"]


def test_an_old_clients_temperature_reaches_a_route_of_the_old_version(gate: Gateway, fake: Fakes) -> None:
    status, _ = raw(gate, "old-claude-x", OLD, temperature=0.5)
    assert status == 200
    (seen,) = fake["anthropic"].log()
    assert seen["body"]["temperature"] == 0.5


@pytest.mark.parametrize(
    ("fault", "error", "kind"),
    [
        ("400", anthropic.BadRequestError, "invalid_request_error"),
        ("404", anthropic.NotFoundError, "not_found_error"),
        ("429:0.01", anthropic.RateLimitError, "rate_limit_error"),
        ("529", anthropic.InternalServerError, None),
        ("500", anthropic.InternalServerError, "api_error"),
        ("empty_object", anthropic.InternalServerError, "api_error"),
        ("stall", anthropic.InternalServerError, "timeout_error"),
    ],
)
@pytest.mark.parametrize("prefix", ["claude", "openai"])
def test_a_providers_failure_becomes_the_sdks_exception(
    claude: anthropic.Anthropic,
    fake: Fakes,
    lone: str,
    prefix: str,
    fault: str,
    error: type[Exception],
    kind: str | None,
) -> None:
    fake[BEHIND[prefix]].script(fault, fault)
    with pytest.raises(error) as caught:
        claude.messages.create(model=f"once-{prefix}-{lone}", max_tokens=9, messages=HELLO)
    failure: Any = caught.value
    assert failure.body["type"] == "error"
    assert failure.body["request_id"]
    if kind is not None:
        assert failure.body["error"]["type"] == kind


@pytest.mark.parametrize(
    ("model", "key", "error", "kind"),
    [
        ("no-such-route", KEY, anthropic.NotFoundError, "not_found_error"),
        ("claude-x", "fl-wrong-key-of-some-length", anthropic.AuthenticationError, "authentication_error"),
    ],
)
def test_our_own_refusals_are_the_sdks_exceptions_too(
    gate: Gateway, model: str, key: str, error: type[Exception], kind: str
) -> None:
    with (
        anthropic.Anthropic(base_url=gate.origin, api_key=key, max_retries=0) as client,
        pytest.raises(error) as caught,
    ):
        client.messages.create(model=model, max_tokens=9, messages=HELLO)
    failure: Any = caught.value
    assert failure.body["error"]["type"] == kind


@pytest.mark.parametrize("fault", ["cut:5", "cut_reset:5", "ended_early:5", "error_event:5", "stall_stream:5"])
@pytest.mark.parametrize("prefix", ["claude", "openai"])
def test_a_stream_that_breaks_raises_after_what_arrived(
    claude: anthropic.Anthropic, fake: Fakes, lone: str, prefix: str, fault: str
) -> None:
    fake[BEHIND[prefix]].script(fault)
    got: list[str] = []
    stream = claude.messages.create(model=f"{prefix}-{lone}", max_tokens=50, messages=HELLO, stream=True)
    with pytest.raises(anthropic.APIStatusError, match="broke off"):
        got.extend(event.type for event in stream)
    assert got[0] == "message_start"
    assert "message_stop" not in got


def test_the_sdk_does_not_multiply_our_retries(gate: Gateway, fake: Fakes, lone: str) -> None:
    fake["anthropic"].script(*["529"] * 10)
    with (
        anthropic.Anthropic(base_url=gate.origin, api_key=KEY, max_retries=2) as client,
        pytest.raises(anthropic.InternalServerError),
    ):
        client.messages.create(model=f"claude-{lone}", max_tokens=9, messages=HELLO)
    assert len(fake["anthropic"].log()) == 2


def test_a_chain_falls_back_across_dialects(claude: anthropic.Anthropic, fake: Fakes, lone: str) -> None:
    fake["anthropic"].script("529")
    answer = claude.messages.with_raw_response.create(model=f"once-reverse-{lone}", max_tokens=50, messages=HELLO)
    assert answer.headers["x-fairlead-deployment"].startswith("openai/")
    assert said(answer.parse()) == "You said: hello there world"


def test_models_are_listed_in_anthropics_shape(claude: anthropic.Anthropic) -> None:
    assert all(model.type == "model" for model in claude.models.list())
