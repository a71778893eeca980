"""How a snapshot travels from the control process to the workers: a Unix socket, one framed message per snapshot.

A frame is a 4-byte big-endian length and a MessagePack `Published`. Secrets are in it, so the socket lies in a folder
that only its owner may enter, and nothing is ever written to disk. A worker that lost its connection keeps what it has
and connects again.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from struct import Struct

import msgspec

from fairlead.canonical.routing import Snapshot

_LENGTH = Struct(">I")
RECONNECT = 0.02
"""Seconds between a worker's attempts to reach the control process."""


class Published(msgspec.Struct, frozen=True):
    generation: int
    snapshot: Snapshot


class Publisher:
    """The control process's end: every worker that connects gets the newest snapshot, and each newer one after it."""

    def __init__(self) -> None:
        self.generation = 0
        self._frame = b""
        self._workers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.AbstractServer | None = None

    async def listen(self, path: Path) -> None:
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - once, at the start: an earlier process left it
        self._server = await asyncio.start_unix_server(self._serve, path)

    def publish(self, snapshot: Snapshot) -> int:
        """Sends `snapshot` to every worker and gives its generation."""
        self.generation += 1
        payload = msgspec.msgpack.encode(Published(self.generation, snapshot), order=None)
        self._frame = _LENGTH.pack(len(payload)) + payload
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
        try:
            while await reader.read(1024):  # workers say nothing: this waits for their end
                pass
        finally:
            self._workers.discard(writer)
            writer.close()


async def subscribe(path: Path, accept: Callable[[Published], None]) -> None:
    """Calls `accept` with every published snapshot, for ever, reconnecting as needed."""
    decoder = msgspec.msgpack.Decoder(Published)
    while True:
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError:
            await asyncio.sleep(RECONNECT)
            continue
        try:
            while True:
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                accept(decoder.decode(await reader.readexactly(length)))
        except (asyncio.IncompleteReadError, OSError):
            await asyncio.sleep(RECONNECT)
        finally:
            writer.close()
