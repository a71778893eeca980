"""The body of one answer on its way from a connection to whoever asked.

It knows buffering, backpressure and decompression. It must not know sockets or framing: the connection calls
`arrive`, `finish` and `fail`, and is told when to stop reading.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from fairlead.http.errors import UpstreamError
from fairlead.http.inflate import STEP, Inflater

HIGH = 64 * 1024
"""Decoded bytes that may lie here unconsumed before reading pauses."""


class Source(Protocol):
    """The connection, as far as an answer may steer it."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def watch(self) -> None:
        """Somebody waits for bytes from now on: the idle clock starts."""
        ...

    def abort(self) -> None: ...


class Reply:
    """One answer: its status and headers at once, its body by exactly one of `read`, `piece` or `pipe` at a time.

    Failures are UpstreamError. A task that is cancelled while it waits here closes the connection at once.
    """

    __slots__ = (
        "_each",
        "_error",
        "_held",
        "_inflater",
        "_limit",
        "_pieces",
        "_pumping",
        "_received",
        "_sink",
        "_size",
        "_source",
        "_waiter",
        "complete",
        "delimited",
        "headers",
        "status",
        "waited",
    )

    # Both only where there is an inflater:
    _pumping: bool
    _received: bool

    def __init__(self, status: int, headers: dict[bytes, bytes], source: Source) -> None:
        self.status = status
        self.waited = 0.0
        """Seconds until there was a connection to ask on."""
        self.headers = headers
        """Names in lower case; the values of repeated fields joined with ", "."""
        self.delimited = True
        """False: the body ends where the connection does, so a cut one looks whole."""
        self.complete = False
        """The body's clean end is here, though perhaps not consumed yet."""
        self._source: Source | None = source
        self._inflater: Inflater | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._limit: int | None = None
        self._sink: Callable[[bytes], None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._each = False
        self._error: BaseException | None = None
        self._held = False

    async def read(self, limit: int) -> bytes:
        """The whole (rest of the) body. UpstreamError "protocol": it is larger than `limit` bytes."""
        if self.complete and self._size <= limit and len(self._pieces) == 1:
            self._size = 0  # the ordinary answer: it came in one piece, before anybody asked for it
            return self._pieces.pop()
        self._limit = limit
        if self._size > limit:
            self._too_large()
        if not self.complete and self._error is None:
            await self._wait()
        if self._error is not None:
            raise self._error
        return self._take()

    async def piece(self) -> bytes:
        """The next bytes, as they came; b"" at the clean end."""
        if not self._pieces and not self.complete and self._error is None:
            self._each = True
            try:
                await self._wait()
            finally:
                self._each = False
        if self._pieces:
            taken = self._take()
            self._go_on()
            return taken
        if self._error is not None:
            raise self._error
        return b""

    async def pipe(self, sink: Callable[[bytes], None]) -> None:
        """Hand every further piece to `sink` as it arrives; returns at the clean end.

        `sink` is called from the event loop, not in a task. What it raises ends the answer and is raised here.
        """
        if self._pieces:
            try:
                sink(self._take())
            except BaseException as error:
                self.fail(error)
                raise
        self._sink = sink
        if not self.complete and self._error is None:
            await self._wait()
        if self._error is not None:
            raise self._error

    def pause(self) -> None:
        """Stop reading from the upstream: whoever gets this body is slow. The idle clock stands still."""
        self._held = True
        if self._source is not None:
            self._source.pause()

    def resume(self) -> None:
        """Read on after `pause`."""
        self._held = False
        self._go_on()

    def close(self) -> None:
        """Give the rest up: unless the body is complete, the connection is closed at once."""
        self.fail(UpstreamError("cut", "the answer was given up"))

    @property
    def waiting(self) -> bool:
        """Whether bytes are awaited, so that silence counts as idleness."""
        return self._waiter is not None and not self._held

    # What the connection calls.

    def arrive(self, data: bytes) -> None:
        """Bytes of the body as they were sent."""
        if self._inflater is not None:
            self._inflater.feed(data)
            self._pump()
        elif self._sink is not None:
            try:
                self._sink(data)
            except BaseException as error:
                self.fail(error)
        else:
            self._keep(data)

    def finish(self) -> None:
        """The framing's clean end; the connection is no longer ours."""
        self._source = None
        if self._inflater is not None:
            self._received = True
            self._pump()
            return
        self.complete = True
        if self._waiter is not None:
            self._wake()

    def fail(self, error: BaseException) -> None:
        """No clean end will come. What lies here already can still be taken in pieces, not as a whole."""
        if self.complete or self._error is not None:
            return
        self._error = error
        self._sink = None
        source, self._source = self._source, None
        if source is not None:
            source.abort()
        self._wake()

    def inflate(self, inflater: Inflater) -> None:
        """The body that follows is compressed."""
        self._inflater = inflater
        self._pumping = self._received = False

    # Inside.

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        self._go_on()
        if self._source is not None:
            self._source.watch()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._waiter = None

    def _go_on(self) -> None:
        if self._held:
            return
        if self._source is not None and (self._size < HIGH or self._limit is not None):
            self._source.resume()
        self._pump()

    def _keep(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._limit is not None:
            if self._size > self._limit:
                self._too_large()
        elif self._size >= HIGH and self._source is not None:
            self._source.pause()
        if self._each:
            self._wake()

    def _take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        self._size = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _pump(self) -> None:
        """Decode what has arrived, no more than there is room for."""
        inflater = self._inflater
        if inflater is None or self._pumping:
            return
        self._pumping = True
        try:
            while self._error is None and (room := self._room()) and self._decode(inflater, room):
                pass
        except BaseException as error:
            self.fail(error)
        finally:
            self._pumping = False

    def _decode(self, inflater: Inflater, room: int) -> bool:
        """One step; False: more must arrive first."""
        piece = inflater.step(room)
        if piece and self._sink is not None:
            self._sink(piece)
        elif piece:
            self._keep(piece)
        elif self._received and not inflater.whole:
            raise UpstreamError("cut", "the answer's compressed body broke off")
        elif self._received:
            self._complete()
        return bool(piece)

    def _room(self) -> int:
        if self._held or self.complete:
            return 0
        if self._sink is not None:
            return STEP
        if self._limit is not None:
            return min(STEP, self._limit - self._size + 1)
        return max(0, HIGH - self._size)

    def _complete(self) -> None:
        self.complete = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _too_large(self) -> None:
        self._pieces.clear()
        self.complete = False
        self.fail(UpstreamError("protocol", f"the answer is too large: over {self._limit} bytes"))
