"""Pass-through: the provider's bytes, whole events only, and what is learned on the way."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dialects.strategies import answers, events

from fairlead.canonical.events import Broken, Event, Finished
from fairlead.canonical.usage import Usage
from fairlead.dialects.openai_chat import Decoder, Encoder, Relay
from fairlead.dialects.sse import LIMIT

DATA = Path(__file__).parent / "data" / "openai_chat"
STREAMS = {path.stem: path.read_bytes() for path in sorted(DATA.glob("*.sse"))}
WHOLE = [name for name in STREAMS if name not in ("cut", "openrouter_error")]


def relay(*pieces: bytes, hide_usage: bool = False) -> tuple[bytes, Relay]:
    """What went through, and the relay after the socket's clean end."""
    under_test = Relay(hide_usage=hide_usage)
    passed = b"".join(under_test.feed(piece) for piece in pieces)
    under_test.end()
    return passed, under_test


def read(data: bytes) -> list[Event]:
    decoder = Decoder()
    return decoder.feed(data) + decoder.end()


def without_usage(told: list[Event]) -> list[Event]:
    return [msgspec.structs.replace(e, usage=None) if isinstance(e, Finished) else e for e in told]


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)


def chunk(text: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}], **more}


DONE = b"data: [DONE]\n\n"
TEXT = sse(chunk("x"))


@pytest.mark.parametrize("name", WHOLE)
def test_bytes_pass_unchanged(name: str) -> None:
    data = STREAMS[name]
    passed, after = relay(data)
    finished = read(data)[-1]
    assert isinstance(finished, Finished)
    assert (passed, after.finished, after.broken, after.begun) == (data, True, None, True)
    assert after.usage == finished.usage
    assert after.model


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("hide_usage", [True, False])
def test_any_cut_passes_the_same_bytes(name: str, hide_usage: bool) -> None:
    data = STREAMS[name]
    expected, whole = relay(data, hide_usage=hide_usage)
    for size in (1, 2, 3, 50, 199):
        pieces = [data[i : i + size] for i in range(0, len(data), size)]
        passed, after = relay(*pieces, hide_usage=hide_usage)
        assert read(passed) == read(expected)
        assert (after.usage, after.model, after.finished, after.broken) == (
            whole.usage,
            whole.model,
            whole.finished,
            whole.broken,
        )
        if not data.endswith(b"\r\n\r\n"):
            assert passed == expected


@given(answers(), st.booleans(), st.booleans(), st.lists(st.integers(0, 3000), max_size=8), st.booleans())
def test_relay_and_decoder_agree(
    answer: Any, include_usage: bool, hide_usage: bool, cuts: list[int], crlf: bool
) -> None:
    encoder = Encoder(include_usage=include_usage)
    data = b"".join(encoder.encode(event) for event in events(answer))
    data = data.replace(b"\n", b"\r\n") if crlf else data
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    passed, after = relay(*(data[a:b] for a, b in pairwise(edges)), hide_usage=hide_usage)
    told = read(data)
    assert read(passed) == (without_usage(told) if hide_usage else told)
    finished = told[-1]
    assert isinstance(finished, Finished)
    assert (after.finished, after.usage, after.model) == (True, finished.usage, answer.model)


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("openai_text", True),
        ("openai_tools", True),
        ("azure_text", True),
        ("mistral_usage_on_choice", False),
        ("deepseek_reasoning", False),
        ("groq_without_done", False),
    ],
)
def test_only_a_chunk_of_usage_alone_is_hidden(name: str, hidden: bool) -> None:
    data = STREAMS[name]
    passed, after = relay(data, hide_usage=True)
    assert after.usage == relay(data)[1].usage is not None
    assert (passed != data) == hidden
    assert (b'"choices":[],' in passed) == (name == "azure_text" and b'{"choices":[],' in passed)
    rest = data
    for event in data.split(b"\n\n"):
        if b'"choices":[],"usage":{' in event:
            rest = rest.replace(event + b"\n\n", b"")
    assert passed == rest


@pytest.mark.parametrize(
    ("data", "passed", "kind"),
    [
        (b"", b"", "cut"),
        (b"<html><p>no</p>\n\n</html>", b"<html><p>no</p>\n\n", "cut"),
        (b": hi\n\n" + TEXT, b": hi\n\n" + TEXT, "cut"),
        (TEXT + TEXT[:-2], TEXT, "cut"),
        (b"data: <html>\n\n", b"", "protocol"),
        (b"data: {}\n\n" + b'data: {"choices":1}\n\n', b"data: {}\n\n", "protocol"),
        (TEXT + b'data: {"x":\n\n' + DONE, TEXT, "protocol"),
        (DONE, b"", "protocol"),
        (sse({"choices": []}) + DONE, sse({"choices": []}), "protocol"),
        (DONE[:-2], b"", "protocol"),
        (sse({"error": {"code": "insufficient_quota", "message": "x"}}) + DONE, b"", "quota"),
        (TEXT + sse({"error": {"code": 503, "message": "x"}}) + TEXT + DONE, TEXT, "overloaded"),
        (TEXT + b"data: " + b"x" * (LIMIT + 1), b"", "protocol"),
    ],
)
def test_broken_streams_never_look_finished(data: bytes, passed: bytes, kind: str) -> None:
    got, after = relay(data)
    assert after.broken is not None
    assert (got, after.broken.kind, after.finished) == (passed, kind, False)
    assert after.feed(TEXT) == b""
    after.end()


def test_an_error_event_is_held_back_however_it_is_cut() -> None:
    data = STREAMS["openrouter_error"]
    for size in (1, 10, 1000):
        passed, after = relay(*(data[i : i + size] for i in range(0, len(data), size)))
        assert after.broken == Broken(
            kind="server_error", message="the provider ended the stream with an error", status=502
        )
        assert b"10.1.2.3" not in passed
        assert b"Par" in passed


@pytest.mark.parametrize("marker", [b"data: [DONE]", b"data:[DONE]\n", b"data: [DONE]\r\n", b"data: [DONE] \n"])
def test_an_end_marker_without_its_blank_line_still_reaches_the_client(marker: bytes) -> None:
    """A provider may close right behind it; the client waits for a whole event."""
    data = TEXT * 2 + marker
    for at in range(len(TEXT), len(data)):
        passed, after = relay(data[:at], data[at:])
        assert (after.finished, after.broken) == (True, None)
        assert passed == TEXT * 2 + marker.strip() + b"\n\n"


def test_a_bare_end_marker_is_none() -> None:
    assert relay(TEXT, b"[DONE]")[1].broken is not None


def test_what_follows_the_end_is_dropped() -> None:
    passed, after = relay(TEXT + DONE + sse({"error": {"code": 500}}) + TEXT)
    assert (passed, after.finished) == (TEXT + DONE, True)
    assert after.feed(TEXT) == b""


def test_a_finish_reason_will_do_for_an_end_marker() -> None:
    data = TEXT + sse(chunk("", "stop"))
    passed, after = relay(TEXT, data[len(TEXT) :])
    assert (passed, after.end(), after.finished, after.broken) == (data, b"", True, None)


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" , ", " : ")])
def test_usage_is_found_in_any_spelling(separators: tuple[str, str]) -> None:
    chunks = [chunk("x", usage=None), chunk("y", usage=None), {"choices": [], "usage": {"prompt_tokens": 3}}]
    data = b"".join(b"data: " + json.dumps(one, separators=separators).encode() + b"\n\n" for one in chunks) + DONE
    pieces = [event + b"\n\n" for event in data.split(b"\n\n")[:-1]]
    assert relay(*pieces)[0] == data
    passed, after = relay(*pieces, hide_usage=True)
    assert after.usage == Usage(input=3)
    assert passed == data.replace(pieces[2], b"")


def test_usage_on_every_chunk_is_counted_once_and_a_broken_one_never() -> None:
    chunks = [chunk("x", usage={"prompt_tokens": 3, "completion_tokens": n}) for n in (1, 2)]
    odd = chunk("z", usage={"prompt_tokens": "many"})
    data = sse(*chunks, odd) + DONE
    passed, after = relay(*(event + b"\n\n" for event in data.split(b"\n\n")[:-1]), hide_usage=True)
    assert (passed, after.usage) == (data, Usage(input=3, output=2))


def test_text_that_talks_about_usage_and_ends_is_only_text() -> None:
    data = TEXT + sse(chunk('"usage": {"prompt_tokens": 1} "error" [DONE] "finish_reason":"stop"')) * 2
    for pieces in ([data], [event + b"\n\n" for event in data.split(b"\n\n")[:-1]]):
        passed, after = relay(*pieces, DONE)
        assert (passed, after.usage, after.finished) == (data + DONE, None, True)


def test_an_error_beside_an_open_choice_is_an_error() -> None:
    passed, after = relay(TEXT, sse(chunk("", error={"code": 502, "message": "x"})), DONE)
    assert (passed, after.broken is not None) == (TEXT, True)


def test_several_events_in_one_piece_hide_nothing() -> None:
    """Two choices in one chunk do not make up for an end or an error beside it."""
    two = chunk("x")
    two["choices"] *= 2
    passed, after = relay(TEXT, sse(two) + DONE, TEXT)
    assert (passed, after.finished) == (TEXT + sse(two) + DONE, True)
    passed, after = relay(TEXT, sse(two) + sse({"error": {"code": 500}}), TEXT)
    assert (passed, after.broken is not None) == (TEXT + sse(two), True)
    mixed = TEXT + DONE.replace(b"\n", b"\r\n")
    assert relay(TEXT, mixed, TEXT)[0] == TEXT + mixed
    plain = sse(chunk("x", usage=None)) * 3
    assert relay(TEXT, plain, DONE)[0] == TEXT + plain + DONE


def test_begun_means_that_the_answer_has_a_choice() -> None:
    under_test = Relay(hide_usage=False)
    assert under_test.feed(b": hb\n\n" + sse({"id": "x", "choices": []})) != b""
    assert not under_test.begun
    under_test.feed(TEXT)
    assert under_test.begun


def test_a_last_event_needs_no_blank_line_and_no_end_marker() -> None:
    """A finish reason and the socket's clean end are enough; the client gets the end marker all the same."""
    last = sse(chunk("y", "stop"))
    watched = Relay(hide_usage=False)
    assert watched.feed(TEXT + last[:-1]) == TEXT
    assert watched.end() == last + DONE
    assert (watched.finished, watched.broken) == (True, None)


def test_one_of_two_choices_that_finished_is_no_end() -> None:
    """An end marker is made up only where every choice has its finish reason."""
    first, second = ({"index": index, "delta": {"content": "x"}, "finish_reason": None} for index in (0, 1))
    done = {"index": 0, "delta": {}, "finish_reason": "stop"}
    watched = Relay(hide_usage=False)
    watched.feed(b"".join(sse({"model": "m", "choices": [choice]}) for choice in (first, second, done)))
    assert watched.end() == b""
    assert watched.broken is not None
    assert watched.broken.kind == "cut"
