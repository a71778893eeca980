"""HTTP/1.1 as far as a fake provider needs it: requests read from a stream, answers as bytes.

It knows framing. It must not know models or faults, nor the gateway's own HTTP (see the package).
"""

import asyncio
import socket
import struct
from collections.abc import Iterable
from http import HTTPStatus

import msgspec

LAST_CHUNK = b"0\r\n\r\n"
HEAD_LIMIT = 64 * 1024
Fields = Iterable[tuple[str, str]]


class FramingError(Exception):
    """The client's bytes are not an HTTP request."""


class Asked(msgspec.Struct, kw_only=True):
    """One HTTP request. Header names are in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def keeps_alive(self) -> bool:
        return self.headers.get("connection", "").lower() != "close"


def whole(status: int, fields: Fields, body: bytes, *, length: int | None = None) -> bytes:
    """An answer with Content-Length; `length` lies about it."""
    stated = len(body) if length is None else length
    return _head(status, [*fields, ("content-length", str(stated))]) + body


def chunked_head(status: int, fields: Fields) -> bytes:
    return _head(status, [*fields, ("transfer-encoding", "chunked")])


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _head(status: int, fields: Fields) -> bytes:
    reason = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Overloaded"
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1")


class Line:
    """One client's connection. A pump reads it all the time, so that a client that leaves is noticed at once."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._buffer = bytearray()
        self._more = asyncio.Event()
        self.gone = False
        self.closing = False
        self.work: asyncio.Task[None] | None = None
        """The request in progress; cancelled when the client goes away."""

    async def pump(self) -> None:
        try:
            while data := await self._reader.read(65536):
                self._buffer += data
                self._more.set()
        except OSError:
            pass
        self.gone = True
        self._more.set()
        if self.work is not None:
            self.work.cancel()

    async def read_request(self) -> Asked | None:
        """The next request, or None when the client is done. Raises FramingError."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > HEAD_LIMIT:
                raise FramingError("the head is too long")
            if not await self._wait():
                return None
        asked = _parse_head(bytes(self._buffer[:end]))
        del self._buffer[: end + 4]
        if asked.headers.get("expect", "").lower() == "100-continue":
            await self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        asked.body = await self._body(asked.headers)
        return asked

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        """A FIN after what was written."""
        self.closing = True
        self._writer.close()

    def reset(self) -> None:
        """A RST; what was not yet sent is lost."""
        self.closing = True
        sock: socket.socket | None = self._writer.get_extra_info("socket")
        if sock is not None and not self._writer.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def _wait(self) -> bool:
        self._more.clear()
        if self.gone:
            return False
        await self._more.wait()
        return True

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks()
        return await self._take(int(headers.get("content-length", "0")))

    async def _chunks(self) -> bytes:
        body = bytearray()
        while size := int((await self._through(b"\r\n")).partition(b";")[0], 16):
            body += await self._take(size)
            await self._take(2)
        await self._through(b"\r\n")
        return bytes(body)

    async def _through(self, mark: bytes) -> bytes:
        while (end := self._buffer.find(mark)) < 0:
            await self._more_or_raise()
        return (await self._take(end + len(mark)))[: -len(mark)]

    async def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            await self._more_or_raise()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def _more_or_raise(self) -> None:
        had = len(self._buffer)
        if not await self._wait() or len(self._buffer) == had:
            raise FramingError("the client left in the middle of a request")


def _parse_head(head: bytes) -> Asked:
    first, *lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, _version = first.split(" ")
        headers = {name.strip().lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
    except ValueError as error:
        raise FramingError(f"not a request: {first[:80]!r}") from error
    path, _, query = target.partition("?")
    return Asked(method=method, path=path, query=query, headers=headers)
