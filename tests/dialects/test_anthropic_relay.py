"""Anthropic's streams passed on: whole events, unchanged, and what is learned from them on the way."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dialects import anthropic_wire as wire

from fairlead.canonical.events import Broken, Finished, Started
from fairlead.canonical.usage import Usage
from fairlead.dialects import anthropic

STREAM = (
    wire.start(cache_read_input_tokens=7)
    + wire.PING
    + wire.text(0, 'an "error" and a "message_stop" in words', "é\u2028", "plain")
    + wire.tool(1, "t", "f", '{"type":"message_stop"}', '"error"')
    + wire.end("tool_use", usage={"output_tokens": 42})
)


def relay() -> anthropic.Relay:
    return anthropic.Relay(hide_usage=False)


def test_every_byte_goes_through_and_all_is_learned() -> None:
    passing = relay()
    assert passing.feed(STREAM) == STREAM
    assert (passing.begun, passing.finished, passing.end(), passing.broken) == (True, True, b"", None)
    assert passing.usage == Usage(input=17, output=42, cache_read=7)
    assert passing.model == "claude-haiku-4-5"


@given(st.lists(st.integers(0, len(STREAM)), max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_cut_gives_the_same_bytes_in_whole_events(cuts: list[int], newline: bytes) -> None:
    stream = STREAM.replace(b"\n", newline)
    at = [0, *sorted(cuts), len(stream)]
    passing = relay()
    passed = b""
    for a, b in pairwise(at):
        passed += passing.feed(stream[a:b])
        assert stream.startswith(passed.rstrip(b"\r\n"))
        assert not passed or passed.endswith((b"\n\n", b"\n\r\n", b"\n\r", b"\r\r"))
    assert passed.rstrip(b"\r\n") == stream.rstrip(b"\r\n")
    assert passing.finished
    assert passing.usage == Usage(input=17, output=42, cache_read=7)


def test_a_last_event_needs_no_blank_line() -> None:
    for cut in (1, 2):
        passing = relay()
        assert passing.feed(STREAM[:-60]) + passing.feed(STREAM[-60:-cut]) == STREAM
        assert (passing.finished, passing.end(), passing.broken) == (True, b"", None)
        assert passing.feed(b"\n") == b""
    passing = relay()
    text = wire.tool(0, "t", "f", '{"message_stop"', "}")
    assert passing.feed(wire.start()) + b"".join(passing.feed(bytes([byte])) for byte in text) == wire.start() + text
    assert not passing.finished


@given(st.integers(0, len(STREAM)))
def test_it_learns_what_the_decoder_learns(cut: int) -> None:
    passing, decoder = relay(), anthropic.Decoder()
    passing.feed(STREAM[:cut])
    assert passing.begun == any(isinstance(event, Started) for event in decoder.feed(STREAM[:cut]))
    (*_, last) = [*anthropic.Decoder().feed(STREAM), *decoder.end()]
    assert passing.finished == isinstance(last, Finished)
    assert passing.end() == b""
    assert passing.broken == (None if passing.finished else last)


def test_a_ping_alone_begins_nothing() -> None:
    passing = relay()
    assert passing.feed(wire.PING + b": comment\n\n" + wire.event("tomorrow")) != b""
    assert (passing.begun, passing.usage) == (False, None)
    assert passing.feed(wire.start()) == wire.start()
    assert (passing.begun, passing.usage) == (True, Usage(input=10, output=1))


def test_an_event_is_held_back_until_it_is_whole() -> None:
    passing = relay()
    passing.feed(wire.start())
    text = wire.text(0, "a")
    assert passing.feed(text[:-9]) + passing.feed(text[-9:]) == text
    assert passing.feed(b"event: content_block_delta\ndata: {") == b""


def test_an_error_event_is_told_and_not_passed_on() -> None:
    error = wire.event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    for spelled in (error, error.removeprefix(b"event: error\n"), error.replace(b"event: ", b"event:")):
        passing = relay()
        before = wire.start() + wire.text(0, "a")
        assert passing.feed(before + spelled + wire.end()) == before
        assert passing.broken is not None
        assert passing.broken.kind == "overloaded"
        assert passing.feed(wire.end()) == b""
        assert passing.end() == b""
        passing = relay()
        assert passing.feed(before + spelled + wire.end().removesuffix(b"\n\n")) == before
        assert (passing.finished, passing.end()) == (False, b"")
        assert not passing.finished


def test_an_end_alone_is_no_answer_even_without_its_blank_line() -> None:
    passing = relay()
    assert passing.feed(wire.event("message_stop").removesuffix(b"\n\n")) == b""
    assert (passing.begun, passing.finished) == (False, False)


def test_an_error_first_leaves_the_stream_unbegun() -> None:
    passing = relay()
    assert passing.feed(wire.event("error", error={"type": "rate_limit_error"})) == b""
    assert not passing.begun
    assert passing.broken is not None
    assert passing.broken.kind == "rate_limited"


@pytest.mark.parametrize(
    "first",
    [
        wire.text(0, "a"),
        wire.event("message_stop"),
        wire.event("message_start"),
        b"data: {oops\n\n",
        b"data: <html>\n\n",
        b'data: {"x":' + b"[" * 3000 + b"\n\n",
    ],
)
def test_what_does_not_begin_as_a_stream_is_broken(first: bytes) -> None:
    passing = relay()
    assert passing.feed(first) == b""
    assert passing.broken is not None
    assert passing.broken.kind == "protocol"
    assert not passing.begun


def test_a_second_start_breaks_the_stream() -> None:
    passing = relay()
    assert passing.feed(wire.start() + wire.start()) == wire.start()
    assert passing.broken is not None
    assert passing.broken.kind == "protocol"


def test_an_endless_event_breaks_the_stream() -> None:
    passing = relay()
    passing.feed(wire.start())
    assert passing.feed(b"data: " + b"x" * (1 << 21)) == b""
    passing.end()
    assert isinstance(passing.broken, Broken)
    assert passing.broken is not None
    assert passing.broken.kind == "protocol"


def test_an_end_before_message_stop_is_a_cut() -> None:
    passing = relay()
    passing.feed(STREAM.removesuffix(wire.event("message_stop")))
    passing.end()
    broken = passing.broken
    assert broken is not None
    assert broken.kind == "cut"
    passing.end()
    assert passing.broken is broken


def test_what_follows_the_end_is_not_passed_on() -> None:
    passing = relay()
    assert passing.feed(STREAM + wire.PING) == STREAM
    assert passing.feed(wire.PING) == b""


def test_usage_stays_unknown_where_nobody_tells_it() -> None:
    passing = relay()
    passing.feed(wire.event("message_start", message={"id": "1", "model": "m"}))
    assert passing.usage is None
    passing.feed(wire.event("message_delta", delta={}, usage={"output_tokens": 3}))
    assert passing.usage == Usage(output=3)


def test_an_event_that_breaks_off_in_its_middle_breaks_the_stream() -> None:
    """An event whose data is no object is noticed without reading every delta."""
    watched = relay()
    out = watched.feed(wire.start() + wire.text(0, "hello"))
    out += watched.feed(b'event: content_block_delta\ndata: {"type":"content_bl\n\n')
    assert watched.broken is not None
    assert watched.broken.kind == "protocol"
    assert b"content_bl\n" not in out
