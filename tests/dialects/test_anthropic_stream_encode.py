"""Events as an Anthropic stream, judged by Anthropic's own SDK and by its way back."""

import json
from itertools import pairwise
from typing import Any

import anthropic as sdk
import pytest
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from tests.dialects import anthropic_wire as wire

from fairlead.canonical.chat import FinishReason, Reasoning, Refusal, Text, ToolCall
from fairlead.canonical.events import (
    Broken,
    Event,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    collect,
)
from fairlead.canonical.usage import Usage
from fairlead.dialects import anthropic

START = Started(id="msg_1", model="m")
END = Finished(reason="stop", usage=Usage(input=10, output=5))
STRICT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def encode(*events: Event) -> bytes:
    encoder = anthropic.Encoder(include_usage=True)
    stream = b"".join([encoder.encode(event) for event in events])
    assert encoder.encode(TextDelta(index=9, text="after the end")) == b""
    return stream


def decode(stream: bytes) -> list[Event]:
    decoder = anthropic.Decoder()
    return decoder.feed(stream) + decoder.end()


def outline(stream: bytes) -> list[str]:
    """Type and index of every event, after a check of the SDK's strict types and of the order of blocks."""
    lines, blocks, opened = [], 0, False
    for data in wire.sent(stream):
        STRICT.validate_python(data, strict=True)
        if data["type"] == "content_block_start":
            assert (opened, data["index"]) == (False, blocks)
            opened = True
        if data["type"] == "content_block_delta":
            assert (opened, data["index"]) == (True, blocks)
        if data["type"] == "content_block_stop":
            assert (opened, data["index"]) == (True, blocks)
            opened, blocks = False, blocks + 1
        what = data.get("content_block") or data.get("delta") or {}
        lines.append(what.get("type") or data["type"])
    assert not opened
    return lines


def test_a_plain_stream_in_full() -> None:
    assert wire.sent(encode(START, TextDelta(index=0, text='He"\n'), END)) == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {
                    "input_tokens": 0,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0,
                    "output_tokens": 0,
                },
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 'He"\n'}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {
                "input_tokens": 10,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 5,
            },
        },
        {"type": "message_stop"},
    ]


def test_every_kind_of_part_as_the_sdk_reads_it() -> None:
    usage = Usage(input=60, output=9, cache_read=20, cache_write=30, reasoning=4)
    stream = encode(
        START,
        ReasoningDelta(index=0, text="hm"),
        ReasoningDelta(index=0, signature="sig=="),
        ReasoningDelta(index=1, redacted="op=="),
        ReasoningDelta(index=2, redacted="op2"),
        TextDelta(index=3, text="Hel"),
        TextDelta(index=3, text="lo"),
        ToolCallStarted(index=4, id="t1", name="f"),
        ToolCallDelta(index=4, arguments='{"a":'),
        ToolCallDelta(index=4, arguments="1}"),
        ToolCallStarted(index=5, id="t2", name="g"),
        Finished(reason="tool_calls", usage=usage),
    )
    outline(stream)
    message = wire.read_by_sdk(stream)
    assert [block.to_dict(exclude_none=True) for block in message.content] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig=="},
        {"type": "redacted_thinking", "data": "op=="},
        {"type": "redacted_thinking", "data": "op2"},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
    ]
    assert message.stop_reason == "tool_use"
    assert message.usage.to_dict(exclude_none=True) == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 20,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    }


def test_each_delta_of_the_open_part_is_told_at_once() -> None:
    encoder = anthropic.Encoder(include_usage=False)
    encoder.encode(START)
    assert b"content_block_start" in encoder.encode(ReasoningDelta(index=0, text="a"))
    told = encoder.encode(TextDelta(index=1, text="b"))
    assert told.index(b"content_block_stop") < told.index(b"content_block_start") < told.index(b'"b"')
    assert b'"c"' in encoder.encode(TextDelta(index=1, text="c"))
    assert b'"id":"t"' in encoder.encode(ToolCallStarted(index=2, id="t", name="f"))
    assert b'"{}"' in encoder.encode(ToolCallDelta(index=2, arguments="{}"))
    assert b'"id":"u"' in encoder.encode(ToolCallStarted(index=3, id="u", name="f"))


def test_calls_that_interleave_come_one_after_the_other() -> None:
    stream = encode(
        START,
        ToolCallStarted(index=0, id="a", name="f"),
        ToolCallStarted(index=1, id="b", name="f"),
        ToolCallDelta(index=0, arguments='{"a"'),
        ToolCallDelta(index=1, arguments='{"b"'),
        TextDelta(index=2, text="meanwhile"),
        ToolCallDelta(index=0, arguments=":1}"),
        ToolCallDelta(index=1, arguments=":2}"),
        ToolCallDelta(index=0, arguments=" "),
        TextDelta(index=2, text=", done"),
        END,
    )
    outline(stream)
    assert [b.to_dict(exclude_none=True) for b in wire.read_by_sdk(stream).content] == [
        {"type": "tool_use", "id": "a", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "b", "name": "f", "input": {"b": 2}},
        {"type": "text", "text": "meanwhile, done"},
    ]


def test_text_that_goes_on_after_another_part_goes_into_a_further_block() -> None:
    stream = encode(
        START,
        TextDelta(index=0, text="a"),
        ReasoningDelta(index=1, text="b"),
        TextDelta(index=0, text="c"),
        END,
    )
    outline(stream)
    assert collect(decode(stream)).parts == (Text(text="a"), Reasoning(text="b"), Text(text="c"))


def test_what_waits_for_a_call_that_never_becomes_whole_comes_at_the_end() -> None:
    stream = encode(
        START,
        ToolCallStarted(index=0, id="a", name="f"),
        ToolCallDelta(index=0, arguments='{"cut'),
        ToolCallStarted(index=1, id="b", name="f"),
        ToolCallStarted(index=2, id="c", name="f"),
        TextDelta(index=3, text="x"),
        END,
    )
    outline(stream)
    assert collect(decode(stream)).parts == (
        ToolCall(id="a", name="f", arguments='{"cut'),
        ToolCall(id="b", name="f", arguments=""),
        ToolCall(id="c", name="f", arguments=""),
        Text(text="x"),
    )


def test_arguments_of_a_call_that_never_began_are_dropped() -> None:
    stream = encode(START, TextDelta(index=0, text="a"), ToolCallDelta(index=1, arguments="{}"), END)
    assert outline(stream)[1:4] == ["text", "text_delta", "content_block_stop"]
    assert collect(decode(stream)).parts == (Text(text="a"),)


def test_a_refusal_is_told_at_the_end() -> None:
    stream = encode(START, RefusalDelta(index=0, text="I "), RefusalDelta(index=0, text="cannot"), END)
    outline(stream)
    message = wire.read_by_sdk(stream)
    assert (message.stop_reason, message.content) == ("refusal", [])
    assert message.stop_details is not None
    assert message.stop_details.explanation == "I cannot"


@pytest.mark.parametrize(
    ("finished", "reason", "sequence"),
    [
        (Finished(reason="stop", stop_sequence="END"), "stop_sequence", "END"),
        (Finished(reason="length", raw_reason="model_context_window_exceeded"), "model_context_window_exceeded", None),
        (Finished(reason="content_filter"), "refusal", None),
        (Finished(reason="other", raw_reason="eos"), "end_turn", None),
    ],
)
def test_endings(finished: Finished, reason: str, sequence: str | None) -> None:
    message = wire.read_by_sdk(encode(START, finished))
    assert (message.stop_reason, message.stop_sequence) == (reason, sequence)


def test_usage_known_at_the_start_stays_when_the_end_tells_none() -> None:
    stream = encode(Started(id="1", model="m", usage=Usage(input=7, cache_read=2)), Finished(reason="stop"))
    first, last = wire.sent(stream)[0]["message"]["usage"], wire.sent(stream)[1]["usage"]
    assert first == last
    assert (first["input_tokens"], first["cache_read_input_tokens"]) == (5, 2)


def test_a_broken_stream_ends_with_an_error_and_nothing_else() -> None:
    broken = Broken(kind="overloaded", message="gone")
    stream = encode(START, TextDelta(index=0, text="a"), broken)
    last = wire.sent(stream)[-1]
    assert last == {"type": "error", "error": {"type": "api_error", "message": "gone"}}
    assert b"message_stop" not in stream
    with pytest.raises(sdk.APIStatusError, match="gone"):
        wire.read_by_sdk(stream)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("rate_limited", "rate_limit_error"),
        ("timeout", "timeout_error"),
        ("bad_request", "invalid_request_error"),
        ("pool", "overloaded_error"),
        ("cut", "api_error"),
    ],
)
def test_broken_streams_in_anthropics_own_error_types(kind: str, error: str) -> None:
    (data,) = wire.sent(encode(Broken(kind=kind, message="x")))
    assert data["error"]["type"] == error


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
names = st.text("abcXYZ_-", min_size=1, max_size=6)
objects = st.dictionaries(words, st.none() | st.integers() | words, max_size=3).map(json.dumps)


@st.composite
def parts(draw: st.DrawFn) -> tuple[Text | Reasoning | ToolCall | Refusal, ...]:
    """Parts as a model can give them; a refusal stands last, where Anthropic tells it."""
    some = st.one_of(
        st.builds(Text, text=words),
        st.builds(Reasoning, text=words, signature=st.none() | names),
        st.builds(Reasoning, redacted=names),
        st.builds(ToolCall, id=names, name=names, arguments=objects | st.just("")),
    )
    return (*draw(st.lists(some, max_size=5)), *draw(st.lists(st.builds(Refusal, text=words), max_size=1)))


def deltas(draw: st.DrawFn, index: int, part: Text | Reasoning | ToolCall | Refusal) -> list[Event]:
    """`part` as a stream tells it, in pieces of any size."""

    def pieces(text: str) -> list[str]:
        at = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=3))})
        return [text[a:b] for a, b in pairwise(at)]

    match part:
        case Text(text=text):
            return [TextDelta(index=index, text=piece) for piece in pieces(text)]
        case Refusal(text=text):
            return [RefusalDelta(index=index, text=piece) for piece in pieces(text)]
        case Reasoning(redacted=str(redacted)):
            return [ReasoningDelta(index=index, redacted=redacted)]
        case Reasoning(text=text, signature=signature):
            told = [ReasoningDelta(index=index, text=piece) for piece in pieces(text)]
            return [*told, ReasoningDelta(index=index, signature=signature)] if signature else [*told]
        case ToolCall(id=call_id, name=name, arguments=arguments):
            calls = [ToolCallDelta(index=index, arguments=piece) for piece in pieces(arguments)]
            return [ToolCallStarted(index=index, id=call_id, name=name), *calls]


usages = st.builds(
    lambda plain, read, write, output, reasoning: Usage(
        input=plain + read + write,
        output=output,
        cache_read=read,
        cache_write=write,
        reasoning=min(reasoning, output),
    ),
    *[st.integers(0, 10**6)] * 5,
)
reasons: st.SearchStrategy[FinishReason] = st.sampled_from(["stop", "length", "tool_calls", "refusal", "pause"])


@given(st.data(), parts(), usages, reasons)
def test_what_is_encoded_decodes_to_the_same_answer(
    data: st.DataObject, told: Any, usage: Usage, reason: FinishReason
) -> None:
    events = [event for index, part in enumerate(told) for event in data.draw(_deltas_of(index, part))]
    stream = encode(START, *events, Finished(reason=reason, usage=usage))
    outline(stream)
    answer = collect(decode(stream))
    refused = any(isinstance(part, Refusal) for part in told)
    assert answer.parts == told
    assert answer.usage == usage
    assert answer.finish == ("refusal" if refused else reason)


@given(st.data(), st.lists(st.builds(ToolCall, id=names, name=names, arguments=objects), max_size=4))
def test_calls_survive_any_interleaving(data: st.DataObject, calls: list[ToolCall]) -> None:
    queues = [data.draw(_deltas_of(index, call)) for index, call in enumerate(calls)]
    order = [queue.pop(0) for queue in queues]
    while any(queues):
        order.append(data.draw(st.sampled_from([queue for queue in queues if queue])).pop(0))
    stream = encode(START, *order, END)
    outline(stream)
    assert collect(decode(stream)).parts == tuple(calls)


@st.composite
def _deltas_of(draw: st.DrawFn, index: int, part: Any) -> list[Event]:
    return deltas(draw, index, part)
