"""Server-sent events as the standard and real providers send them, cut anywhere."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.dialects.sse import LIMIT, Boundary, EventTooLong, Frame, Frames, frame

CASES = [
    (b"data: a\n\ndata: b\n\n", [Frame(None, b"a"), Frame(None, b"b")]),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", [Frame(None, b"a"), Frame(None, b"b")]),
    (b"data: a\r\rdata: b\r\r", [Frame(None, b"a"), Frame(None, b"b")]),
    (b"data: a\n\r\ndata: b\r\n\n", [Frame(None, b"a"), Frame(None, b"b")]),
    (b"\xef\xbb\xbfdata: a\n\n", [Frame(None, b"a")]),
    (b"data: \xef\xbb\xbfa\n\n", [Frame(None, b"\xef\xbb\xbfa")]),
    (b"data:a\n\n", [Frame(None, b"a")]),
    (b"data:  a \n\n", [Frame(None, b" a ")]),
    (b"data: a\ndata:b\ndata\n\n", [Frame(None, b"a\nb\n")]),
    (b"data\n\n", [Frame(None, b"")]),
    (b": keep-alive\n\n:\ndata: a\n: b\ndata: c\n\n", [Frame(None, b"a\nc")]),
    (b"id: 7\nretry: 10\nwhat: x\ndatas: y\ndata: a\n\n", [Frame(None, b"a")]),
    (b"event: ping\n\ndata: a\n\n", [Frame(None, b"a")]),
    (b"event: delta\ndata: {}\n\ndata: a\n\n", [Frame("delta", b"{}"), Frame(None, b"a")]),
    (b"event:\ndata: a\n\n", [Frame(None, b"a")]),
    (b"event: \xff\ndata: a\n\n", [Frame("\ufffd", b"a")]),
    (b"data: \x00\n\n", [Frame(None, b"\x00")]),
    ("data: a\u2028b\u2029c\x85d\x0be\x0cf\n\n".encode(), [Frame(None, "a\u2028b\u2029c\x85d\x0be\x0cf".encode())]),
    (b"data: a\n\ndata: last", [Frame(None, b"a"), Frame(None, b"last")]),
    (b"data: a\n", [Frame(None, b"a")]),
    (b"data: a\r", [Frame(None, b"a")]),
    (b"\n\n\r\n\r\r", []),
    (b"", []),
]


def parse(pieces: list[bytes], limit: int = LIMIT) -> list[Frame]:
    frames = Frames(limit)
    return [frame for piece in pieces for frame in frames.feed(piece)] + frames.end()


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(at), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize(("data", "expected"), CASES)
def test_frames_are_the_same_however_the_bytes_are_cut(data: bytes, expected: list[Frame]) -> None:
    assert parse([data]) == expected
    assert parse([data[i : i + 1] for i in range(len(data))]) == expected
    for i in range(len(data) + 1):
        assert parse([data[:i], data[i:]]) == expected


STREAMS = st.lists(
    st.sampled_from([b"data: a", b"data:", b"event: e", b": c", b"\n", b"\r\n", b"\r", b"\n\n", b"\xef\xbb\xbf", b"x"])
).map(b"".join)


@given(STREAMS, st.lists(st.integers(0, 80)))
def test_any_cut_gives_the_same_frames(data: bytes, at: list[int]) -> None:
    assert parse(cut(data, [min(i, len(data)) for i in at])) == parse([data])


@given(STREAMS, st.lists(st.integers(0, 80)))
def test_boundary_returns_all_bytes_in_whole_events(data: bytes, at: list[int]) -> None:
    """What came out so far parses to the same frames as a prefix of the stream, with no event left open."""
    boundary = Boundary()
    out = b""
    for piece in cut(data, [min(i, len(data)) for i in at]):
        out += boundary.feed(piece)
        whole = Frames()
        assert whole.feed(out) == parse([data])[: len(parse([out]))]
        assert whole.end() == []
    assert out + boundary.rest == data
    assert len(parse([boundary.rest])) <= 1


@given(st.binary(max_size=40), st.sampled_from([None, "delta", "error"]))
def test_frame_is_read_back(data: bytes, event: str | None) -> None:
    normal = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert parse([frame(data, event)]) == [Frame(event, normal)]


def test_frame_of_one_line() -> None:
    assert frame(b"{}") == b"data: {}\n\n"
    assert frame(b"{}", "ping") == b"event: ping\ndata: {}\n\n"


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("line", [b"data: " + b"x" * 200, b"data: x\n" * 30, b"x" * 200])
def test_an_endless_event_is_refused(size: int, line: bytes) -> None:
    """However it comes: in one line, in many, in a field nobody reads."""
    with pytest.raises(EventTooLong, match="longer than 100 bytes"):
        parse([line[i : i + size] for i in range(0, len(line), size)], 100)
    boundary = Boundary(100)
    with pytest.raises(EventTooLong, match="longer than 100 bytes"):
        [boundary.feed(line[i : i + size]) for i in range(0, len(line), size)]


def test_many_small_events_and_endless_heartbeats_are_no_long_event() -> None:
    data = b"data: abcdefgh\n\n" * 50 + b": still here\n" * 50 + b"data: z\n\n"
    assert len(parse([data], 100)) == 51
    assert len(parse([data[i : i + 3] for i in range(0, len(data), 3)], 100)) == 51


def test_the_default_limit_is_a_mebibyte() -> None:
    assert parse([b"data: " + b"x" * (LIMIT - 6) + b"\n\n"]) == [Frame(None, b"x" * (LIMIT - 6))]
    with pytest.raises(EventTooLong):
        parse([b"data: " + b"x" * (LIMIT - 5) + b"\n\n"])


def test_a_line_end_held_back_is_not_the_one_that_ended_the_event() -> None:
    boundary = Boundary()
    assert boundary.feed(b"event: e\n\r\r") + boundary.feed(b"\n") + boundary.rest == b"event: e\n\r\r\n"


def test_a_crlf_split_between_two_reads_ends_one_event() -> None:
    boundary = Boundary()
    assert boundary.feed(b"data: a\r\n\r") == b"data: a\r\n\r"
    assert boundary.feed(b"") == b""
    assert boundary.feed(b"\n") == b"\n"
    assert boundary.feed(b"data: b\n\n") == b"data: b\n\n"
    assert boundary.feed(b"data: c\r\r") == b"data: c\r\r"
    assert boundary.feed(b"data: d\r\r") == b"data: d\r\r"
    assert boundary.rest == b""
