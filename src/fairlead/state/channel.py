"""How a snapshot travels from the control process to the workers, and notices the other way: a Unix socket.

A frame is a 4-byte big-endian length and a MessagePack value: `Published` downwards, `Notice` upwards. Secrets are in
snapshots, so the socket lies in a folder that only its owner may enter, and nothing is ever written to disk. A worker
that lost its connection keeps what it has and connects again.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import Literal

import msgspec

from fairlead.canonical.limits import Rule
from fairlead.canonical.routing import Snapshot

_LENGTH = Struct(">I")
RECONNECT = 0.02
"""Seconds between a worker's attempts to reach the control process."""
REPEAT = 0.1
"""Seconds in which a notice is not said again."""
MOST_NOTICES = 1024
LARGEST_NOTICE = 4096


class Published(msgspec.Struct, frozen=True):
    generation: int
    snapshot: Snapshot


class Notice(msgspec.Struct, frozen=True):
    """What a worker tells the control process; it is not told what becomes of it."""

    kind: Literal["seed", "alert", "credential", "issuer"]
    """A budget whose past the state does not know; one that is used up to a degree; a credential that its provider
    refused; an issuer's key that is not known."""
    name: str = ""
    """Of the credential or the issuer."""
    rule: Rule | None = None
    """The budget."""
    percent: int = 0
    """The degree."""
    period: int = 0
    """Which of the budget's periods it is, so that an alert is told once in each."""


class Publisher:
    """The control process's end: every worker that connects gets the newest snapshot, and each newer one after it."""

    def __init__(self, heed: Callable[[Notice], None] = lambda _: None) -> None:
        self.generation = 0
        self._heed = heed
        self._frame = b""
        self._workers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.AbstractServer | None = None

    async def listen(self, path: Path) -> None:
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - once, at the start: an earlier process left it
        self._server = await asyncio.start_unix_server(self._serve, path)

    def publish(self, snapshot: Snapshot) -> int:
        """Sends `snapshot` to every worker and gives its generation."""
        self.generation += 1
        self._frame = _framed(Published(self.generation, snapshot))
        for worker in self._workers:
            worker.write(self._frame)
        return self.generation

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for worker in self._workers:
            worker.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._workers.add(writer)
        if self._frame:
            writer.write(self._frame)
        decoder = msgspec.msgpack.Decoder(Notice)
        try:
            while True:
                self._heed(decoder.decode(await _payload(reader, LARGEST_NOTICE)))
        except (asyncio.IncompleteReadError, OSError, msgspec.MsgspecError):
            pass
        finally:
            self._workers.discard(writer)
            writer.close()


class Subscriber:
    """A worker's end."""

    def __init__(self, path: Path, accept: Callable[[Published], None]) -> None:
        self._path = path
        self._accept = accept
        self._writer: asyncio.StreamWriter | None = None
        self._said: dict[Notice, float] = {}

    async def run(self) -> None:
        """Hands over every published snapshot, for ever, reconnecting as needed."""
        decoder = msgspec.msgpack.Decoder(Published)
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._path)
            except OSError:
                await asyncio.sleep(RECONNECT)
                continue
            self._writer = writer
            self._said.clear()
            try:
                while True:
                    self._accept(decoder.decode(await _payload(reader)))
            except (asyncio.IncompleteReadError, OSError):
                await asyncio.sleep(RECONNECT)
            finally:
                self._writer = None
                writer.close()

    def tell(self, notice: Notice) -> None:
        """Says it, unless it was said just now or nobody is there to hear it: a notice is repeated, never kept."""
        now = time.monotonic()
        if self._writer is None or now - self._said.get(notice, 0.0) < REPEAT:
            return
        if len(self._said) >= MOST_NOTICES:
            self._said.clear()
        self._said[notice] = now
        frame = _framed(notice)
        if len(frame) <= LARGEST_NOTICE:
            self._writer.write(frame)


def _framed(value: object) -> bytes:
    payload = msgspec.msgpack.encode(value, order=None)
    return _LENGTH.pack(len(payload)) + payload


async def _payload(reader: asyncio.StreamReader, most: int | None = None) -> bytes:
    """The next frame's content. Raises IncompleteReadError at the end, and for a frame that is too large."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if most is not None and length > most:
        raise asyncio.IncompleteReadError(b"", length)
    return await reader.readexactly(length)
