"""Writes that wait for the end of the loop's turn, so that all of them leave in one burst.

A write to a peer that sleeps wakes it, which costs as much as the write; in a burst, peers that share a core are woken
once. It knows transports and the loop's turns, and must not know what the bytes are.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol
from weakref import WeakKeyDictionary

LARGE = 64 * 1024


class Writer(Protocol):
    """A connection, as far as its writes go."""

    def emit(self, data: bytes) -> None:
        """Hands `data` to the transport, unless it was lost meanwhile."""
        ...


class Outbox:
    """The writes of one event loop."""

    __slots__ = ("_call_soon", "_flush", "_waiting", "before")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self._flush = self.flush
        self._waiting: list[tuple[Writer, bytes]] = []
        self.before: Callable[[], None] = _nothing
        """Called before each burst: what must have happened before an answer may leave. Where it raises, none does."""

    def put(self, writer: Writer, data: bytes) -> None:
        """Has `writer.emit(data)` called in the loop's next turn, after every write that was put before it."""
        waiting = self._waiting
        if not waiting:
            self._call_soon(self._flush)
        waiting.append((writer, data))

    def pour(self, writer: Writer, data: bytes) -> None:
        """As `put`, for a piece of more: what is large is written at once, so that its transport can say at once that
        it is too much.
        """
        self.put(writer, data)
        if len(data) > LARGE:
            self.flush()

    def flush(self) -> None:
        """Writes what waits now: before a connection is closed, and at the end of a turn."""
        self.before()
        waiting, self._waiting = self._waiting, []
        for writer, data in waiting:
            writer.emit(data)


def _nothing() -> None: ...


_OUTBOXES: "WeakKeyDictionary[asyncio.AbstractEventLoop, Outbox]" = WeakKeyDictionary()


def outbox_of(loop: asyncio.AbstractEventLoop) -> Outbox:
    """The one outbox of `loop`, which servers and clients share."""
    outbox = _OUTBOXES.get(loop)
    if outbox is None:
        outbox = _OUTBOXES[loop] = Outbox(loop)
    return outbox
