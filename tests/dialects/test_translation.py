"""From every dialect to every other by way of canonical: one rich conversation, answers and streams, on the wire."""

import json
from typing import Any

import anthropic as anthropic_sdk
import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.dialects import anthropic_wire as wire
from tests.dialects import strategies

from fairlead.canonical.events import Broken, Event, collect
from fairlead.canonical.routing import Deployment
from fairlead.canonical.usage import Usage
from fairlead.dialects import anthropic, openai_chat
from fairlead.dialects.table import DIALECTS, Dialect

Json = dict[str, Any]

WEATHER: Json = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
VERDICT: Json = {"type": "object", "properties": {"warm": {"type": "boolean"}}, "required": ["warm"]}

FULL: dict[str, Json] = {
    "openai_chat": {
        "model": "m",
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Compare these."},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ],
            },
            {
                "role": "assistant",
                "content": "Let me look.",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city": "Zürich"}'},
                    },
                    {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "12 °C"},
            {"role": "tool", "tool_call_id": "call_2", "content": "noon"},
            {"role": "system", "content": "Answer in JSON."},
            {"role": "user", "content": "Well?"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [
            {
                "type": "function",
                "function": {"name": "weather", "description": "The weather", "parameters": WEATHER, "strict": True},
            },
            {"type": "function", "function": {"name": "time"}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "verdict", "schema": VERDICT}},
        "max_tokens": 3000,
        "temperature": 1.5,
        "stop": ["END", "\n"],
        "reasoning_effort": "high",
        "user": "u1",
    },
    "anthropic": {
        "model": "m",
        "max_tokens": 3000,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Compare these."},
                    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Two tools.", "signature": "sig=="},
                    {"type": "redacted_thinking", "data": "op=="},
                    {"type": "text", "text": "Let me look."},
                    {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Zürich"}},
                    {"type": "tool_use", "id": "call_2", "name": "time", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "12 °C"},
                    {"type": "tool_result", "tool_use_id": "call_2", "content": [{"type": "text", "text": "noon"}]},
                    {"type": "text", "text": "Well?"},
                ],
            },
            {"role": "system", "content": "Answer in JSON."},
        ],
        "stream": True,
        "tools": [
            {"name": "weather", "description": "The weather", "input_schema": WEATHER, "strict": True},
            {"name": "time", "input_schema": {"type": "object"}},
        ],
        "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": VERDICT}},
        "temperature": 1.0,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u1"},
    },
}
"""The same conversation as each dialect's client says it."""


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def _as_anthropic(source: str) -> Json:
    """What an Anthropic provider gets, whoever asked; only Anthropic's own clients can have signed thinking."""
    full = FULL["anthropic"]
    thoughts = full["messages"][1]["content"][:2] if source == "anthropic" else []
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": [text("12 °C")]}
    turns = [
        full["messages"][0],
        {"role": "assistant", "content": [*thoughts, *full["messages"][1]["content"][2:]]},
        {
            "role": "user",
            "content": [result, {**result, "tool_use_id": "call_2", "content": [text("noon")]}, text("Well?")],
        },
    ]
    return {
        **full,
        "model": "there",
        "system": [text("Be brief."), text("Answer in JSON.")],
        "messages": turns,
    }


def _as_openai(source: str) -> Json:
    """What an OpenAI-compatible provider gets, whoever asked."""
    full = FULL["openai_chat"]
    messages = [{**full["messages"][0], "role": "system"}, *full["messages"][1:]]
    if source == "openai_chat":
        return {**full, "model": "there", "messages": messages}
    first, asked, looked, *results, late, last = messages
    called = json.loads(json.dumps(looked))
    called["tool_calls"][0]["function"]["arguments"] = '{"city":"Zürich"}'
    time = {"type": "function", "function": {"name": "time", "parameters": {"type": "object"}}}
    schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": VERDICT}}
    return {
        **full,
        "model": "there",
        "messages": [first, asked, called, *results, last, late],
        "tools": [full["tools"][0], time],
        "response_format": schema,
        "temperature": 1.0,
        "stop": ["END"],
    }


EXPECTED = {"anthropic": _as_anthropic, "openai_chat": _as_openai}


def there(dialect: str) -> Deployment:
    return Deployment(name="p/there", provider="p", model="there", dialect=dialect, base_url="http://x")


@pytest.mark.parametrize("target", sorted(DIALECTS))
@pytest.mark.parametrize("source", sorted(DIALECTS))
def test_the_full_conversation(source: str, target: str) -> None:
    body = json.dumps(FULL[source], ensure_ascii=False, separators=(",", ":")).encode()
    DIALECTS[source].ask(body)
    request = DIALECTS[source].decode_request(body)
    sent = json.loads(DIALECTS[target].encode_request(request, there(target)))
    assert sent == EXPECTED[target](source)


@pytest.mark.parametrize("source", sorted(DIALECTS))
def test_patching_means_the_same_as_translating_to_ones_own_dialect(source: str) -> None:
    dialect = DIALECTS[source]
    body = json.dumps(FULL[source]).encode()
    patched = dialect.patch_request(body, dialect.ask(body), "there")
    assert {**json.loads(patched), "model": "m"} == FULL[source]


def translated(source: Dialect, target: Dialect, stream: bytes) -> bytes:
    decoder, encoder = source.Decoder(), target.Encoder(include_usage=True)
    return b"".join([encoder.encode(event) for event in [*decoder.feed(stream), *decoder.end()]])


def chunk(delta: Json, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "gpt", "choices": [choice]}
    return b"data: " + json.dumps({**head, **more}).encode() + b"\n\n"


def call(index: int, arguments: str, **begin: Any) -> Json:
    name = {"name": begin.pop("name")} if begin else {}
    return {"tool_calls": [{"index": index, **begin, "function": {**name, "arguments": arguments}}]}


OPENAI_STREAM = b"".join(
    (
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "Hm."}),
        chunk({"content": "Let me "}),
        chunk({"content": "look."}),
        chunk(call(0, "", id="call_1", type="function", name="weather")),
        chunk(call(0, '{"ci')),
        chunk(call(1, "", id="call_2", type="function", name="time")),
        chunk(call(1, "{}")),
        chunk(call(0, 'ty":"Zürich"}')),
        chunk({}, "tool_calls"),
        chunk(
            {},
            choices=[],
            usage={
                "prompt_tokens": 60,
                "completion_tokens": 9,
                "total_tokens": 69,
                "prompt_tokens_details": {"cached_tokens": 20},
                "completion_tokens_details": {"reasoning_tokens": 4},
            },
        ),
        b"data: [DONE]\n\n",
    )
)

ANTHROPIC_STREAM = (
    wire.start(input_tokens=10, cache_read_input_tokens=20, cache_creation_input_tokens=30)
    + wire.PING
    + wire.block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Hm."},
        {"type": "signature_delta", "signature": "sig=="},
    )
    + wire.block(1, {"type": "redacted_thinking", "data": "op=="})
    + wire.text(2, "Let me ", "look.")
    + wire.tool(3, "toolu_1", "weather", "", '{"ci', 'ty":"Zürich"}')
    + wire.tool(4, "toolu_2", "time")
    + wire.end("tool_use", usage={"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}})
)


def test_an_openai_stream_reaches_anthropics_own_client_whole() -> None:
    message = wire.read_by_sdk(translated(openai_chat, anthropic, OPENAI_STREAM))
    assert [block.to_dict(exclude_none=True) for block in message.content] == [
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Zürich"}},
        {"type": "tool_use", "id": "call_2", "name": "time", "input": {}},
    ]
    assert (message.id, message.model, message.stop_reason) == ("chatcmpl-1", "gpt", "tool_use")
    assert message.usage.to_dict(exclude_none=True) == {
        "input_tokens": 40,
        "cache_read_input_tokens": 20,
        "cache_creation_input_tokens": 0,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    }


def read_by_openai(stream: bytes) -> ChatCompletion:
    """What OpenAI's own accumulator makes of a stream that ends as its client demands."""
    assert stream.endswith(b"data: [DONE]\n\n")
    state = ChatCompletionStreamState()
    for raw in stream.split(b"\n\n")[:-2]:
        data = json.loads(raw.removeprefix(b"data: "))
        state.handle_chunk(ChatCompletionChunk.model_validate(data, strict=True))
    return state.current_completion_snapshot


def test_an_anthropic_stream_reaches_openais_own_client_whole() -> None:
    completion = read_by_openai(translated(anthropic, openai_chat, ANTHROPIC_STREAM))
    (choice,) = completion.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Let me look."
    assert [(made.id, made.function.name, made.function.arguments) for made in _calls(choice.message)] == [
        ("toolu_1", "weather", '{"city":"Zürich"}'),
        ("toolu_2", "time", ""),
    ]
    assert completion.usage is not None
    counted = completion.usage
    assert (counted.prompt_tokens, counted.completion_tokens, counted.total_tokens) == (60, 9, 69)
    assert counted.prompt_tokens_details is not None
    assert counted.prompt_tokens_details.cached_tokens == 20
    assert counted.completion_tokens_details is not None
    assert counted.completion_tokens_details.reasoning_tokens == 4


def _calls(message: Any) -> list[Any]:
    return list(message.tool_calls or ())


SITUATIONS: dict[str, tuple[bytes, str, Json]] = {
    "refusal": (
        wire.text(0)
        + wire.end("refusal", stop_details={"type": "refusal", "category": "cyber", "explanation": "I cannot."}),
        "stop",
        {"content": "", "refusal": "I cannot."},
    ),
    "tool use with partial JSON": (
        wire.tool(0, "t", "f", "", '{"a', '": [1', ", 2]}") + wire.end("tool_use"),
        "tool_calls",
        {"content": ""},
    ),
    "thinking with its signature": (
        wire.block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Hm."},
            {"type": "signature_delta", "signature": "sig=="},
        )
        + wire.text(1, "So.")
        + wire.end(),
        "stop",
        {"content": "So.", "reasoning_content": "Hm."},
    ),
    "redacted thinking": (
        wire.block(0, {"type": "redacted_thinking", "data": "op=="}) + wire.text(1, "So.") + wire.end(),
        "stop",
        {"content": "So."},
    ),
    "max tokens": (wire.text(0, "So") + wire.end("max_tokens"), "length", {"content": "So"}),
    "stop sequence": (
        wire.text(0, "So") + wire.end("stop_sequence", stop_sequence="END"),
        "stop",
        {"content": "So"},
    ),
}


@pytest.mark.parametrize("situation", sorted(SITUATIONS))
def test_situations_of_anthropic_as_openais_client_sees_them(situation: str) -> None:
    stream, finish, message = SITUATIONS[situation]
    (choice,) = read_by_openai(translated(anthropic, openai_chat, wire.start() + stream)).choices
    assert choice.finish_reason == finish
    seen = choice.message.to_dict()
    assert {key: seen[key] for key in message} == message
    if finish == "tool_calls":
        assert _calls(choice.message)[0].function.arguments == '{"a": [1, 2]}'


def test_an_error_in_mid_stream_stays_an_error_in_both_dialects() -> None:
    broken = wire.event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    told = translated(anthropic, openai_chat, wire.start() + wire.text(0, "So") + broken)
    assert b"[DONE]" not in told
    assert "error" in json.loads(told.split(b"\n\n")[-2].removeprefix(b"data: "))
    stream = OPENAI_STREAM.partition(b'data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5')
    cut = stream[0] + stream[1] + stream[2][:700]
    told = translated(openai_chat, anthropic, cut)
    assert b"message_stop" not in told
    with pytest.raises(anthropic_sdk.APIStatusError):
        wire.read_by_sdk(told)


ANSWERS: dict[str, Json] = {
    "openai_chat": {
        "id": "a1",
        "object": "chat.completion",
        "created": 5,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Let me look.",
                    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
                },
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {
            "prompt_tokens": 60,
            "completion_tokens": 9,
            "total_tokens": 69,
            "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 30},
        },
    },
    "anthropic": {
        "id": "a1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 10,
            "cache_read_input_tokens": 20,
            "cache_creation_input_tokens": 30,
            "output_tokens": 9,
        },
    },
}
"""The same answer as each dialect's provider gives it."""


@pytest.mark.parametrize("target", sorted(DIALECTS))
@pytest.mark.parametrize("source", sorted(DIALECTS))
def test_an_answer(source: str, target: str) -> None:
    body = json.dumps(ANSWERS[source], separators=(",", ":")).encode()
    answer = DIALECTS[source].decode_answer(body)
    assert answer.usage == Usage(input=60, output=9, cache_read=20, cache_write=30)
    assert DIALECTS[source].read_usage(body) == ("m", answer.usage)
    told = DIALECTS[target].encode_answer(answer)
    assert DIALECTS[target].decode_answer(told).parts == answer.parts
    strict: dict[str, Any] = {"openai_chat": ChatCompletion, "anthropic": Message}
    strict[target].model_validate_json(told, strict=True)
    assert _part_of(ANSWERS[target], json.loads(told))


def _part_of(expected: Any, found: Any) -> bool:
    """Whether all of `expected` is in `found`, which may tell more; when an answer was made may be lost on the way."""
    if isinstance(expected, dict):
        return all(key == "created" or _part_of(value, found[key]) for key, value in expected.items())
    if isinstance(expected, list):
        return len(expected) == len(found) and all(map(_part_of, expected, found))
    return bool(expected == found)


@given(strategies.answers(reasoning=False), st.integers(1, 9))
def test_streams_over_both_dialects_tell_the_same_answer(answer: Any, size: int) -> None:
    events: list[Event] = strategies.events(answer, size)
    for first, second in ((anthropic, openai_chat), (openai_chat, anthropic)):
        encoder: Any = first.Encoder(include_usage=True)
        stream = b"".join([encoder.encode(event) for event in events])
        decoder: Any = second.Decoder()
        again = collect([*decoder.feed(translated(first, second, stream)), *decoder.end()])
        assert (again.id, again.model, again.parts) == (answer.id, answer.model, answer.parts)
        assert again.usage in (answer.usage, Usage() if answer.usage is None else answer.usage)


@given(strategies.answers(reasoning=False), st.integers(0, 4000))
def test_a_cut_stream_never_looks_finished_in_another_dialect(answer: Any, cut: int) -> None:
    encoder = anthropic.Encoder(include_usage=True)
    stream = b"".join([encoder.encode(event) for event in strategies.events(answer)])
    whole = stream.rstrip(b"\n")
    decoder = anthropic.Decoder()
    part = whole[: min(cut, len(whole) - 1)]
    assert isinstance([*decoder.feed(part), *decoder.end()][-1], Broken)
    told = translated(anthropic, openai_chat, part)
    assert b"data: [DONE]" not in told
    assert b'"finish_reason":"' not in told
