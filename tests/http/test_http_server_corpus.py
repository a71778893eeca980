"""Raw requests and what becomes of them: none of them may desynchronise a connection.

Every rejected request is followed on the wire by another one, which must never be served; every accepted one is
followed by another one, which must be.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fairlead.http.server import Exchange

Serve = Callable[..., Awaitable[Any]]

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
AFTER = b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n"

REJECTED: dict[str, tuple[int, bytes]] = {
    # Two lengths, or one that two readers could read differently.
    "CL and TE": (400, POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "TE and CL": (400, POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    "CL twice, equal": (400, POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    "CL twice, unequal": (400, POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    "CL with a comma": (400, POST + b"Content-Length: 5, 5\r\n\r\nhello"),
    "CL with a plus": (400, POST + b"Content-Length: +5\r\n\r\nhello"),
    "CL with a minus": (400, POST + b"Content-Length: -5\r\n\r\nhello"),
    "CL in hex": (400, POST + b"Content-Length: 0x5\r\n\r\nhello"),
    "CL with an underscore": (400, POST + b"Content-Length: 1_0\r\n\r\nhello"),
    "CL empty": (400, POST + b"Content-Length: \r\n\r\nhello"),
    "CL overflow": (400, POST + b"Content-Length: 99999999999999999999999\r\n\r\nhello"),
    "CL in two words": (400, POST + b"Content-Length: 5 5\r\n\r\nhello"),
    "CL in Arabic digits": (400, POST + "Content-Length: \u0665\r\n\r\nhello".encode()),
    "TE xchunked": (400, POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "TE chunked, gzip": (400, POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    "TE gzip, chunked": (400, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "TE identity": (400, POST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    "TE chunked twice": (400, POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    "TE in two lines": (
        400,
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    ),
    "TE quoted": (400, POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n'),
    "TE empty": (400, POST + b"Transfer-Encoding: \r\n\r\n0\r\n\r\n"),
    "TE behind a vertical tab": (400, POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    "TE in HTTP/1.0": (
        400,
        b"POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    # Header lines.
    "space before the colon": (400, POST + b"Content-Length : 5\r\n\r\nhello"),
    "tab before the colon": (400, POST + b"Content-Length\t: 5\r\n\r\nhello"),
    "obs-fold": (400, GET + b"X: a\r\n b\r\n\r\n"),
    "obs-fold with a tab": (400, GET + b"X: a\r\n\tb\r\n\r\n"),
    "space before the first header": (400, b"GET /x HTTP/1.1\r\n Host: a\r\n\r\n"),
    "bare LF in a header": (400, GET + b"X: a\nY: b\r\n\r\n"),
    "bare CR in a header": (400, GET + b"X: a\rY: b\r\n\r\n"),
    "bare LF after the request line": (400, b"GET /x HTTP/1.1\nHost: a\r\n\r\n"),
    "bare LF at the end of the head": (400, GET + b"X: a\r\n\n"),
    "NUL in a value": (400, GET + b"X: a\0b\r\n\r\n"),
    "control character in a value": (400, GET + b"X: a\x01b\r\n\r\n"),
    "DEL in a value": (400, GET + b"X: a\x7fb\r\n\r\n"),
    "NUL in a name": (400, GET + b"X\0: a\r\n\r\n"),
    "non-ASCII name": (400, GET + b"X\xe9: a\r\n\r\n"),
    "no name": (400, GET + b": a\r\n\r\n"),
    "no colon": (400, GET + b"nocolon\r\n\r\n"),
    "name with brackets": (400, GET + b"X[0]: a\r\n\r\n"),
    # Host.
    "no Host": (400, b"GET /x HTTP/1.1\r\n\r\n"),
    "Host twice": (400, GET + b"Host: a\r\n\r\n"),
    "Host twice, unequal": (400, GET + b"Host: b\r\n\r\n"),
    "Host empty": (400, b"GET /x HTTP/1.1\r\nHost:\r\n\r\n"),
    "Host a/admin": (400, b"GET /x HTTP/1.1\r\nHost: a/admin\r\n\r\n"),
    "Host a?x": (400, b"GET /x HTTP/1.1\r\nHost: a?x\r\n\r\n"),
    "Host a#x": (400, b"GET /x HTTP/1.1\r\nHost: a#x\r\n\r\n"),
    "Host a b": (400, b"GET /x HTTP/1.1\r\nHost: a b\r\n\r\n"),
    "Host a, b": (400, b"GET /x HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    "Host u@a": (400, b"GET /x HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    "Host with a word for a port": (400, b"GET /x HTTP/1.1\r\nHost: a:b\r\n\r\n"),
    "Host with a broken bracket": (400, b"GET /x HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    "Host bad in HTTP/1.0": (400, b"GET /x HTTP/1.0\r\nHost: a/admin\r\n\r\n"),
    # Request lines.
    "HTTP/0.9": (505, b"GET /x\r\n\r\n"),
    "HTTP/0.9 by name": (505, b"GET /x HTTP/0.9\r\nHost: a\r\n\r\n"),
    "HTTP/2.0 by name": (505, b"GET /x HTTP/2.0\r\nHost: a\r\n\r\n"),
    "HTTP/9.9": (400, b"GET /x HTTP/9.9\r\nHost: a\r\n\r\n"),
    "HTTP/1.11": (400, b"GET /x HTTP/1.11\r\nHost: a\r\n\r\n"),
    "http in lower case": (400, b"GET /x http/1.1\r\nHost: a\r\n\r\n"),
    "HTTP/2 preface": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "TLS hello": (400, bytes.fromhex("16030100f8010000f40303") + bytes(range(64))),
    "random bytes": (400, bytes.fromhex("9f0ac3d1e88b7702ff41004d5a90000300000004")),
    "unknown method": (400, b"FOO /x HTTP/1.1\r\nHost: a\r\n\r\n"),
    "method in lower case": (400, b"get /x HTTP/1.1\r\nHost: a\r\n\r\n"),
    "WebDAV method": (501, b"PROPFIND /x HTTP/1.1\r\nHost: a\r\n\r\n"),
    "CONNECT": (501, b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "no slash": (400, b"GET x HTTP/1.1\r\nHost: a\r\n\r\n"),
    "fragment": (400, b"GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n"),
    "other scheme": (400, b"GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n"),
    "user in an absolute target": (400, b"GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n"),
    "non-ASCII target": (400, b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "tab in the target": (400, b"GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n"),
    "NUL in the target": (400, b"GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "space after the version": (400, b"GET /x HTTP/1.1 \r\nHost: a\r\n\r\n"),
    "two targets": (400, b"GET /x /y HTTP/1.1\r\nHost: a\r\n\r\n"),
    "other expectation": (417, POST + b"Expect: 200-ok\r\nContent-Length: 5\r\n\r\nhello"),
    # Chunks.
    "chunk size 0x5": (400, CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n"),
    "chunk size +5": (400, CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n"),
    "chunk size -5": (400, CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n"),
    "chunk size 0_5": (400, CHUNKED + b"0_5\r\nhello\r\n0\r\n\r\n"),
    "chunk size with a space": (400, CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n"),
    "chunk size empty": (400, CHUNKED + b"\r\nhello\r\n0\r\n\r\n"),
    "chunk size overflow": (400, CHUNKED + b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    "chunk spills": (400, CHUNKED + b"5\r\nhelloX\r\n0\r\n\r\n"),
    "bare LF after the chunk size": (400, CHUNKED + b"5\nhello\r\n0\r\n\r\n"),
    "bare LF after the chunk": (400, CHUNKED + b"5\r\nhello\n0\r\n\r\n"),
    "bare CR after the chunk size": (400, CHUNKED + b"5\rhello\r\n0\r\n\r\n"),
    "bare CR in an extension": (400, CHUNKED + b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    "bare LF in an extension": (400, CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
    "NUL in an extension": (400, CHUNKED + b"5;a\0b\r\nhello\r\n0\r\n\r\n"),
    "CL in a trailer": (400, CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n"),
    "TE in a trailer": (400, CHUNKED + b"0\r\nTransfer-Encoding: xchunked\r\n\r\n"),
    "bare LF in a trailer": (400, CHUNKED + b"0\r\nX: a\nY: b\r\n\r\n"),
    "64 KB trailer": (431, CHUNKED + b"0\r\n" + b"X: " + b"a" * 70_000 + b"\r\n\r\n"),
    "300 KB extension": (400, CHUNKED + b"5;" + b"a" * 300_000 + b"\r\nhello\r\n0\r\n\r\n"),
    # Sizes.
    "101 headers": (431, GET + b"".join(b"X-%d: a\r\n" % n for n in range(100)) + b"\r\n"),
    "10 000 equal headers": (431, GET + b"X: a\r\n" * 10_000 + b"\r\n"),
    "1 MB header": (431, GET + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n"),
    "64 KiB of headers": (431, GET + b"".join(b"X-%d: %b\r\n" % (n, b"a" * 4096) for n in range(16)) + b"\r\n"),
    "100 KB target": (414, b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
}

ACCEPTED: dict[str, tuple[bytes, bytes]] = {
    "no body": (b"GET /x?", GET + b"\r\n"),
    "fixed body": (b"hello", POST + b"Content-Length: 5\r\n\r\nhello"),
    "fixed body, spaces around the length": (b"hello", POST + b"Content-Length:  5 \r\n\r\nhello"),
    "empty fixed body": (b"|", POST + b"Content-Length: 0\r\n\r\n"),
    "fixed body on GET": (b"hello", GET + b"Content-Length: 5\r\n\r\nhello"),
    "a body that looks like a request": (
        b"|" + SMUGGLED,
        POST + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
    ),
    "chunks": (b"hello world", CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
    "chunks, upper case": (b"hello", POST + b"Transfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    "chunk sizes in hex": (b"a" * 26, CHUNKED + b"1A\r\n" + b"a" * 26 + b"\r\n000\r\n\r\n"),
    "chunk with an extension": (b"hello", CHUNKED + b'5;a=b;c="d"\r\nhello\r\n0\r\n\r\n'),
    "trailers": (b"hello", CHUNKED + b"5\r\nhello\r\n0\r\nAuthorization: Bearer x\r\nX: y\r\n\r\n"),
    "query": (b"GET /x?a=b&c=%20d|", b"GET /x?a=b&c=%20d HTTP/1.1\r\nHost: a\r\n\r\n"),
    "path as sent": (b"GET /a%2Fb/../c?|", b"GET /a%2Fb/../c HTTP/1.1\r\nHost: a\r\n\r\n"),
    "absolute target": (b"GET /x?q|", b"GET http://a:80/x?q HTTP/1.1\r\nHost: a\r\n\r\n"),
    "absolute target without a path": (b"GET /?q|", b"GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n"),
    "OPTIONS *": (b"OPTIONS *?|", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    "Host with a port": (b"GET /x?|", b"GET /x HTTP/1.1\r\nHost: a.example-1.org:8080\r\n\r\n"),
    "Host IPv6": (b"GET /x?|", b"GET /x HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"),
    "empty lines before": (b"GET /x?|", b"\r\n\r\n" + GET + b"\r\n"),
    "non-ASCII value": (b"GET /x?|", GET + b"X: \xe9\r\n\r\n"),
    "HTTP/1.0 with keep-alive": (b"GET /x?|", b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    "100 headers": (b"GET /x?|", GET + b"".join(b"X-%d: a\r\n" % n for n in range(99)) + b"\r\n"),
    "upgrade to h2c": (
        b"GET /x?|",
        GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    ),
    "upgrade to h2c with a body": (
        b"|hello",
        POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello",
    ),
    "upgrade to h2c with chunks": (
        b"|hello",
        POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    ),
    "16 KiB target": (b"GET /aaa", b"GET /" + b"a" * 16_383 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
}


@pytest.fixture
def seen() -> list[tuple[str, dict[bytes, bytes]]]:
    return []


@pytest.fixture
def recording(seen: list[tuple[str, dict[bytes, bytes]]]) -> Callable[[Exchange], Awaitable[None]]:
    async def handle(exchange: Exchange) -> None:
        seen.append((exchange.path, exchange.headers))
        body = await exchange.read()
        target = f"{exchange.method} {exchange.path}?{exchange.query}".encode()
        exchange.send(200, b"", target + b"|" + body)

    return handle


@pytest.mark.parametrize("name", REJECTED)
async def test_a_bad_request_is_refused_and_nothing_after_it_is_served(
    name: str, serve: Serve, seen: list[Any], recording: Any, caplog: pytest.LogCaptureFixture
) -> None:
    status, raw = REJECTED[name]
    served = await serve(recording)
    with caplog.at_level(logging.WARNING):
        wire = await served.connect(raw + SMUGGLED)
        got, headers, _ = await wire.answer()
        assert (got, headers["connection"]) == (status, "close")
        assert await wire.rest() == b""
    assert "/smuggled" not in [path for path, _ in seen]
    assert caplog.records == []


@pytest.mark.parametrize("name", REJECTED)
async def test_a_bad_request_behind_a_good_one_leaves_that_one_its_answer(
    name: str, serve: Serve, seen: list[Any], recording: Any
) -> None:
    status, raw = REJECTED[name]
    served = await serve(recording)
    wire = await served.connect(AFTER + raw + SMUGGLED)
    assert (await wire.answer())[2] == b"GET /after?|"
    got, headers, _ = await wire.answer()
    assert (got, headers["connection"]) == (status, "close")
    assert await wire.rest() == b""
    assert "/smuggled" not in [path for path, _ in seen]


@pytest.mark.parametrize("name", ACCEPTED)
async def test_a_good_request_is_served_and_so_is_the_next(name: str, serve: Serve, recording: Any) -> None:
    expected, raw = ACCEPTED[name]
    served = await serve(recording)
    wire = await served.connect(raw + AFTER)
    status, headers, body = await wire.answer()
    assert (status, expected in body) == (200, True)
    assert headers.get("connection") in (None, "keep-alive")
    assert (await wire.answer())[2] == b"GET /after?|"
    wire.send(AFTER)
    assert (await wire.answer())[2] == b"GET /after?|"


@pytest.mark.parametrize("name", ACCEPTED)
async def test_the_cut_of_the_bytes_makes_no_difference(name: str, serve: Serve, recording: Any) -> None:
    """One byte at a time through the protocol itself, as no socket would promise to deliver it."""
    expected, raw = ACCEPTED[name]
    served = await serve(recording)
    wire = await served.connect(GET + b"\r\n")
    await wire.answer()
    (connection,) = served.server.connections
    stream = raw + AFTER
    cuts = range(len(stream)) if len(stream) < 2000 else range(0, len(stream), 997)
    for start in cuts:
        connection.data_received(stream[start : start + cuts.step])
    assert expected in (await wire.answer())[2]
    assert (await wire.answer())[2] == b"GET /after?|"


async def test_a_trailer_never_reaches_a_handler(serve: Serve, seen: list[Any], recording: Any) -> None:
    served = await serve(recording)
    wire = await served.connect(CHUNKED + b"0\r\nAuthorization: Bearer x\r\nX: y\r\n\r\n" + AFTER)
    await wire.answer()
    await wire.answer()
    assert seen == [
        ("/x", {b"host": b"a", b"transfer-encoding": b"chunked"}),
        ("/after", {b"host": b"a"}),
    ]


async def test_repeated_headers_are_joined_in_their_order(serve: Serve, seen: list[Any], recording: Any) -> None:
    served = await serve(recording)
    wire = await served.connect(GET + b"X: 1\r\nY: -\r\nx: 2\r\nX:3\r\n\r\n")
    await wire.answer()
    assert seen == [("/x", {b"host": b"a", b"x": b"1, 2, 3", b"y": b"-"})]
