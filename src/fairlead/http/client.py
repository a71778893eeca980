"""The HTTP/1.1 client: one request, one answer, over connections that are kept.

It knows how a request is written and when it may be sent twice. It must not know models, redirects or the
environment's proxies: nothing is followed and nothing is guessed.
"""

import asyncio
from time import monotonic

from fairlead.http.errors import UpstreamError
from fairlead.http.inflate import ENCODINGS
from fairlead.http.origin import Origin
from fairlead.http.pool import Pool
from fairlead.http.reply import Reply

__all__ = ["Client", "Origin", "Reply", "UpstreamError"]

MAX_STARTS = 256
"""Request lines that are remembered ready-made; a gateway sends few different ones."""
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class Client:
    """Asks upstreams. One pool per origin for the life of the process; belongs to one event loop."""

    def __init__(self) -> None:
        self._pools: dict[Origin, Pool] = {}
        self._starts: dict[tuple[Origin, str, str, tuple[str, ...]], tuple[Pool, bytes]] = {}
        self._closed = False

    async def request(
        self,
        origin: Origin,
        method: str,
        target: str,
        fields: bytes,
        body: bytes,
        *,
        connect: float,
        first_byte: float,
        idle: float,
        deadline: float,
        accept_encoding: tuple[str, ...] = (),
    ) -> Reply:
        """Send a request; its Reply is here once the head of the answer is. UpstreamError: it failed.

        `fields` are whole header lines; Host, Content-Length and Accept-Encoding are ours. The four clocks are seconds,
        but `deadline`, which is an instant of loop time: to get connected, until the answer's head is complete, between
        two pieces of its body, and for all of it. The request is sent a second time only if a kept connection turned
        out to be closed, before one byte of an answer.
        """
        ready = self._starts.get((origin, method, target, accept_encoding))
        pool, start = ready or self._start(origin, method, target, accept_encoding)
        if body or method in WITH_BODY:
            head = b"%b%bcontent-length: %d\r\n\r\n" % (start, fields, len(body))
        else:
            head = b"%b%b\r\n" % (start, fields)
        asked_at = monotonic()
        connection = pool.idle.pop() if pool.idle else await pool.acquire(connect=connect, deadline=deadline)
        waited = monotonic() - asked_at
        again = False
        while True:
            try:
                answer = connection.ask(
                    head,
                    body,
                    first_byte=first_byte,
                    idle=idle,
                    deadline=deadline,
                    accepts=accept_encoding,
                    head_only=method == "HEAD",
                )
                reply = await answer
                reply.waited = waited
                return reply
            except asyncio.CancelledError:
                connection.give_up(answer)
                raise
            except UpstreamError:
                if again or not connection.stale:
                    raise
            again = True
            asked_at = monotonic()
            connection = await pool.acquire(connect=connect, deadline=deadline, fresh=True)
            waited += monotonic() - asked_at

    async def close(self) -> None:
        """Close every connection at once; requests under way fail."""
        self._closed = True
        for pool in self._pools.values():
            pool.close()
        await asyncio.sleep(0)  # transports close in the next turn of the loop

    @property
    def open_connections(self) -> int:
        """Connections that are open or being opened."""
        return sum(pool.open for pool in self._pools.values())

    @property
    def idle_connections(self) -> int:
        return sum(len(pool.idle) for pool in self._pools.values())

    @property
    def busy_connections(self) -> int:
        return self.open_connections - self.idle_connections

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return sum(pool.waiting for pool in self._pools.values())

    def _pool(self, origin: Origin) -> Pool:
        if self._closed:
            raise UpstreamError("connect", "the client is closed")
        pool = self._pools[origin] = Pool(origin)
        return pool

    def _start(self, origin: Origin, method: str, target: str, accepts: tuple[str, ...]) -> tuple[Pool, bytes]:
        """The request line and the fields that depend on nothing else. ValueError: they would not be what they seem."""
        if not method.isalpha() or not method.isascii():
            raise ValueError(f"method {method!r} is not a word")
        if not target.startswith("/") or not target.isascii() or not target.isprintable() or " " in target:
            raise ValueError(f"target {target!r} is not a path in ASCII without spaces")
        unknown = set(accepts) - ENCODINGS.keys()
        if unknown:
            raise ValueError(f"accept_encoding has {sorted(unknown)!r}; use {', '.join(ENCODINGS)}")
        accepted = ", ".join(accepts) or "identity"
        start = f"{method} {target} HTTP/1.1\r\nhost: {origin.host_field}\r\naccept-encoding: {accepted}\r\n"
        if len(self._starts) >= MAX_STARTS:
            self._starts.clear()
        pool = self._pools.get(origin) or self._pool(origin)
        ready = self._starts[origin, method, target, accepts] = (pool, start.encode("ascii"))
        return ready
