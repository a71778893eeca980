"""The connections of one worker: where they come in, the bounds they keep, and how they end.

It knows sockets, TLS and the sweep that enforces deadlines. It must not know what a handler does.
"""

import asyncio
import math
import socket
import ssl
from collections.abc import Awaitable, Callable

import msgspec

from fairlead.http import fields as header_lines
from fairlead.http.downstream import Downstream
from fairlead.http.exchange import Exchange
from fairlead.http.head import RequestRefused

__all__ = ["Exchange", "Handler", "Limits", "Refuse", "RequestRefused", "Server", "refuse_plainly"]

Handler = Callable[[Exchange], Awaitable[None]]
Refuse = Callable[[int, str], tuple[bytes, bytes]]

BACKLOG = 4096
SEND_BUFFER = 128 * 1024
"""Bytes that the kernel holds for a client that does not read; its own choice grows to megabytes."""
TLS_HANDSHAKE = 10.0
CANCELLED = 5.0
"""Seconds that what was cut has to end when a drain ran out of time."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may send and how long it may take. Sizes in bytes, times in seconds."""

    body: int = 32 * 1024 * 1024
    head: int = 64 * 1024
    """All header lines of a request together."""
    fields: int = 100
    target: int = 16 * 1024
    pipelined: int = 32
    """Requests that may wait behind the one that is handled."""
    pipelined_bytes: int = 64 * 1024
    head_timeout: float = 10.0
    body_timeout: float = 30.0
    """Without a byte of a body that is waited for."""
    write_timeout: float = 30.0
    """Without a byte taken by a client that is owed some."""
    idle_timeout: float = 75.0


def refuse_plainly(status: int, reason: str) -> tuple[bytes, bytes]:
    """Fields and body of a refusal in plain text."""
    del status
    return header_lines.encode([("content-type", "text/plain; charset=utf-8")]), f"{reason}\n".encode()


class Server:
    """Accepts connections and hands each request to `handler`, in a task of its own.

    `refuse(status, reason)` words the answers to what never reaches the handler or what it lets rise.
    """

    def __init__(self, handler: Handler, limits: Limits, *, refuse: Refuse = refuse_plainly) -> None:
        self.handler = handler
        self.limits = limits
        self.refuse = refuse
        self.draining = False
        self.connections: set[Downstream] = set()
        self.in_flight = 0
        self.requests = 0
        self._listeners: list[asyncio.AbstractServer] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event = asyncio.Event()

    @property
    def open_connections(self) -> int:
        return len(self.connections)

    async def listen(self, host: str, port: int, *, reuse_port: bool = False, tls: ssl.SSLContext | None = None) -> int:
        """Starts to accept connections; returns the port, which the system chooses for port 0."""
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=reuse_port)
        # Accepted sockets inherit these.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if tls is not None:
            tls.minimum_version = max(tls.minimum_version, ssl.TLSVersion.TLSv1_2)
        listener = await loop.create_server(
            lambda: Downstream(self),
            sock=sock,
            backlog=BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=TLS_HANDSHAKE if tls is not None else None,
        )
        self._listeners.append(listener)
        if self._sweeper is None:
            self._sweep()
        bound: int = sock.getsockname()[1]
        return bound

    async def drain(self, timeout: float) -> None:
        """Stops: nothing new is accepted, idle connections close, busy ones with their answer.

        What is left after `timeout` seconds is cancelled and its connections are cut.
        """
        self.draining = True
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for connection in tuple(self.connections):
            connection.retire()
        if not await self._is_empty_within(timeout):
            for connection in tuple(self.connections):
                connection.cut()
            await self._is_empty_within(CANCELLED)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def forget(self, connection: Downstream) -> None:
        """A connection is lost and nothing is left of its work."""
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()

    async def _is_empty_within(self, timeout: float) -> bool:
        self._empty.clear()
        if not self.connections:
            return True
        try:
            await asyncio.wait_for(self._empty.wait(), timeout)
        except TimeoutError:
            return False
        return True

    def _sweep(self) -> None:
        """One timer for all connections: a deadline is a number that a request sets and nobody must cancel."""
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(self._tick(), self._sweep)
        now = loop.time()
        for connection in [each for each in self.connections if each.deadline <= now]:
            connection.expire(now)

    def _tick(self) -> float:
        limits = self.limits
        shortest = min(limits.head_timeout, limits.body_timeout, limits.write_timeout, limits.idle_timeout)
        return min(1.0, shortest / 4) if math.isfinite(shortest) else 1.0
