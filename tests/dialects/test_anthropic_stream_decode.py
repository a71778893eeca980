"""Anthropic's streams as events: the situations that a stream can be in, at any cut of its bytes."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dialects import anthropic_wire as wire

from fairlead.canonical.chat import FinishReason, Reasoning, Refusal, Text, ToolCall
from fairlead.canonical.events import (
    Broken,
    Event,
    Finished,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    collect,
)
from fairlead.canonical.usage import Usage
from fairlead.dialects import anthropic

STARTED = Started(id="msg_1", model="claude-haiku-4-5", usage=Usage(input=10, output=1))

RICH = (
    wire.start(cache_read_input_tokens=7)
    + wire.PING
    + wire.block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "hm é\u2028"},
        {"type": "signature_delta", "signature": "sig=="},
    )
    + wire.block(1, {"type": "redacted_thinking", "data": "op=="})
    + wire.block(
        2,
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"q":1}'},
    )
    + wire.block(3, {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"text": 5}]})
    + wire.text(4, "Hello", "", " world")
    + wire.tool(5, "toolu_1", "f", "", '{"a":', ' "\U0001f600"}')
    + wire.text(6)
    + wire.tool(7, "toolu_2", "g")
    + wire.end("tool_use", usage={"output_tokens": 42})
)


def decode(*pieces: bytes) -> list[Event]:
    decoder = anthropic.Decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.end()


def test_a_plain_stream() -> None:
    assert decode(wire.start() + wire.text(0, "Hello", " world") + wire.end()) == [
        STARTED,
        TextDelta(index=0, text="Hello"),
        TextDelta(index=0, text=" world"),
        Finished(reason="stop", raw_reason="end_turn", usage=Usage(input=10, output=5)),
    ]


def test_a_rich_stream_keeps_a_dense_index_over_blocks_that_only_anthropic_has() -> None:
    assert decode(RICH) == [
        Started(id="msg_1", model="claude-haiku-4-5", usage=Usage(input=17, output=1, cache_read=7)),
        ReasoningDelta(index=0, text="hm é\u2028"),
        ReasoningDelta(index=0, signature="sig=="),
        ReasoningDelta(index=1, redacted="op=="),
        TextDelta(index=2, text="Hello"),
        TextDelta(index=2, text=" world"),
        ToolCallStarted(index=3, id="toolu_1", name="f"),
        ToolCallDelta(index=3, arguments='{"a":'),
        ToolCallDelta(index=3, arguments=' "\U0001f600"}'),
        ToolCallStarted(index=4, id="toolu_2", name="g"),
        Finished(reason="tool_calls", raw_reason="tool_use", usage=Usage(input=17, output=42, cache_read=7)),
    ]
    assert collect(decode(RICH)).parts == (
        Reasoning(text="hm é\u2028", signature="sig=="),
        Reasoning(redacted="op=="),
        Text(text="Hello world"),
        ToolCall(id="toolu_1", name="f", arguments='{"a": "\U0001f600"}'),
        ToolCall(id="toolu_2", name="g", arguments=""),
    )


@given(st.lists(st.integers(0, len(RICH)), max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_cut_gives_the_same_events(cuts: list[int], newline: bytes) -> None:
    stream = RICH.replace(b"\n", newline)
    at = [0, *sorted(cuts), len(stream)]
    assert decode(*(stream[a:b] for a, b in pairwise(at))) == decode(RICH)


def test_byte_by_byte() -> None:
    assert decode(*(RICH[i : i + 1] for i in range(len(RICH)))) == decode(RICH)


def test_usage_of_start_and_delta_are_totals_and_are_not_added_up() -> None:
    stream = wire.start(input_tokens=3, cache_read_input_tokens=100, cache_creation_input_tokens=50) + wire.end(
        usage={
            "input_tokens": 4,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 50,
            "output_tokens": 9,
            "output_tokens_details": {"thinking_tokens": 6},
        }
    )
    finished = decode(stream)[-1]
    assert isinstance(finished, Finished)
    assert finished.usage == Usage(input=154, output=9, cache_read=100, cache_write=50, reasoning=6)


def test_usage_that_nobody_tells_is_none() -> None:
    message = {"id": "1", "model": "m"}
    stream = wire.event("message_start", message=message) + wire.event("message_delta", delta={})
    events = decode(stream + wire.event("message_stop"))
    assert events == [Started(id="1", model="m"), Finished(reason="other")]


@pytest.mark.parametrize(
    ("word", "finish"),
    [("max_tokens", "length"), ("pause_turn", "pause"), ("tomorrow", "other"), (None, "other")],
)
def test_stop_reasons(word: str | None, finish: FinishReason) -> None:
    finished = decode(wire.start() + wire.end(word))[-1]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.raw_reason) == (finish, word)


def test_the_sequence_that_stopped() -> None:
    finished = decode(wire.start() + wire.end("stop_sequence", stop_sequence="END"))[-1]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.stop_sequence) == ("stop", "END")


def test_a_refusal_with_an_empty_block_gives_its_explanation_as_a_part() -> None:
    details = {"type": "refusal", "category": None, "explanation": "I cannot"}
    answer = collect(decode(wire.start() + wire.text(0) + wire.end("refusal", stop_details=details)))
    assert (answer.parts, answer.finish) == ((Refusal(text="I cannot"),), "refusal")


def test_blocks_that_begin_with_content_and_calls_that_come_whole() -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    stream = (
        wire.start()
        + wire.block(0, {"type": "text", "text": "Hel"}, {"type": "text_delta", "text": "lo"})
        + wire.block(1, {"type": "thinking", "thinking": "hm", "signature": "s"})
        + wire.block(2, call)
        + wire.block(3, {**call, "id": "u"}, {"type": "input_json_delta", "partial_json": "{}"})
        + wire.end()
    )
    assert collect(decode(stream)).parts == (
        Text(text="Hello"),
        Reasoning(text="hm", signature="s"),
        ToolCall(id="t", name="f", arguments='{"a": 1}'),
        ToolCall(id="u", name="f", arguments="{}"),
    )


def test_citations_and_events_of_tomorrow_are_passed_over() -> None:
    stream = (
        wire.start()
        + wire.event("tomorrow", index="x", message="soon")
        + b'event: ping\ndata: {}\n\n: comment\n\ndata: {"type":"ping"}\n\n'
        + wire.block(
            0,
            {"type": "text", "text": ""},
            {"type": "citations_delta", "citation": {"text": 5}},
            {"type": "text_delta", "text": "a"},
        )
        + wire.event("content_block_stop", index=9)
        + wire.end()
    )
    assert collect(decode(stream)).parts == (Text(text="a"),)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", "overloaded"),
        ("rate_limit_error", "rate_limited"),
        ("api_error", "server_error"),
        ("authentication_error", "auth"),
        ("permission_error", "auth"),
        ("invalid_request_error", "bad_request"),
        ("timeout_error", "timeout"),
        ("error_of_tomorrow", "server_error"),
    ],
)
def test_an_error_in_mid_stream_breaks_it_and_nothing_follows(kind: str, expected: str) -> None:
    error = wire.event("error", error={"type": kind, "message": "secret words"})
    for spelled in (error, error.removeprefix(b"event: error\n")):
        events = decode(wire.start() + wire.text(0, "a") + spelled + wire.end())
        broken = events[-1]
        assert isinstance(broken, Broken)
        assert broken.kind == expected
        assert ("secret" in broken.message) == (expected == "bad_request")
        assert broken.message
        assert [type(event) for event in events[:-1]] == [Started, TextDelta]


def test_an_error_event_need_not_be_json() -> None:
    assert decode(wire.start() + b"event: error\ndata: oops\n\n")[-1] == Broken(
        kind="server_error", message="the provider broke off with an error"
    )


@pytest.mark.parametrize(
    "bad",
    [
        b"data: {oops\n\n",
        b"data: [1]\n\n",
        b"data: \xff\n\n",
        b'data: {"x":' + b"[" * 3000 + b"\n\n",
        wire.start(),
        wire.event("message_start"),
        wire.event("content_block_start", index=0),
        wire.event("content_block_delta", index=5, delta={"type": "text_delta", "text": "a"}),
        wire.event("content_block_start", index=0, content_block={"type": "tool_use", "name": "f"}),
        wire.event("content_block_start", index=0, content_block={"type": "text", "text": 5}),
        wire.event("message_delta", delta=5),
    ],
)
def test_what_is_no_stream_of_anthropics_breaks_it(bad: bytes) -> None:
    events = decode(wire.start() + bad + wire.end())
    assert [type(event) for event in events] == [Started, Broken]
    assert isinstance(events[-1], Broken)
    assert events[-1].kind == "protocol"


@pytest.mark.parametrize("first", [wire.text(0, "a"), wire.event("message_stop")])
def test_a_stream_has_to_begin_at_its_beginning(first: bytes) -> None:
    (broken,) = decode(first + wire.end())
    assert isinstance(broken, Broken)
    assert broken.kind == "protocol"


def test_an_endless_event_breaks_the_stream() -> None:
    decoder = anthropic.Decoder()
    decoder.feed(wire.start())
    (broken,) = decoder.feed(b"data: " + b"x" * (1 << 21))
    assert isinstance(broken, Broken)
    assert broken.kind == "protocol"
    assert decoder.feed(wire.end()) == decoder.end() == []


@pytest.mark.parametrize("length", [0, 30, len(RICH) // 2, len(RICH) - len(wire.event("message_stop"))])
def test_an_end_before_message_stop_is_a_cut(length: int) -> None:
    last = decode(RICH[:length])[-1]
    assert isinstance(last, Broken)
    assert last.kind == "cut"


def test_a_last_event_needs_no_blank_line_and_nothing_follows_the_end() -> None:
    assert isinstance(decode(RICH.removesuffix(b"\n\n"))[-1], Finished)
    assert decode(RICH, RICH) == decode(RICH)


def test_partial_json_is_passed_on_as_it_is() -> None:
    pieces: Any = ['{"', "a", '": [1, {"b"', ": null}]", "}"]
    events = decode(wire.start() + wire.tool(0, "t", "f", *pieces) + wire.end("tool_use"))
    assert [e.arguments for e in events if isinstance(e, ToolCallDelta)] == pieces


def test_emoji_cut_in_two_come_as_replacements() -> None:
    halves = [rb'"\ud83d"', rb'"\ude00"']
    stream = b"".join(wire.text(0, "@").replace(b'"@"', half) for half in halves)
    assert collect(decode(wire.start() + stream + wire.end())).parts == (Text(text="\ufffd"), Text(text="\ufffd"))
