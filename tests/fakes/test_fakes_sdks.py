"""The official SDKs take the fakes for the real thing: their parsers judge the fakes' good answers."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from fairlead.fakes import Provider, Script, serve

SOURCES = str(Path(__file__).parents[2] / "src")
SYSTEM = "You are terse today"
WEATHER: Any = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
OPENAI_TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
ANTHROPIC_TOOLS: Any = [{"name": "weather", "input_schema": WEATHER}]
HELLO: Any = [{"role": "user", "content": "hello there world"}]


class City(BaseModel):
    name: str
    people: int
    twins: list[str]


@pytest.fixture(params=["openai", "self_hosted"])
async def chat(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Provider, openai.AsyncOpenAI]]:
    async with (
        serve(request.param, key="sk-right" if request.param == "openai" else None) as provider,
        openai.AsyncOpenAI(base_url=provider.base_url, api_key="sk-right", max_retries=0) as client,
    ):
        yield provider, client


@pytest.fixture
async def messages() -> AsyncIterator[tuple[Provider, anthropic.AsyncAnthropic]]:
    async with (
        serve("anthropic", key="sk-right") as provider,
        anthropic.AsyncAnthropic(base_url=provider.origin, api_key="sk-right", max_retries=0) as client,
    ):
        yield provider, client


Chat = tuple[Provider, openai.AsyncOpenAI]
Messages = tuple[Provider, anthropic.AsyncAnthropic]


def text(answer: ChatCompletion) -> str | None:
    return answer.choices[0].message.content


async def test_a_chat_completion_is_strictly_valid_and_counts_its_words(chat: Chat) -> None:
    _, client = chat
    asked: Any = [{"role": "system", "content": SYSTEM}, *HELLO]
    raw = await client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=asked)
    answer = ChatCompletion.model_validate_json(raw.content, strict=True)
    assert text(answer) == "You said: hello there world"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 5)
    assert answer.usage.total_tokens == 12


async def test_openai_counts_the_system_prompt_as_cached() -> None:
    async with (
        serve("openai") as provider,
        openai.AsyncOpenAI(base_url=provider.base_url, api_key="any") as client,
    ):
        asked: Any = [{"role": "system", "content": SYSTEM}, *HELLO]
        answer = await client.chat.completions.create(model="m", messages=asked, reasoning_effort="low")
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 4
    assert (answer.usage.completion_tokens_details.reasoning_tokens or 0) > 0


async def test_a_stream_tells_the_same_as_the_whole_answer(chat: Chat) -> None:
    _, client = chat
    whole = await client.chat.completions.create(model="m", messages=HELLO)
    stream = await client.chat.completions.create(
        model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks: list[ChatCompletionChunk] = [chunk async for chunk in stream]
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk.model_dump(), strict=True)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text(whole)
    assert [c.usage for c in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"


async def test_tools_go_round(chat: Chat) -> None:
    _, client = chat
    first: Any = [{"role": "user", "content": "please call weather"}]
    answer = await client.chat.completions.create(model="m", messages=first, tools=OPENAI_TOOLS)
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls is not None
    call: Any = message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("weather", '{"city":"fake","days":2}')
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    said: Any = message.model_dump(include={"role", "content", "tool_calls"})
    after = await client.chat.completions.create(model="m", messages=[*first, said, result], tools=OPENAI_TOOLS)
    assert text(after) == "The tool said: sunny"


async def test_a_streamed_tool_call_adds_up_to_the_whole_one(chat: Chat) -> None:
    _, client = chat
    async with client.chat.completions.stream(
        model="m", messages=HELLO, tools=OPENAI_TOOLS, tool_choice="required"
    ) as stream:
        final = await stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls is not None
    assert [(c.function.name, c.function.arguments) for c in calls] == [("weather", '{"city":"fake","days":2}')]


async def test_an_answer_fits_the_schema_that_was_asked_for(chat: Chat) -> None:
    _, client = chat
    parsed = await client.chat.completions.parse(model="m", messages=HELLO, response_format=City)
    city = parsed.choices[0].message.parsed
    assert city == City(name="fake", people=1, twins=["fake"])


async def test_a_refusal_is_a_refusal() -> None:
    async with (
        serve("openai") as provider,
        openai.AsyncOpenAI(base_url=provider.base_url, api_key="any") as client,
    ):
        asked: Any = [{"role": "user", "content": "refuse please"}]
        answer = await client.chat.completions.create(model="m", messages=asked)
        stream = await client.chat.completions.create(model="m", messages=asked, stream=True)
        streamed = "".join([chunk.choices[0].delta.refusal or "" async for chunk in stream])
    assert answer.choices[0].message.refusal == streamed == "I'm sorry, I can't help with that."
    assert answer.choices[0].message.content is None


async def test_only_the_self_hosted_server_shows_its_reasoning(chat: Chat) -> None:
    provider, client = chat
    answer = await client.chat.completions.create(model="m", messages=HELLO, reasoning_effort="high")
    shown = (answer.choices[0].message.model_extra or {}).get("reasoning_content")
    assert bool(shown) == (provider.format.name == "self_hosted")


async def test_limits_and_stops_end_an_answer_early(chat: Chat) -> None:
    _, client = chat
    short = await client.chat.completions.create(model="m", messages=HELLO, max_tokens=2)
    stopped = await client.chat.completions.create(model="m", messages=HELLO, stop="there")
    assert (text(short), short.choices[0].finish_reason) == ("You said:", "length")
    assert (text(stopped), stopped.choices[0].finish_reason) == ("You said: hello ", "stop")


async def test_several_choices_are_given_when_asked_for(chat: Chat) -> None:
    _, client = chat
    answer = await client.chat.completions.create(model="m", messages=HELLO, n=2)
    stream = await client.chat.completions.create(model="m", messages=HELLO, n=2, stream=True)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert {c.choices[0].index async for c in stream} == {0, 1}


async def test_models_are_listed(chat: Chat, messages: Messages) -> None:
    assert [model.id async for model in chat[1].models.list()]
    assert [model.id async for model in messages[1].models.list()] == ["claude-haiku-4-5"]


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        ("429", openai.RateLimitError, "rate_limit_exceeded"),
        ("429_quota", openai.RateLimitError, "insufficient_quota"),
        ("400_context", openai.BadRequestError, "context_length_exceeded"),
        ("400_policy", openai.BadRequestError, "content_policy_violation"),
        ("401", openai.AuthenticationError, "invalid_api_key"),
        ("404", openai.NotFoundError, "model_not_found"),
        ("422", openai.UnprocessableEntityError, None),
        ("500", openai.InternalServerError, None),
    ],
)
async def test_openai_errors_are_the_sdks_own(fault: str, error: type[openai.APIStatusError], code: str | None) -> None:
    async with (
        serve("openai", script=Script.of(fault)) as provider,
        openai.AsyncOpenAI(base_url=provider.base_url, api_key="any", max_retries=0) as client,
    ):
        with pytest.raises(error) as caught:
            await client.chat.completions.create(model="m", messages=HELLO)
    assert caught.value.code == code


async def test_a_message_is_strictly_valid_and_counts_its_words(messages: Messages) -> None:
    _, client = messages
    raw = await client.messages.with_raw_response.create(
        model="claude-haiku-4-5", max_tokens=100, system=SYSTEM, messages=HELLO
    )
    answer = anthropic.types.Message.model_validate_json(await raw.read(), strict=True)
    assert [block.to_dict() for block in answer.content] == [
        {"type": "text", "text": "You said: hello there world", "citations": None}
    ]
    assert (answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens) == ("end_turn", 7, 5)


async def test_cached_tokens_are_not_counted_as_input(messages: Messages) -> None:
    _, client = messages
    system: Any = [{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}]
    said: Any = {"type": "text", "text": "long document", "cache_control": {"type": "ephemeral"}}
    asked: Any = [{"role": "user", "content": [said, {"type": "text", "text": "why"}]}]
    answer = await client.messages.create(model="m", max_tokens=100, system=system, messages=asked)
    usage = answer.usage
    counts = (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens)
    assert counts == (1, 4, 2)


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"tools": ANTHROPIC_TOOLS, "tool_choice": {"type": "any"}},
        {"messages": [{"role": "user", "content": "refuse please"}]},
    ],
)
async def test_a_message_stream_adds_up_to_the_whole_message(messages: Messages, extra: Any) -> None:
    _, client = messages
    asked = {"model": "m", "max_tokens": 2000, "messages": HELLO} | extra
    whole = await client.messages.create(**asked)
    async with client.messages.stream(**asked) as stream:
        streamed = await stream.get_final_message()
    alike: Any = {"content": {"__all__": {"type", "text", "thinking", "signature", "input", "name"}}} | dict.fromkeys(
        ("usage", "stop_reason", "stop_details", "model"), True
    )
    assert streamed.model_dump(include=alike) == whole.model_dump(include=alike)


async def test_anthropic_tools_go_round(messages: Messages) -> None:
    _, client = messages
    first: Any = {"role": "user", "content": "call weather"}
    answer = await client.messages.create(model="m", max_tokens=99, messages=[first], tools=ANTHROPIC_TOOLS)
    assert answer.stop_reason == "tool_use"
    call = next(block for block in answer.content if block.type == "tool_use")
    assert call.input == {"city": "fake", "days": 2}
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    after = await client.messages.create(
        model="m",
        max_tokens=99,
        tools=ANTHROPIC_TOOLS,
        messages=[first, answer.to_param(), {"role": "user", "content": [result]}],
    )
    assert [block.text for block in after.content if block.type == "text"] == ["The tool said: sunny"]


async def test_anthropic_fits_a_schema(messages: Messages) -> None:
    _, client = messages
    parsed = await client.messages.parse(model="m", max_tokens=99, messages=HELLO, output_format=City)
    assert parsed.parsed_output == City(name="fake", people=1, twins=["fake"])


@pytest.mark.parametrize(
    ("fault", "error", "kind"),
    [
        ("429", anthropic.RateLimitError, "rate_limit_error"),
        ("400", anthropic.BadRequestError, "invalid_request_error"),
        ("401", anthropic.AuthenticationError, "authentication_error"),
        ("403", anthropic.PermissionDeniedError, "permission_error"),
        ("404", anthropic.NotFoundError, "not_found_error"),
        ("500", anthropic.InternalServerError, "api_error"),
        ("529", anthropic.InternalServerError, "overloaded_error"),
    ],
)
async def test_anthropic_errors_are_the_sdks_own(
    messages: Messages, fault: str, error: type[anthropic.APIStatusError], kind: str
) -> None:
    _, client = messages
    with pytest.raises(error) as caught:
        await client.messages.create(model=f"m@{fault}", max_tokens=9, messages=HELLO)
    assert caught.value.body is not None
    assert caught.value.body["error"]["type"] == kind  # type: ignore[index]


@pytest.mark.parametrize("fault", ["error_event", "error_event:3"])
async def test_an_error_event_makes_the_sdks_raise(messages: Messages, fault: str) -> None:
    _, client = messages
    with pytest.raises(anthropic.APIStatusError):
        async with client.messages.stream(model=f"m@{fault}", max_tokens=9, messages=HELLO) as stream:
            await stream.get_final_message()
    async with (
        serve("openai") as provider,
        openai.AsyncOpenAI(base_url=provider.base_url, api_key="any") as other,
    ):
        chunks = await other.chat.completions.create(model=f"m@{fault}", messages=HELLO, stream=True)
        with pytest.raises(openai.APIError, match="Overloaded"):
            [chunk async for chunk in chunks]


async def test_the_new_anthropic_version_takes_no_sampling_parameters(messages: Messages) -> None:
    _, client = messages
    with pytest.raises(anthropic.BadRequestError, match="temperature"):
        await client.messages.create(model="m", max_tokens=9, messages=HELLO, extra_body={"temperature": 0.5})
    old = {"anthropic-version": "2023-06-01"}
    await client.messages.create(
        model="m", max_tokens=9, messages=HELLO, extra_body={"temperature": 0.5}, extra_headers=old
    )


@pytest.fixture
def origins() -> Iterator[dict[str, str]]:
    """The fakes in a process of their own, for clients that block."""
    command = [sys.executable, "-m", "fairlead.fakes", "--openai", "127.0.0.1:0", "--anthropic", "127.0.0.1:0"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": SOURCES}
    ) as process:
        assert process.stdout is not None
        ports = json.loads(process.stdout.readline())
        yield {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        process.terminate()
        assert process.wait(10) == 0


def test_the_blocking_clients_work_too(origins: dict[str, str]) -> None:
    with openai.OpenAI(base_url=origins["openai"] + "/v1", api_key="any") as client:
        assert text(client.chat.completions.create(model="m", messages=HELLO)) == "You said: hello there world"
        chunks = client.chat.completions.create(model="m", messages=HELLO, stream=True)
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == "You said: hello there world"
    with (
        anthropic.Anthropic(base_url=origins["anthropic"], api_key="any") as other,
        other.messages.stream(model="m", max_tokens=99, messages=HELLO) as stream,
    ):
        assert "".join(stream.text_stream) == "You said: hello there world"
