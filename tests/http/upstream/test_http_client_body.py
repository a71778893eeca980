"""Bodies: three ways to take them, bounds, backpressure, compression, and that no cut of the bytes matters."""

import asyncio
import gzip
import itertools
import zlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.http.client import Client, Reply, UpstreamError
from fairlead.http.connection import Connection
from fairlead.http.inflate import ENCODINGS
from fairlead.http.outbox import outbox_of

Start = Callable[..., Awaitable[Any]]
Ask = Callable[..., Coroutine[Any, Any, Reply]]
Until = Callable[[Callable[[], bool]], Awaitable[None]]
ASK, EOF = "read one request", "close"
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


def whole(body: bytes, *fields: bytes) -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (lines, len(body), body)


def test_the_table_of_encodings_is_covered() -> None:
    assert PACK.keys() == ENCODINGS.keys()


async def test_pieces_come_as_they_were_sent(upstream: Start, ask: Ask) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    steps = [head, first, b"1\r\na\r\n", second, b"2\r\nbc\r\n0\r\n\r\n"]
    reply = await ask(await upstream([ASK, *steps]))
    first.set()
    assert await reply.piece() == b"a"
    second.set()
    assert await reply.piece() == b"bc"
    assert await reply.piece() == b""
    assert await reply.piece() == b""


@pytest.mark.parametrize("way", ["piece", "pipe"])
async def test_what_came_before_a_cut_is_delivered_first(way: str, upstream: Start, ask: Ask) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    reply = await ask(await upstream([ASK, head + b"abc", EOF]))
    taken: list[bytes] = []
    await asyncio.sleep(0.02)

    async def take() -> None:
        if way == "pipe":
            await reply.pipe(taken.append)
        while piece := await reply.piece():
            taken.append(piece)

    with pytest.raises(UpstreamError) as failure:
        await take()
    assert (b"".join(taken), failure.value.kind) == (b"abc", "cut")


@pytest.mark.parametrize("size", [100, 200_000])
async def test_a_body_over_the_limit_is_refused(size: int, upstream: Start, ask: Ask) -> None:
    reply = await ask(await upstream([ASK, whole(b"x" * size)]))
    with pytest.raises(UpstreamError) as failure:
        await reply.read(99)
    assert (failure.value.kind, "too large" in failure.value.message) == ("protocol", True)
    with pytest.raises(UpstreamError):
        await reply.read(1000)


async def test_a_body_over_the_limit_closes_the_connection(upstream: Start, ask: Ask, client: Client) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    reply = await ask(await upstream([ASK, head + b"x" * 100]))
    with pytest.raises(UpstreamError):
        await reply.read(99)
    assert client.open_connections == 0


async def test_a_body_of_the_limit_is_taken(upstream: Start, ask: Ask) -> None:
    assert len(await (await ask(await upstream([ASK, whole(b"x" * 300_000)]))).read(300_000)) == 300_000


async def test_a_body_that_is_here_is_read_without_waiting(upstream: Start, ask: Ask, until: Until) -> None:
    reply = await ask(await upstream([ASK, whole(b"abc")]))
    await until(lambda: reply.complete)
    reading = reply.read(3)
    with pytest.raises(StopIteration) as done:
        reading.send(None)
    assert done.value.value == b"abc"


async def test_pipe_calls_the_sink_for_each_arrival(upstream: Start, ask: Ask) -> None:
    chunks = [b"4\r\n%04d\r\n" % n for n in range(100)]
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    reply = await ask(await upstream([ASK, head, *chunks, b"0\r\n\r\n"]))
    taken: list[bytes] = []
    await reply.pipe(taken.append)
    assert b"".join(taken) == b"".join(b"%04d" % n for n in range(100))


@pytest.mark.parametrize("buffered", [True, False])
async def test_a_sink_that_raises_ends_the_answer(
    buffered: bool, upstream: Start, ask: Ask, client: Client, until: Until
) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    go = asyncio.Event()
    server = await upstream([ASK, head, *([] if buffered else [go]), b"1\r\na\r\n1\r\nb\r\n"])
    reply = await ask(server)
    if buffered:
        await asyncio.sleep(0.02)
    calls: list[bytes] = []

    def sink(piece: bytes) -> None:
        calls.append(piece)
        raise LookupError("full")

    go.set()
    with pytest.raises(LookupError, match="full"):
        await reply.pipe(sink)
    assert len(calls) == 1
    assert client.open_connections == 0
    await until(lambda: server.gone == 1)


async def test_a_sink_may_close_the_answer(upstream: Start, ask: Ask, client: Client) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    reply = await ask(await upstream([ASK, head, 0.01, b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n"]))
    calls: list[bytes] = []

    def sink(piece: bytes) -> None:
        calls.append(piece)
        reply.close()

    with pytest.raises(UpstreamError):
        await reply.pipe(sink)
    assert (calls, client.open_connections) == ([b"a"], 0)


async def test_nobody_reads_so_reading_pauses(upstream: Start, ask: Ask) -> None:
    body = b"x" * 40_000_000
    server = await upstream([ASK, whole(body)])
    reply = await ask(server)
    await asyncio.sleep(0.1)
    assert len(await reply.piece()) <= 64 * 1024 + 256 * 1024
    assert not reply.complete
    rest = 0
    while piece := await reply.piece():
        rest += len(piece)
    assert rest > 39_000_000


async def test_a_slow_client_pauses_the_upstream(upstream: Start, ask: Ask) -> None:
    reply = await ask(await upstream([ASK, whole(b"x" * 40_000_000)]))
    taken: list[int] = []

    def sink(piece: bytes) -> None:
        taken.append(len(piece))
        if len(taken) == 3:
            reply.pause()

    task = asyncio.create_task(reply.pipe(sink))
    await asyncio.sleep(0.1)
    assert sum(taken) < 3_000_000
    reply.resume()
    await task
    assert sum(taken) == 40_000_000


@pytest.mark.parametrize("encoding", PACK)
@pytest.mark.parametrize("way", ["read", "piece", "pipe"])
async def test_compressed_answers_are_decoded(encoding: str, way: str, upstream: Start, ask: Ask) -> None:
    body = b"".join(b"line %d\n" % n for n in range(40_000))
    packed = whole(PACK[encoding](body), b"Content-Encoding: " + encoding.upper().encode())
    server = await upstream([ASK, packed[:150], 0.01, packed[150:]])
    reply = await ask(server, accept_encoding=("gzip", encoding))
    assert b"\r\naccept-encoding: gzip, " + encoding.encode() + b"\r\n" in server.requests[0]
    taken: list[bytes] = []
    if way == "read":
        taken.append(await reply.read(len(body)))
    elif way == "pipe":
        await reply.pipe(taken.append)
    else:
        while piece := await reply.piece():
            taken.append(piece)
    assert b"".join(taken) == body
    assert way == "read" or max(map(len, taken)) <= 64 * 1024


@pytest.mark.parametrize("encoding", PACK)
async def test_a_compressed_body_is_limited_as_it_grows(
    encoding: str, upstream: Start, ask: Ask, client: Client
) -> None:
    packed = whole(PACK[encoding](bytes(4_000_000)), b"Content-Encoding: " + encoding.encode())
    reply = await ask(await upstream([ASK, packed]), accept_encoding=(encoding,))
    with pytest.raises(UpstreamError) as failure:
        await reply.read(100_000)
    assert failure.value.kind == "protocol"


@pytest.mark.parametrize("encoding", PACK)
async def test_a_bomb_is_cut(encoding: str, upstream: Start, ask: Ask, client: Client) -> None:
    packed = whole(PACK[encoding](bytes(64_000_000)), b"Content-Encoding: " + encoding.encode())
    reply = await ask(await upstream([ASK, packed]), accept_encoding=(encoding,))
    taken = 0

    def sink(piece: bytes) -> None:
        nonlocal taken
        taken += len(piece)

    with pytest.raises(UpstreamError) as failure:
        await reply.pipe(sink)
    assert failure.value.kind == "protocol"
    assert taken <= 9 * 1024 * 1024


async def test_a_paused_client_stops_decompression(upstream: Start, ask: Ask, client: Client) -> None:
    packed = whole(gzip.compress(bytes(4_000_000)), b"Content-Encoding: gzip")
    reply = await ask(await upstream([ASK, packed]), accept_encoding=("gzip",))
    taken: list[int] = []

    def sink(piece: bytes) -> None:
        taken.append(len(piece))
        reply.pause()

    task = asyncio.create_task(reply.pipe(sink))
    for turn in range(1, 5):
        await asyncio.sleep(0.01)
        assert len(taken) <= turn
        reply.resume()
    assert max(taken) <= 64 * 1024
    assert client.busy_connections == 0
    while not task.done():
        reply.resume()
        await asyncio.sleep(0)
    await task
    assert sum(taken) == 4_000_000


WRONG: dict[str, tuple[tuple[str, ...], str, bytes, str]] = {
    "not asked for": ((), "gzip", gzip.compress(b"SECRET"), "protocol"),
    "another one": (("br",), "gzip", gzip.compress(b"SECRET"), "protocol"),
    "nested": (("gzip",), "gzip, gzip", gzip.compress(gzip.compress(b"SECRET")), "protocol"),
    "unknown": (("gzip",), "rot13", b"FRPERG", "protocol"),
    "not gzip": (("gzip",), "gzip", b"SECRET", "protocol"),
    "damaged": (("gzip",), "gzip", gzip.compress(b"x" * 99)[:-8] + bytes(8), "protocol"),
    "more after it": (("gzip",), "gzip", gzip.compress(b"x") + b"SECRET", "protocol"),
    "cut": (("gzip",), "gzip", gzip.compress(b"SECRET")[:-4], "cut"),
    "cut br": (("br",), "br", brotli.compress(bytes(range(250)))[:-4], "cut"),
    "cut zstd": (("zstd",), "zstd", zstandard.compress(bytes(range(250)))[:-4], "cut"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_compression_is_no_answer(name: str, upstream: Start, ask: Ask) -> None:
    accepts, encoding, body, kind = WRONG[name]
    server = await upstream([ASK, whole(body, b"Content-Encoding: " + encoding.encode())])
    with pytest.raises(UpstreamError) as failure:
        await (await ask(server, accept_encoding=accepts)).read(1000)
    assert failure.value.kind == kind
    assert "SECRET" not in str(failure.value)


@pytest.mark.parametrize("accepts", [(), ("gzip",)])
async def test_identity_and_empty_bodies_need_no_decoding(accepts: tuple[str, ...], upstream: Start, ask: Ask) -> None:
    answers = [whole(b"ok", b"Content-Encoding: Identity")]
    if accepts:
        answers.append(whole(b"", b"Content-Encoding: gzip"))
    server = await upstream([step for answer in answers for step in (ASK, answer)])
    assert [await (await ask(server, accept_encoding=accepts)).read(2) for _ in answers] == [b"ok", b""][: len(answers)]


async def test_an_unknown_encoding_cannot_be_asked_for(ask: Ask) -> None:
    with pytest.raises(ValueError, match="rot13"):
        await ask(None, accept_encoding=("rot13",), origin={"port": 1})


# Any cut of the bytes.


class Wire:
    """A transport and a pool for one connection, in memory."""

    def __init__(self) -> None:
        self.released = 0

    def write(self, data: bytes) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def release(self, connection: Connection) -> None:
        self.released += 1

    def forget(self, connection: Connection) -> None: ...


async def play(pieces: list[bytes], end: bool) -> tuple[int, dict[bytes, bytes], bytes, int]:
    loop = asyncio.get_running_loop()
    wire = Wire()
    connection = Connection(wire, loop)
    connection.connection_made(cast("asyncio.Transport", wire))
    answer = connection.ask(b"", b"", first_byte=9, idle=9, deadline=loop.time() + 9, accepts=("gzip", "br", "zstd"))
    outbox_of(loop).flush()
    for piece in pieces:
        connection.data_received(piece)
    if end:
        connection.eof_received()
    reply = await answer
    body = await reply.read(1_000_000)
    connection.abort()
    return reply.status, reply.headers, body, wire.released


TEXT = b"data: {}\n\n" * 20
CASES = [
    (whole(TEXT, b"X-A: 1", b"x-a: 2"), False),
    (b"HTTP/1.1 103 Hint\r\nLink: a\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", False),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n3;x\r\nfgh\r\n0\r\nT: u\r\n\r\n", False),
    (b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nuntil the end", True),
    *(
        (whole(pack(TEXT), b"Content-Encoding: " + name.encode()), False)
        for name, pack in PACK.items()
        if name != "deflate"
    ),
]


@given(case=st.sampled_from(CASES), cuts=st.sets(st.integers(1, 400), max_size=40))
@settings(deadline=None, max_examples=300)
def test_no_cut_of_the_bytes_changes_the_answer(case: tuple[bytes, bool], cuts: set[int]) -> None:
    answer, end = case
    marks = [0, *sorted(cut for cut in cuts if cut < len(answer)), len(answer)]
    pieces = [answer[start:stop] for start, stop in itertools.pairwise(marks)]
    assert asyncio.run(play(pieces, end)) == asyncio.run(play([answer], end))


@given(case=st.sampled_from(CASES), share=st.floats(0, 0.999))
@settings(deadline=None, max_examples=200)
def test_no_part_of_an_answer_passes_for_the_whole(case: tuple[bytes, bool], share: float) -> None:
    answer, until_close = case
    part = answer[: int(len(answer) * share)]
    if until_close and b"\r\n\r\n" in part:
        return
    with pytest.raises(UpstreamError) as failure:
        asyncio.run(play([part] if part else [], end=True))
    assert failure.value.kind == "cut"
