"""The server's bounds: sizes, deadlines, and memory held for clients that do not read."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fairlead.http.server import Exchange, Limits, RequestRefused

Serve = Callable[..., Awaitable[Any]]
Until = Callable[[Callable[[], bool]], Awaitable[None]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SOON = 0.2
"""A deadline short enough for a test; others are left at their defaults, far beyond any test."""


async def closed_within(wire: Any, low: float, high: float) -> bytes:
    """What the server still sends until it closes, which must take between `low` and `high` seconds."""
    before = time.monotonic()
    rest: bytes = await wire.rest()
    assert low <= time.monotonic() - before <= high
    return rest


# Sizes.


@pytest.mark.parametrize(
    "sent",
    [
        POST + b"Content-Length: 11\r\n\r\n",
        POST + b"Content-Length: 11\r\n\r\nhello worl",
        POST + b"Content-Length: 1000000000000\r\n\r\n",
        POST + b"Content-Length: 1000000000000\r\nExpect: 100-continue\r\n\r\n",
        POST + b"Content-Length: 11\r\n\r\nhello world",
        CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n",
        CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
        CHUNKED + b"fffffffff\r\nhello world",
    ],
)
async def test_a_body_over_the_limit_is_refused_at_once(serve: Serve, sent: bytes) -> None:
    wire = await (await serve(limits=Limits(body=10))).connect(sent)
    status, headers, _ = await wire.answer()
    assert status == 413
    if not sent.endswith((b"hello world", b"0\r\n\r\n")):
        assert headers["connection"] == "close"


async def test_chunks_over_the_limit_are_refused_at_the_byte(serve: Serve) -> None:
    wire = await (await serve(limits=Limits(body=10))).connect(CHUNKED)
    wire.send(b"a\r\n0123456789\r\n")
    await asyncio.sleep(0.05)
    assert not wire.reader._buffer
    wire.send(b"1\r\nx")
    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (413, "close")
    assert await wire.rest() == b""


@pytest.mark.parametrize("sent", [POST + b"Content-Length: 10\r\n\r\n", CHUNKED + b"a\r\n"])
async def test_a_body_at_the_limit_is_read(serve: Serve, sent: bytes) -> None:
    wire = await (await serve(limits=Limits(body=10))).connect(sent + b"0123456789" + b"\r\n0\r\n\r\n")
    assert (await wire.answer())[2] == b"POST /?|0123456789"


async def test_a_handler_may_set_its_own_limit_and_word_the_refusal(serve: Serve) -> None:
    async def handle(exchange: Exchange) -> None:
        try:
            await exchange.read(4)
        except RequestRefused as refused:
            exchange.send(refused.status, b"x-own: yes\r\n", b"")

    wire = await (await serve(handle)).connect(POST + b"Content-Length: 5\r\n\r\nhello")
    status, headers, _ = await wire.answer()
    assert (status, headers["x-own"]) == (413, "yes")


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (b"GET /", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX", 431),
    ],
)
async def test_a_head_without_an_end_is_cut_off(serve: Serve, start: bytes, status: int) -> None:
    served = await serve()
    wire = await served.connect(start)
    for _ in range(100):
        wire.send(b"a" * 4096)
        await asyncio.sleep(0)
    got, headers, _ = await wire.answer()
    assert (got, headers["connection"]) == (status, "close")
    assert served.server.requests == 0


async def test_a_chunk_extension_without_an_end_is_cut_off(serve: Serve) -> None:
    wire = await (await serve()).connect(CHUNKED + b"5;")
    for _ in range(100):
        wire.send(b"a" * 4096)
        await asyncio.sleep(0)
    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (400, "close")


async def test_tiny_chunks_are_no_offence(serve: Serve) -> None:
    served = await serve()
    wire = await served.connect(CHUNKED)
    for _ in range(100):
        wire.send(b"1\r\na\r\n" * 500)
        await asyncio.sleep(0)
    wire.send(b"0\r\n\r\n")
    assert len((await wire.answer())[2]) == 50_000 + len("POST /?|")


async def test_a_flood_behind_a_request_is_cut_off(serve: Serve, until: Until) -> None:
    """What follows a request that cannot be followed is thrown away, but not for ever."""
    cancelled = asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    wire = await (await serve(handle)).connect(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    wire.send(b"a" * 8_000_000)
    await asyncio.wait_for(cancelled.wait(), 5)


# Deadlines.


async def test_a_silent_client_is_closed_without_a_word(serve: Serve) -> None:
    wire = await (await serve(limits=Limits(head_timeout=SOON))).connect()
    assert await closed_within(wire, SOON * 0.9, SOON * 4) == b""


@pytest.mark.parametrize("sent", [b"P", b"GET / HTTP/1.1\r\nHo"])
async def test_a_head_that_does_not_arrive_is_a_408(serve: Serve, sent: bytes) -> None:
    wire = await (await serve(limits=Limits(head_timeout=SOON))).connect(sent)
    assert (await closed_within(wire, SOON * 0.9, SOON * 4)).startswith(b"HTTP/1.1 408 ")


async def test_a_head_that_trickles_is_a_408(serve: Serve) -> None:
    served = await serve(limits=Limits(head_timeout=SOON))
    wire = await served.connect(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")

    async def trickle() -> None:
        while True:
            wire.send(b"a")
            await asyncio.sleep(0.02)

    task = asyncio.create_task(trickle())
    assert (await closed_within(wire, SOON * 0.9, SOON * 4)).startswith(b"HTTP/1.1 408 ")
    task.cancel()
    assert served.server.requests == 0


async def test_empty_lines_do_not_keep_a_connection(serve: Serve) -> None:
    wire = await (await serve(limits=Limits(head_timeout=SOON))).connect(b"\r\n\r\n")
    assert await closed_within(wire, SOON * 0.9, SOON * 4) == b""


async def test_an_idle_connection_is_closed(serve: Serve) -> None:
    wire = await (await serve(limits=Limits(idle_timeout=SOON))).connect(GET)
    await wire.answer()
    assert await closed_within(wire, SOON * 0.9, SOON * 4) == b""


async def test_the_next_head_on_a_connection_has_its_own_deadline(serve: Serve) -> None:
    wire = await (await serve(limits=Limits(head_timeout=SOON))).connect(GET + b"GET")
    await wire.answer()
    assert (await closed_within(wire, SOON * 0.5, SOON * 4)).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("sent", [POST + b"Content-Length: 5\r\n\r\nhel", CHUNKED + b"5\r\nhel"])
async def test_a_body_that_stops_coming_is_a_408(serve: Serve, sent: bytes) -> None:
    wire = await (await serve(limits=Limits(body_timeout=SOON))).connect(sent)
    rest = await closed_within(wire, SOON * 0.9, SOON * 4)
    assert rest.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in rest


async def test_a_body_that_makes_progress_has_time(serve: Serve) -> None:
    wire = await (await serve(limits=Limits(body_timeout=SOON))).connect(POST + b"Content-Length: 10\r\n\r\n")
    for _ in range(10):
        await asyncio.sleep(SOON / 3)
        wire.send(b"a")
    assert (await wire.answer())[0] == 200


async def test_chunk_overhead_is_no_progress(serve: Serve) -> None:
    wire = await (await serve(limits=Limits(body_timeout=SOON))).connect(CHUNKED + b"5;")

    async def trickle() -> None:
        while True:
            wire.send(b"a")
            await asyncio.sleep(0.02)

    task = asyncio.create_task(trickle())
    assert (await closed_within(wire, SOON * 0.9, SOON * 4)).startswith(b"HTTP/1.1 408 ")
    task.cancel()


async def test_a_slow_handler_has_no_deadline_here(serve: Serve) -> None:
    async def handle(exchange: Exchange) -> None:
        body = await exchange.read()
        await asyncio.sleep(SOON * 3)
        exchange.send(200, b"", body)

    limits = Limits(head_timeout=SOON, body_timeout=SOON, write_timeout=SOON, idle_timeout=SOON)
    wire = await (await serve(handle, limits)).connect(POST + b"Content-Length: 5\r\n\r\n")
    await asyncio.sleep(SOON / 4)
    wire.send(b"hello")
    assert (await wire.answer())[2] == b"hello"


async def test_a_body_that_nobody_asks_for_has_no_deadline(serve: Serve) -> None:
    async def handle(exchange: Exchange) -> None:
        await asyncio.sleep(SOON * 3)
        exchange.send(200, b"", await exchange.read())

    wire = await (await serve(handle, Limits(body_timeout=SOON))).connect(POST + b"Content-Length: 5\r\n\r\n")
    await asyncio.sleep(SOON * 2)
    wire.send(b"hello")
    assert (await wire.answer())[2] == b"hello"


# Clients that do not read.


async def non_reader(port: int, sent: bytes) -> socket.socket:
    """A client with a small buffer of its own, so that what it does not read stays with the server."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    await asyncio.get_running_loop().sock_sendall(sock, sent)
    return sock


async def test_backpressure_reaches_the_handler_and_lifts_again(serve: Serve, until: Until) -> None:
    calls: list[str] = []
    sizes: list[int] = []
    done = asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        exchange.backpressure(lambda: calls.append("pause"), lambda: calls.append("resume"))
        exchange.start(200, b"")
        written = 0
        while not calls:
            exchange.write(b"a" * 1000)
            written += 1000
            await asyncio.sleep(0)
        sizes.append(written)
        await exchange.drain()
        assert calls == ["pause", "resume"]
        exchange.end()
        done.set()

    served = await serve(handle)
    sock = await non_reader(served.port, GET)
    await until(lambda: bool(sizes))
    # What the kernel took stays well under the megabytes that it would take by itself.
    assert 64_000 <= sizes[0] <= 1_000_000
    loop = asyncio.get_running_loop()
    received = 0
    while received < sizes[0]:
        received += len(await asyncio.wait_for(loop.sock_recv(sock, 65536), 5))
    await asyncio.wait_for(done.wait(), 5)
    sock.close()


async def test_backpressure_that_is_on_already_is_told(serve: Serve, until: Until) -> None:
    calls: list[str] = []

    async def handle(exchange: Exchange) -> None:
        exchange.start(200, b"")
        exchange.write(b"a" * 3_000_000)
        exchange.backpressure(lambda: calls.append("pause"), lambda: calls.append("resume"))
        await exchange.drain()

    served = await serve(handle)
    sock = await non_reader(served.port, GET)
    await until(lambda: calls == ["pause"])
    sock.close()


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_client_that_takes_nothing_is_cut_off(serve: Serve, until: Until, streaming: bool) -> None:
    cancelled = asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        if not streaming:
            exchange.send(200, b"", b"a" * 3_000_000)
            return
        exchange.start(200, b"")
        exchange.write(b"a" * 3_000_000)
        try:
            await exchange.drain()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    served = await serve(handle, Limits(write_timeout=SOON))
    sock = await non_reader(served.port, GET)
    await until(lambda: served.server.requests == 1)
    before = time.monotonic()
    await until(lambda: served.server.open_connections == 0)
    assert time.monotonic() - before >= SOON * 0.5
    assert cancelled.is_set() == streaming
    sock.close()


async def test_a_client_that_ends_its_side_and_takes_nothing_is_cut_off(serve: Serve, until: Until) -> None:
    async def handle(exchange: Exchange) -> None:
        exchange.send(200, b"", b"a" * 3_000_000)

    served = await serve(handle, Limits(write_timeout=SOON))
    sock = await non_reader(served.port, GET)
    await until(lambda: served.server.requests == 1 and served.server.in_flight == 0)
    sock.shutdown(socket.SHUT_WR)
    await until(lambda: served.server.open_connections == 0)
    sock.close()


async def test_a_slow_reader_is_not_cut_off(serve: Serve) -> None:
    async def handle(exchange: Exchange) -> None:
        exchange.start(200, b"")
        exchange.write(b"a" * 2_000_000)
        exchange.end()

    served = await serve(handle, Limits(write_timeout=5 * SOON))
    sock = await non_reader(served.port, GET)
    loop = asyncio.get_running_loop()
    data = b""
    while not data.endswith(b"0\r\n\r\n"):
        piece = await asyncio.wait_for(loop.sock_recv(sock, 65536), 5)
        assert piece
        data += piece
        await asyncio.sleep(SOON / 20)
    sock.close()


async def test_requests_wait_while_answers_are_not_taken(serve: Serve, until: Until) -> None:
    async def handle(exchange: Exchange) -> None:
        exchange.send(200, b"", b"a" * 3_000_000)

    served = await serve(handle)
    sock = await non_reader(served.port, GET * 10)
    await until(lambda: served.server.requests == 1 and served.server.in_flight == 0)
    await asyncio.sleep(0.1)
    assert served.server.requests == 1
    loop = asyncio.get_running_loop()
    received = 0
    while received < 10 * 3_000_000:
        received += len(await asyncio.wait_for(loop.sock_recv(sock, 1 << 20), 5))
    assert served.server.requests == 10
    sock.close()


async def test_a_drain_during_a_stuck_write_does_not_wait_for_it(serve: Serve, until: Until) -> None:
    async def handle(exchange: Exchange) -> None:
        exchange.send(200, b"", b"a" * 3_000_000)

    served = await serve(handle)
    sock = await non_reader(served.port, GET)
    await until(lambda: served.server.requests == 1 and served.server.in_flight == 0)
    await asyncio.wait_for(served.server.drain(0.1), 2)
    assert served.server.open_connections == 0
    sock.close()
