"""The connections to one origin: how many there may be, which one is next, who waits.

It knows slots and waiting. It must not know HTTP.
"""

import asyncio
import ssl
from collections import deque

from fairlead.http.connection import TIMEOUTS, Connection
from fairlead.http.dial import dial, open_context
from fairlead.http.errors import Phase, UpstreamError
from fairlead.http.origin import Origin


class Pool:
    """At most `max_connections` connections, the one used last first; further requests wait, first come first served.

    A slot is counted in `open` from before a connection is dialled until it is closed.
    """

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.open = 0
        self.idle: list[Connection] = []
        """Connections that nobody waits for, the one used last at the end: whoever takes one pops it."""
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._connections: set[Connection] = set()
        self._context: ssl.SSLContext | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        return sum(not waiter.done() for waiter in self._waiting)

    async def acquire(self, *, connect: float, deadline: float, fresh: bool = False) -> Connection:
        """A connection, new or, after a wait and unless `fresh`, one that another request has just done with."""
        if self._closed:
            raise UpstreamError("connect", "the client is closed")
        if self.open >= self.origin.max_connections and self.idle:
            self.idle[0].abort()
        if self.open < self.origin.max_connections:
            self.open += 1
        else:
            connection = await self._wait(connect, deadline)
            if connection is not None and not fresh:
                return connection
            if connection is not None:
                self.open += 1  # its slot, not the connection
                connection.abort()
        return await self._dial(connect, deadline)

    def release(self, connection: Connection) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self.idle.append(connection)

    def forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        self._free()

    def close(self) -> None:
        """Close every connection at once; whoever waits is told."""
        self._closed = True
        for connection in list(self._connections):
            connection.fail(UpstreamError("cut", "the client was closed"))
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(UpstreamError("connect", "the client was closed"))

    def _free(self) -> None:
        """A slot is free: it goes to whoever has waited longest."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self.open -= 1

    async def _wait(self, connect: float, deadline: float) -> Connection | None:
        """A connection that was handed over, or None: a slot was."""
        if self.waiting >= self.origin.max_waiting:
            raise UpstreamError("pool", f"{self.waiting} requests wait for a connection already")
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        patience = asyncio.get_running_loop().time() + connect
        try:
            async with asyncio.timeout_at(min(patience, deadline)):
                return await waiter
        except TimeoutError as error:
            self._give_back(waiter)
            if deadline < patience:
                raise UpstreamError("timeout", TIMEOUTS["total"], phase="total") from error
            raise UpstreamError("pool", f"no connection became free in {connect:g} s") from error
        except BaseException:
            self._give_back(waiter)
            raise

    def _give_back(self, waiter: "asyncio.Future[Connection | None]") -> None:
        """Nobody waits here any more; what was handed over in the same moment goes on to the next."""
        if not waiter.done():
            waiter.cancel()
        if waiter.cancelled():
            if waiter in self._waiting:
                self._waiting.remove(waiter)
        elif waiter.exception() is None:
            connection = waiter.result()
            if connection is None:
                self._free()
            elif not connection.closed:
                self.release(connection)

    async def _dial(self, connect: float, deadline: float) -> Connection:
        """Fill the slot that we hold."""
        loop = asyncio.get_running_loop()
        patience = loop.time() + connect
        connection = Connection(self, loop)
        self._connections.add(connection)
        try:
            async with asyncio.timeout_at(min(patience, deadline)):
                if self.origin.scheme == "https" and self._context is None:
                    self._context = open_context(self.origin)
                await dial(self.origin, self._context, connection)
        except TimeoutError as error:
            connection.abort()
            phase: Phase = "total" if deadline < patience else "connect"
            raise UpstreamError("timeout", TIMEOUTS[phase], phase=phase) from error
        except BaseException:
            connection.abort()
            raise
        if self._closed:
            connection.abort()
            raise UpstreamError("connect", "the client was closed")
        return connection
