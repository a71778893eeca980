"""Any bytes, cut anywhere, through the protocol itself: no crash, no 500, one answer per handled request, in order."""

import asyncio
import itertools
import logging
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fairlead.http.downstream import Downstream
from fairlead.http.head import CONTINUE
from fairlead.http.server import Exchange, Limits, Server

PARTS = [
    b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"POST /4 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello",
    b"GET /5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST /6 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /7 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\r\n",
    b"\n",
    b"\0",
    b"0\r\n\r\n",
    b"5;x\r\n",
]


class Sink:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = True

    write_eof = abort = close

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else None

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


async def play(pieces: list[bytes]) -> tuple[bytes, list[str]]:
    """What is written for `pieces`, each in a loop turn of its own, and which paths were handled to their end."""
    handled: list[str] = []

    async def handle(exchange: Exchange) -> None:
        body = await exchange.read()
        handled.append(exchange.path)
        exchange.send(200, b"", exchange.path.encode() + b"|" + body)

    server = Server(handle, Limits())
    sink: Any = Sink()
    connection = Downstream(server)
    connection.connection_made(sink)
    for piece in pieces:
        connection.data_received(piece)
        for _ in range(3):
            await asyncio.sleep(0)
    for _ in range(150):
        await asyncio.sleep(0)
    connection.connection_lost(None)
    for _ in range(3):
        await asyncio.sleep(0)
    assert (server.in_flight, server.open_connections) == (0, 0)
    written: bytes = sink.written
    return written, handled


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Requests in a row, now and then with a byte changed, put in or taken out."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(PARTS) | st.binary(max_size=8), max_size=6))))
    for _ in range(draw(st.integers(0, 3)) if data else 0):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
        if not data:
            break
    return bytes(data)


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@example(data=PARTS[0] + PARTS[3] + b"GET /1 HTTP/1.1\r\n*Host: a\r\n\r\n", cuts=[])
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=streams(), cuts=st.lists(st.integers(0, 10_000), max_size=8))
def test_any_bytes_in_any_pieces(data: bytes, cuts: list[int], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        whole, handled = asyncio.run(play([data] if data else []))
        pieces, handled_pieces = asyncio.run(play(_cut(data, cuts)))
    assert handled_pieces == handled
    whole, pieces = (written.replace(CONTINUE, b"") for written in (whole, pieces))
    answers = re.findall(rb"HTTP/1\.1 (\d+)", whole)
    assert [int(status) for status in answers].count(200) == len(handled)
    assert b"500" not in answers
    assert whole == pieces
    assert caplog.records == []
