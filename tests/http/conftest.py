"""What the server's tests share: both event loops, a server on a free port and a client that speaks raw bytes."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
import uvloop

from fairlead.http.server import Exchange, Limits, Server

BOTH: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Mapping[str, Callable[[], Any]]:
    if item.path.name.startswith("test_http_server"):
        return BOTH
    return {"asyncio": asyncio.new_event_loop}


class Wire:
    """One client connection. Everything it waits for is bounded."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def line(self) -> bytes:
        return await asyncio.wait_for(self.reader.readline(), 5)

    async def head(self) -> tuple[int, dict[str, str]]:
        raw = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        first, *lines = raw.decode("latin-1").split("\r\n")
        return int(first.split(" ")[1]), dict(line.split(": ", 1) for line in lines if line)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """A whole answer with a Content-Length or chunks."""
        status, headers = await self.head()
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, await self.chunks()
        size = int(headers.get("content-length", "0"))
        return status, headers, await asyncio.wait_for(self.reader.readexactly(size), 5)

    async def chunks(self) -> bytes:
        body = b""
        while size := int(await self.line(), 16):
            body += (await asyncio.wait_for(self.reader.readexactly(size + 2), 5))[:-2]
        assert await self.line() == b"\r\n"
        return body

    async def rest(self) -> bytes:
        """Everything until the server closes; a reset counts as a close."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while piece := await asyncio.wait_for(self.reader.read(65536), 5):
                data += piece
        return data

    def reset(self) -> None:
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


class Served:
    """A running server and the clients that were made for it."""

    def __init__(self, server: Server, port: int, tls: ssl.SSLContext | None) -> None:
        self.server = server
        self.port = port
        self._tls = tls
        self._wires: list[Wire] = []

    async def connect(self, data: bytes = b"") -> Wire:
        name = "localhost" if self._tls else None
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self._tls, server_hostname=name)
        wire = Wire(reader, writer)
        wire.send(data)
        self._wires.append(wire)
        return wire

    async def close(self) -> None:
        for wire in self._wires:
            await wire.close()
        await self.server.drain(0)


async def _echo(exchange: Exchange) -> None:
    body = await exchange.read()
    target = f"{exchange.method} {exchange.path}?{exchange.query}".encode()
    exchange.send(200, b"", target + b"|" + body)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[Served]]]:
    """`await serve(handler=echo, limits=Limits(), server_tls=None, client_tls=None)` gives a `Served`."""
    running: list[Served] = []

    async def start(
        handler: Callable[[Exchange], Awaitable[None]] = _echo,
        limits: Limits | None = None,
        server_tls: ssl.SSLContext | None = None,
        client_tls: ssl.SSLContext | None = None,
    ) -> Served:
        server = Server(handler, limits or Limits())
        port = await server.listen("127.0.0.1", 0, tls=server_tls)
        running.append(Served(server, port, client_tls))
        return running[-1]

    yield start
    for served in running:
        await served.close()
        assert served.server.in_flight == 0
        assert served.server.open_connections == 0


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Waits until a condition holds, for five seconds at most."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.005)

    return wait
