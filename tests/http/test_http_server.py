"""The server's exchanges: their order, their answers, their bodies, and what a client that leaves does to them."""

import asyncio
import logging
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fairlead.http import fields
from fairlead.http.server import Exchange, Limits, RequestRefused, Server

Serve = Callable[..., Awaitable[Any]]
Until = Callable[[Callable[[], bool]], Awaitable[None]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def get(path: str, *lines: str, version: str = "1.1") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/{version}", "Host: a", *lines, "", ""]).encode()


def post(body: bytes, *lines: str, size: int | None = None) -> bytes:
    length = len(body) if size is None else size
    head = "\r\n".join(["POST / HTTP/1.1", "Host: a", f"Content-Length: {length}", *lines, "", ""])
    return head.encode() + body


# Order.


async def test_a_connection_lives_on(serve: Serve) -> None:
    served = await serve()
    wire = await served.connect()
    for n in range(5):
        wire.send(get(f"/{n}"))
        assert (await wire.answer())[2] == f"GET /{n}?|".encode()
    assert (served.server.requests, served.server.open_connections) == (5, 1)


async def test_an_exchange_tells_what_was_asked(serve: Serve) -> None:
    seen: list[Exchange] = []

    async def handle(exchange: Exchange) -> None:
        seen.append(exchange)
        assert (exchange.started, exchange.peer) == (False, "127.0.0.1")
        exchange.send(200, b"", b"")
        assert exchange.started

    before = asyncio.get_running_loop().time()
    wire = await (await serve(handle)).connect(get("/a/%20?b=c&d", "X-Y: Z"))
    await wire.answer()
    (exchange,) = seen
    assert (exchange.method, exchange.path, exchange.query) == ("GET", "/a/%20", "b=c&d")
    assert exchange.headers == {b"host": b"a", b"x-y": b"Z"}
    assert before - 0.01 <= exchange.arrived_at <= asyncio.get_running_loop().time()


async def test_pipelined_requests_are_handled_one_after_the_other(serve: Serve) -> None:
    running: list[str] = []

    async def handle(exchange: Exchange) -> None:
        running.append(exchange.path)
        assert len(running) == 1
        body = await exchange.read()
        for _ in range(3):
            await asyncio.sleep(0)
        exchange.send(200, b"", exchange.path.encode() + body)
        await asyncio.sleep(0)
        running.remove(exchange.path)

    served = await serve(handle)
    wire = await served.connect(b"".join(get(f"/{n}") + post(b"%d" % n) for n in range(16)))
    for n in range(16):
        assert (await wire.answer())[2] == b"/%d" % n
        assert (await wire.answer())[2] == b"/%d" % n
    assert served.server.in_flight == 0


async def test_a_pipeline_that_is_too_long_is_answered_as_far_as_it_is_kept(serve: Serve) -> None:
    wire = await (await serve()).connect(b"".join(get(f"/{n}") for n in range(1000)))
    answers = [await wire.answer() for _ in range(33)]
    assert [body for _, _, body in answers] == [f"GET /{n}?|".encode() for n in range(33)]
    assert [headers.get("connection") for _, headers, _ in answers] == [None] * 32 + ["close"]
    assert await wire.rest() == b""


async def test_a_pipeline_that_is_too_large_ends_with_a_refusal(serve: Serve) -> None:
    gate = asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        await gate.wait()
        exchange.send(200, b"", await exchange.read())

    served = await serve(handle)
    wire = await served.connect(post(b"first") + post(b"a" * 30_000) + post(b"a" * 70_000) + get("/never"))
    (connection,) = await _connections(served)
    while not connection._deaf:
        await asyncio.sleep(0.005)
    gate.set()
    assert (await wire.answer())[2] == b"first"
    assert (await wire.answer())[2] == b"a" * 30_000
    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (413, "close")
    assert await wire.rest() == b""
    assert served.server.requests == 3


async def test_a_long_pipeline_in_steps_never_counts_what_was_served(serve: Serve) -> None:
    """The bound is on what waits, not on what ever waited."""
    served = await serve()
    wire = await served.connect()
    for _ in range(40):
        wire.send(post(b"a" * 3000) * 10)
        for _ in range(10):
            assert (await wire.answer())[0] == 200
    assert served.server.requests == 400


async def _connections(served: Any) -> set[Any]:
    async with asyncio.timeout(5):
        while not served.server.connections:
            await asyncio.sleep(0.005)
    connections: set[Any] = served.server.connections
    return connections


# Answers.


async def test_fields_stand_in_the_answer(serve: Serve) -> None:
    async def handle(exchange: Exchange) -> None:
        exchange.send(404, fields.encode([("content-type", "a/b"), ("x-y", "z")]), b"body")

    wire = await (await serve(handle)).connect(GET)
    assert await wire.line() == b"HTTP/1.1 404 Not Found\r\n"
    assert await wire.line() == b"content-type: a/b\r\n"
    assert await wire.line() == b"x-y: z\r\n"
    assert await wire.line() == b"content-length: 4\r\n"
    assert await wire.line() == b"\r\n"


@pytest.mark.parametrize(
    ("status", "line"), [(529, b"HTTP/1.1 529 \r\n"), (429, b"HTTP/1.1 429 Too Many Requests\r\n")]
)
async def test_any_status_has_a_line(serve: Serve, status: int, line: bytes) -> None:
    async def handle(exchange: Exchange) -> None:
        exchange.send(status, b"", b"x")

    wire = await (await serve(handle)).connect(GET)
    assert await wire.line() == line


async def stream(exchange: Exchange) -> None:
    exchange.start(200, b"content-type: text/event-stream\r\n")
    for piece in (b"one", b"", b"two", b"t" * 300_000):
        exchange.write(piece)
        await exchange.drain()
    exchange.end()


async def test_a_started_answer_is_chunked(serve: Serve) -> None:
    wire = await (await serve(stream)).connect(GET + GET)
    for _ in range(2):
        status, headers = await wire.head()
        assert (status, headers["transfer-encoding"]) == (200, "chunked")
        assert "content-length" not in headers
        assert await wire.line() == b"3\r\n"
        assert await wire.line() == b"one\r\n"
        assert (await wire.chunks()) == b"two" + b"t" * 300_000


async def test_head_gets_heads_only(serve: Serve) -> None:
    async def handle(exchange: Exchange) -> None:
        if exchange.path == "/stream":
            await stream(exchange)
        else:
            exchange.send(200, b"", b"body")

    served = await serve(handle)
    wire = await served.connect(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await wire.head())[1] == {"content-length": "4"}
    assert (await wire.head())[1]["transfer-encoding"] == "chunked"
    wire.send(get("/"))
    assert (await wire.answer())[2] == b"body"


@pytest.mark.parametrize("status", [204, 304])
async def test_some_statuses_have_no_body(serve: Serve, status: int) -> None:
    async def handle(exchange: Exchange) -> None:
        if exchange.path == "/stream":
            exchange.start(status, b"")
            exchange.write(b"body")
            exchange.end()
        else:
            exchange.send(status, b"", b"body")

    wire = await (await serve(handle)).connect(get("/") + get("/stream") + get("/"))
    for _ in range(3):
        assert await wire.head() == (status, {})


async def test_http_1_0_gets_a_close(serve: Serve) -> None:
    wire = await (await serve()).connect(get("/", version="1.0"))
    status, headers, body = await wire.answer()
    assert (status, headers["connection"], body) == (200, "close", b"GET /?|")
    assert await wire.rest() == b""


@pytest.mark.parametrize("name", ["Connection", "Proxy-Connection"])
async def test_http_1_0_may_keep_the_connection(serve: Serve, name: str) -> None:
    wire = await (await serve()).connect(get("/", f"{name}: keep-alive", version="1.0"))
    assert (await wire.answer())[1]["connection"] == "keep-alive"
    wire.send(get("/2", version="1.0"))
    assert (await wire.answer())[1]["connection"] == "close"


async def test_a_stream_to_http_1_0_ends_with_the_connection(serve: Serve) -> None:
    wire = await (await serve(stream)).connect(get("/", "Connection: keep-alive", version="1.0"))
    _, headers = await wire.head()
    assert "transfer-encoding" not in headers
    assert headers["connection"] == "close"
    assert await wire.rest() == b"onetwo" + b"t" * 300_000


async def test_a_client_that_asks_for_a_close_gets_one(serve: Serve) -> None:
    served = await serve()
    wire = await served.connect(get("/1", "Connection: close") + get("/2"))
    _, headers, body = await wire.answer()
    assert (headers["connection"], body) == ("close", b"GET /1?|")
    assert await wire.rest() == b""
    assert served.server.requests == 1


async def test_an_answer_begins_once(serve: Serve) -> None:
    failures: list[type[Exception]] = []

    async def handle(exchange: Exchange) -> None:
        with pytest.raises(RuntimeError):
            exchange.write(b"x")
        with pytest.raises(RuntimeError):
            exchange.end()
        exchange.send(200, b"", b"ok")
        with pytest.raises(RuntimeError):
            exchange.start(200, b"")
        failures.append(RuntimeError)

    wire = await (await serve(handle)).connect(GET)
    assert (await wire.answer())[2] == b"ok"
    assert failures == [RuntimeError]


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_an_aborted_stream_never_looks_finished(serve: Serve, version: str) -> None:
    async def handle(exchange: Exchange) -> None:
        exchange.start(200, b"")
        exchange.write(b"piece")
        await asyncio.sleep(0.05)
        exchange.abort()
        exchange.write(b"more")
        exchange.end()

    wire = await (await serve(handle)).connect(get("/", version=version))
    await wire.head()
    assert await asyncio.wait_for(wire.reader.read(100), 5)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(wire.reader.read(100), 5)


async def test_pieces_of_one_turn_leave_together(serve: Serve) -> None:
    """uvloop gathers them; plain asyncio need not."""
    written: list[bytes] = []

    async def handle(exchange: Exchange) -> None:
        exchange.start(200, b"")
        for n in range(20):
            exchange.write(b"%d" % n)
        exchange.end()

    wire = await (await serve(handle)).connect(GET)
    await wire.head()
    written.append(await asyncio.wait_for(wire.reader.read(65536), 5))
    if "uvloop" in type(asyncio.get_running_loop()).__module__:
        assert written[0].endswith(b"2\r\n19\r\n0\r\n\r\n")


# Handlers that fail.


async def test_a_handler_that_raises_is_a_500_without_its_words(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async def handle(exchange: Exchange) -> None:
        raise KeyError(exchange.query)

    wire = await (await serve(handle)).connect(get("/a?sk-secret") + get("/b?sk-secret"))
    status, headers, body = await wire.answer()
    assert (status, headers.get("connection")) == (500, None)
    assert b"secret" not in body
    assert (await wire.answer())[0] == 500
    assert [record.name for record in caplog.records] == ["fairlead.http"] * 2
    assert "KeyError" in caplog.text
    assert "in handle" in caplog.text
    assert "GET /a " in caplog.text
    assert "sk-secret" not in "".join(record.getMessage() for record in caplog.records)


async def test_a_handler_that_raises_in_a_stream_breaks_it(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async def handle(exchange: Exchange) -> None:
        exchange.start(200, b"")
        exchange.write(b"x")
        raise ValueError

    wire = await (await serve(handle)).connect(GET)
    assert not (await wire.rest()).endswith(b"0\r\n\r\n")
    assert len(caplog.records) == 1


async def test_a_handler_that_forgets_to_answer_is_a_500(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async def handle(exchange: Exchange) -> None:
        pass

    wire = await (await serve(handle)).connect(GET)
    assert (await wire.answer())[0] == 500
    assert len(caplog.records) == 1


async def test_a_handler_that_forgets_the_end_breaks_the_stream(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async def handle(exchange: Exchange) -> None:
        exchange.start(200, b"")
        exchange.write(b"x")

    wire = await (await serve(handle)).connect(GET)
    assert not (await wire.rest()).endswith(b"0\r\n\r\n")
    assert len(caplog.records) == 1


async def test_refusals_are_worded_by_the_owner(serve: Serve) -> None:
    async def handle(exchange: Exchange) -> None:
        raise RequestRefused(418, "short and stout")

    served = await serve(handle)
    served.server.refuse = lambda status, reason: (b"x-status: %d\r\n" % status, reason.encode())
    wire = await served.connect(GET)
    status, headers, body = await wire.answer()
    assert (status, headers["x-status"], body) == (418, "418", b"short and stout")
    wire.send(b"\0")
    status, headers, body = await wire.answer()
    assert (status, headers["x-status"], body) == (400, "400", b"the request is malformed")


# Bodies.


async def test_a_body_may_come_in_pieces(serve: Serve) -> None:
    wire = await (await serve()).connect(post(b"he", size=5))
    await asyncio.sleep(0.02)
    wire.send(b"ll")
    await asyncio.sleep(0.02)
    wire.send(b"o" + GET)
    assert (await wire.answer())[2] == b"POST /?|hello"
    assert (await wire.answer())[2] == b"GET /?|"


async def test_a_body_can_be_read_twice(serve: Serve) -> None:
    async def handle(exchange: Exchange) -> None:
        exchange.send(200, b"", await exchange.read() + await exchange.read())

    wire = await (await serve(handle)).connect(post(b"hello"))
    assert (await wire.answer())[2] == b"hellohello"


async def test_continue_is_said_when_the_body_is_wanted(serve: Serve) -> None:
    wire = await (await serve()).connect(post(b"", "Expect: 100-continue", size=5))
    assert await wire.line() == b"HTTP/1.1 100 Continue\r\n"
    assert await wire.line() == b"\r\n"
    wire.send(b"hello")
    assert (await wire.answer())[2] == b"POST /?|hello"


async def test_continue_is_not_said_when_the_body_is_there(serve: Serve) -> None:
    wire = await (await serve()).connect(post(b"hello", "Expect: 100-continue"))
    assert (await wire.answer())[0] == 200


async def test_continue_is_not_said_to_a_refused_request(serve: Serve) -> None:
    async def handle(exchange: Exchange) -> None:
        exchange.send(401, b"", b"no")

    wire = await (await serve(handle)).connect(post(b"", "Expect: 100-continue", size=5))
    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (401, "close")
    assert await wire.rest() == b""


async def test_a_body_that_is_not_read_costs_the_connection(serve: Serve) -> None:
    """The client is not left with a reset: what it still sends is thrown away for a while."""

    async def handle(exchange: Exchange) -> None:
        exchange.send(401, b"", b"no")

    served = await serve(handle)
    wire = await served.connect(post(b"a" * 1000, size=5_000_000))
    status, headers, body = await wire.answer()
    assert (status, headers["connection"], body) == (401, "close", b"no")
    wire.send(b"a" * 4_999_000 + GET)
    await asyncio.wait_for(wire.writer.drain(), 5)
    assert await wire.rest() == b""
    assert served.server.requests == 1


async def test_a_body_that_came_unread_leaves_the_connection(serve: Serve) -> None:
    async def handle(exchange: Exchange) -> None:
        exchange.send(200, b"", exchange.path.encode())

    wire = await (await serve(handle)).connect(post(b"hello") + get("/next"))
    assert (await wire.answer())[1] == {"content-length": "1"}
    assert (await wire.answer())[2] == b"/next"


async def test_an_unwanted_body_is_not_taken_in(serve: Serve, until: Until) -> None:
    gate = asyncio.Event()
    taken: list[int] = []

    async def handle(exchange: Exchange) -> None:
        await gate.wait()
        taken.append(exchange.received)
        exchange.send(200, b"", b"%d" % len(await exchange.read()))

    served = await serve(handle)
    size = 16 * 1024 * 1024
    wire = await served.connect(post(b"a" * size))
    (connection,) = await _connections(served)
    await until(lambda: not connection._reading)
    gate.set()
    assert (await wire.answer())[2] == b"%d" % size
    assert 64 * 1024 <= taken[0] <= 64 * 1024 + 256 * 1024


async def test_a_body_that_was_whole_before_it_was_read_leaves_the_connection_open_for_the_next(
    serve: Serve, until: Until
) -> None:
    async def handle(exchange: Exchange) -> None:
        await until(lambda: exchange.complete)
        exchange.send(200, b"", b"%d" % len(await exchange.read()))

    wire = await (await serve(handle)).connect()
    for size in (65_000, 66_000, 70_000, 66_000):
        wire.send(post(b"a" * size))
        assert (await wire.answer())[2] == b"%d" % size


async def test_an_encoded_body_is_refused(serve: Serve) -> None:
    wire = await (await serve()).connect(
        post(b"hello", "Content-Encoding: gzip") + post(b"hello", "Content-Encoding: identity")
    )
    assert (await wire.answer())[0] == 415
    assert (await wire.answer())[0] == 200


# Clients that leave.


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("body", [b"", b"hel"])
async def test_a_client_that_leaves_cancels_its_task(
    serve: Serve, until: Until, how: str, streaming: bool, body: bytes
) -> None:
    reached, cancelled = asyncio.Event(), asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        if streaming:
            exchange.start(200, b"")
            exchange.write(b"piece")
        reached.set()
        try:
            await (exchange.read() if body else asyncio.Event().wait())
        except asyncio.CancelledError:
            exchange.write(b"late") if streaming else exchange.send(500, b"", b"late")
            cancelled.set()
            raise

    served = await serve(handle)
    wire = await served.connect(post(body, size=5) if body else GET)
    await reached.wait()
    if how == "reset":
        wire.reset()
    else:
        wire.writer.close()
    await asyncio.wait_for(cancelled.wait(), 1)
    await until(lambda: served.server.open_connections == served.server.in_flight == 0)


async def test_a_client_that_has_its_answer_cancels_nothing(serve: Serve, until: Until) -> None:
    """What a handler does after its answer, such as its books, is not the client's."""
    answered, left, kept = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        exchange.send(200, b"", b"ok")
        answered.set()
        await left.wait()
        kept.set()

    served = await serve(handle)
    wire = await served.connect(GET)
    await wire.answer()
    await wire.close()
    (connection,) = served.server.connections
    await until(lambda: connection._disconnected)
    assert (served.server.open_connections, served.server.in_flight) == (1, 1)
    left.set()
    await asyncio.wait_for(kept.wait(), 1)
    await until(lambda: served.server.open_connections == served.server.in_flight == 0)


async def test_requests_behind_one_whose_client_left_are_never_begun(serve: Serve, until: Until) -> None:
    reached = asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        reached.set()
        await asyncio.Event().wait()

    served = await serve(handle)
    wire = await served.connect(GET + GET)
    await reached.wait()
    await wire.close()
    await until(lambda: served.server.open_connections == 0)
    assert served.server.requests == 1


# Draining.


async def test_a_drain_closes_the_idle_and_waits_for_the_busy(serve: Serve) -> None:
    gate, streaming = asyncio.Event(), asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        if exchange.path == "/stream":
            exchange.start(200, b"")
            streaming.set()
        if exchange.path != "/idle":
            await gate.wait()
        exchange.end() if exchange.started else exchange.send(200, b"", b"ok")

    served = await serve(handle)
    idle = await served.connect(get("/idle"))
    await idle.answer()
    silent = await served.connect()
    busy = await served.connect(get("/busy") + get("/queued"))
    stream_wire = await served.connect(get("/stream"))
    await streaming.wait()
    draining = asyncio.create_task(served.server.drain(5))
    assert await idle.rest() == await silent.rest() == b""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", served.port)
    assert not draining.done()
    gate.set()
    _, headers, body = await busy.answer()
    assert (headers["connection"], body) == ("close", b"ok")
    assert await busy.rest() == b""
    assert (await stream_wire.rest()).endswith(b"\r\n\r\n0\r\n\r\n")
    await asyncio.wait_for(draining, 2)
    assert served.server.open_connections == 0


async def test_a_drain_cuts_what_takes_too_long(serve: Serve) -> None:
    cancelled: list[str] = []

    async def handle(exchange: Exchange) -> None:
        exchange.start(200, b"")
        exchange.write(b"x")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(exchange.path)
            raise

    served = await serve(handle)
    wire = await served.connect(GET)
    await wire.head()
    await asyncio.wait_for(served.server.drain(0.1), 3)
    assert cancelled == ["/"]
    assert not (await wire.rest()).endswith(b"0\r\n\r\n")


# TLS.


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(path), "-out", str(path.with_suffix(".crt"))]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


def _tls(certificate: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate)
    return ours, ssl.create_default_context(cafile=str(certificate))


async def test_tls(serve: Serve, certificate: Path) -> None:
    ours, theirs = _tls(certificate)
    served = await serve(server_tls=ours, client_tls=theirs)
    wire = await served.connect(get("/1") + get("/2"))
    assert (await wire.answer())[2] == b"GET /1?|"
    assert (await wire.answer())[2] == b"GET /2?|"
    wire.send(post(b"a" * 300_000))
    assert len((await wire.answer())[2]) == 300_000 + len("POST /?|")
    assert wire.writer.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")


async def test_tls_ends_cleanly_after_a_refusal(serve: Serve, certificate: Path) -> None:
    ours, theirs = _tls(certificate)
    served = await serve(server_tls=ours, client_tls=theirs)
    wire = await served.connect(b"\0\0\0\0\r\n\r\n")
    assert (await wire.answer())[0] == 400
    assert await wire.rest() == b""


async def test_bytes_that_are_no_tls_are_dropped_quietly(
    serve: Serve, certificate: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours, _ = _tls(certificate)
    served = await serve(server_tls=ours)
    with caplog.at_level(logging.WARNING):
        wire = await served.connect(GET)
        assert b"HTTP" not in await wire.rest()
    assert caplog.records == []


def test_tls_below_1_2_is_never_spoken(certificate: Path) -> None:
    async def check() -> None:
        ours, _ = _tls(certificate)
        ours.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED

        async def handle(exchange: Exchange) -> None: ...

        server = Server(handle, Limits())
        await server.listen("127.0.0.1", 0, tls=ours)
        assert ours.minimum_version >= ssl.TLSVersion.TLSv1_2
        await server.drain(0)

    asyncio.run(check())
