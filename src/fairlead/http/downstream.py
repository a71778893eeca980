"""One client connection: bytes in, exchanges in order, answers out, and every deadline.

It knows the transport and the order of requests. It must not know how bytes become exchanges, nor what a handler does.
"""

import asyncio
import logging
import math
import socket
import struct
import traceback
from collections import deque
from typing import TYPE_CHECKING, cast

from fairlead.http.exchange import Exchange
from fairlead.http.head import CLOSE, CONTINUE, RequestRefused, status_line
from fairlead.http.intake import Intake, weigh
from fairlead.http.outbox import LARGE, outbox_of

if TYPE_CHECKING:
    from fairlead.http.server import Server

HIGH_WATER = 64 * 1024
LOW_WATER = 32 * 1024
LINGER = 2.0
"""Seconds in which input is thrown away after a last answer: closing at once could destroy the answer on its way."""
DISCARDED = 1024 * 1024
"""Bytes beyond the last request that are thrown away while it is handled; a client that sends more is cut off."""

_log = logging.getLogger("fairlead.http")
_RESET = struct.pack("ii", 1, 0)


class Downstream(asyncio.Protocol):
    """Exchanges of one client, handled one after the other while the input is always watched."""

    __slots__ = (
        "_backlog",
        "_clock",
        "_closing",
        "_deaf",
        "_discarded",
        "_disconnected",
        "_drained",
        "_exchange",
        "_intake",
        "_limits",
        "_loop",
        "_lost",
        "_moved_at",
        "_queue",
        "_queued",
        "_reading",
        "_server",
        "_spoiled",
        "_task",
        "_transport",
        "_write",
        "body_limit",
        "deadline",
        "draining",
        "outbox",
        "paused",
        "peer",
    )

    _transport: asyncio.Transport
    peer: str

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._limits = server.limits
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self.outbox = outbox_of(self._loop)
        self._intake = Intake(self, server.limits, self._loop)
        self._queue: deque[Exchange | RequestRefused] = deque()
        self._queued = 0
        self._exchange: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._discarded = self._backlog = 0
        self._deaf = self._spoiled = self._closing = self._lost = self._disconnected = False
        self._reading = True
        self._moved_at = 0.0
        self.body_limit = server.limits.body
        self.draining = server.draining
        self.paused = False
        self.deadline = math.inf

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by their methods only.
        self._transport = transport = cast("asyncio.Transport", transport)
        self._write = transport.write
        transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else ""
        self._server.connections.add(self)
        self.deadline = self._clock() + self._limits.head_timeout

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            self._discard(len(data))
            return
        intake = self._intake
        between = not intake.in_head
        try:
            intake.feed(data)
        except RequestRefused as refusal:
            if not self._deaf:
                self._break(refusal)
            return
        if intake.in_head and between and self._exchange is None:
            self.deadline = self._clock() + self._limits.head_timeout

    def eof_received(self) -> None:
        """A client that ends its side is gone: nobody who waits for an answer does that."""
        self._leave()
        self._closing = True  # the transport closes itself once an answer that has ended is sent
        self._watch_writes_from(self._clock())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._leave()
        self._intake.stop()
        self._closing = self._disconnected = True
        self.deadline = math.inf
        self._release_writers()
        if self._task is None:
            self._server.forget(self)

    def pause_writing(self) -> None:
        self.paused = True
        self._watch_writes_from(self._clock())
        if self._exchange is not None and self._exchange.on_pause is not None:
            self._exchange.on_pause()

    def resume_writing(self) -> None:
        self._release_writers()
        exchange = self._exchange
        if exchange is None:
            if not self._closing:
                self._proceed()
            return
        waiting = exchange.waiter is not None
        self.deadline = self._clock() + self._limits.body_timeout if waiting else math.inf
        if exchange.on_resume is not None:
            exchange.on_resume()

    # The intake's side. An exception here stops it.

    def begun(self, exchange: Exchange) -> None:
        if self._exchange is not None or self.paused:
            self._enqueue(exchange)
            return
        self._exchange = exchange
        self.deadline = math.inf
        self._server.requests += 1
        self._server.in_flight += 1
        # Not the loop's create_task, which would think up a name for every task.
        self._task = asyncio.Task(self._handle(exchange), loop=self._loop, name="exchange")

    def grown(self, exchange: Exchange, size: int) -> None:
        if exchange is not self._exchange:
            self._weigh(exchange, size)
        elif exchange.waiter is None:
            if exchange.received >= HIGH_WATER:
                self._pause_reading()
        elif not self.paused:
            self.deadline = self._clock() + self._limits.body_timeout

    def completed(self, exchange: Exchange) -> None:
        if exchange.waiter is not None:
            exchange.wake()
            if not self.paused:
                self.deadline = math.inf
        if not exchange.keep_alive:
            self._deaf = True

    # The exchange's side.

    def put(self, data: bytes) -> None:
        self.outbox.put(self, data)

    def reset(self) -> None:
        """Ends the connection so that the client cannot take it for a clean end, and what waits to be sent is lost."""
        self._deaf = self._closing = self._lost = True
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def want_body(self, exchange: Exchange) -> asyncio.Future[None]:
        """A future that is done once the body is complete or never will be. The client is told to send it."""
        if not exchange.received and b"expect" in exchange.headers and not exchange.started:
            self.put(CONTINUE)
        self._resume_reading()
        if not self.paused:
            self.deadline = self._clock() + self._limits.body_timeout
        return self._loop.create_future()

    async def writable(self) -> None:
        if self._drained is None or self._drained.done():
            self._drained = self._loop.create_future()
        await asyncio.shield(self._drained)

    # The outbox's side.

    def emit(self, data: bytes) -> None:
        if self._lost:
            return
        if self.paused:
            self._backlog += len(data)
        self._write(data)

    # The server's side.

    def expire(self, now: float) -> None:
        """Does what the deadline that has passed demands."""
        if self.paused or (self._closing and self._transport.get_write_buffer_size()):
            self._watch_writes(now)
        elif self._closing:
            if now - self._moved_at >= LINGER:
                self._transport.abort()
        elif self._exchange is not None:
            self.deadline = math.inf
            if self._intake.incoming is self._exchange:
                self._break(RequestRefused(408, "the request body stopped coming"))
        elif self._intake.in_head:
            self._break(RequestRefused(408, "the request head did not arrive in time"))
        else:
            self._close()

    def retire(self) -> None:
        """Closes if nothing is under way; otherwise the last answer does."""
        self.draining = True
        if self._exchange is None and not self._queue and not self._intake.in_head and not self._closing:
            self._close()

    def cut(self) -> None:
        """Ends the connection at once and cancels what it handles."""
        if self._task is not None:
            self._task.cancel()
        self.reset()

    # The order of exchanges.

    async def _handle(self, exchange: Exchange) -> None:
        try:
            await self._server.handler(exchange)
            if not exchange.ended:
                self._fail(exchange, "the handler returned before it ended its answer")
        except RequestRefused as refused:
            self._answer(exchange, refused)
        except Exception as error:
            frames = "".join(traceback.format_tb(error.__traceback__))
            self._fail(exchange, f"{type(error).__name__}\n{frames}")
        finally:
            self._finish(exchange)

    def _fail(self, exchange: Exchange, what: str) -> None:
        # The exception's own words are left out: they may quote a body or a secret.
        _log.error("handling %s %s failed: %s", exchange.method, exchange.path, what)
        self._answer(exchange, RequestRefused(500, "internal error"))

    def _answer(self, exchange: Exchange, refused: RequestRefused) -> None:
        if exchange.started:
            return  # _finish cuts an answer that has not ended
        exchange.send(refused.status, *self._server.refuse(refused.status, refused.reason))

    def _finish(self, exchange: Exchange) -> None:
        self._server.in_flight -= 1
        self._exchange = self._task = None
        if exchange.sent > LARGE:
            self.outbox.flush()  # now, so that the transport can say at once that it is too much
        if self._disconnected:
            self._server.forget(self)
        elif self._lost:
            return
        elif not exchange.ended:
            self.reset()
        elif exchange.closing:
            self._close(linger=self._spoiled or not exchange.complete)
        elif not self.paused:
            self._proceed()

    def _proceed(self) -> None:
        self._resume_reading()  # a body that was whole before anybody asked for it has stopped the reading
        in_head = self._intake.in_head
        if self._queue:
            self._next(self._queue.popleft())
        elif self.draining and not in_head:
            self._close()
        else:
            limits = self._limits
            self.deadline = self._clock() + (limits.head_timeout if in_head else limits.idle_timeout)

    def _next(self, item: Exchange | RequestRefused) -> None:
        if isinstance(item, RequestRefused):
            self._refuse(item)
            return
        self._queued -= item.weight
        self.begun(item)

    def _enqueue(self, exchange: Exchange) -> None:
        if len(self._queue) >= self._limits.pipelined:
            self._overflow()
            raise RequestRefused(503, "too many requests in the pipeline")
        self._queue.append(exchange)
        self._weigh(exchange, weigh(exchange.headers) + len(exchange.path))

    def _weigh(self, exchange: Exchange, size: int) -> None:
        exchange.weight += size
        self._queued += size
        if self._queued > self._limits.pipelined_bytes:
            self._overflow()
            raise RequestRefused(413, "too many bytes in the pipeline")

    def _overflow(self) -> None:
        """What is queued is still answered; nothing after it is read."""
        self._deaf = self._spoiled = True
        self._intake.in_head = False
        self._intake.incoming = None
        last = self._queue[-1]
        if isinstance(last, Exchange):
            last.keep_alive = False
            if not last.complete:
                last.fail(RequestRefused(413, "too many bytes in the pipeline"))

    def _leave(self) -> None:
        """The client is gone: whatever still works on an answer is cancelled."""
        self._lost = self._deaf = True
        self._queue.clear()
        self._intake.incoming = None
        if self._task is not None and self._exchange is not None and not self._exchange.ended:
            self._task.cancel()

    # Refusing, closing and watching.

    def _break(self, refusal: RequestRefused) -> None:
        """Nothing that follows on this connection can be understood or is wanted."""
        self._deaf = self._spoiled = True
        self._intake.in_head = False
        incoming, self._intake.incoming = self._intake.incoming, None
        if incoming is not None:
            if not self.paused:
                self.deadline = math.inf
            incoming.fail(refusal)
        elif self._exchange is None and not self._queue:
            self._refuse(refusal)
        else:
            self._queue.append(refusal)

    def _refuse(self, refusal: RequestRefused) -> None:
        fields, body = self._server.refuse(refusal.status, refusal.reason)
        line = status_line(refusal.status)
        self.put(b"%b%bcontent-length: %d\r\n%b\r\n%b" % (line, fields, len(body), CLOSE, body))
        self._close(linger=True)

    def _close(self, *, linger: bool = False) -> None:
        """Ends the connection once what was written is sent. Where input may be on its way, it is read for a while."""
        self.outbox.flush()
        self._deaf = self._closing = True
        self._resume_reading()
        self._watch_writes_from(self._clock())
        if not linger:
            self._transport.close()
        elif self._transport.can_write_eof():
            self._transport.write_eof()

    def _watch_writes_from(self, now: float) -> None:
        self._backlog = self._transport.get_write_buffer_size()
        self._moved_at = now
        self.deadline = -math.inf  # looked at in every sweep

    def _watch_writes(self, now: float) -> None:
        """Cuts off a client that takes nothing of what it is owed."""
        size = self._transport.get_write_buffer_size()
        if size < self._backlog:
            self._watch_writes_from(now)
        elif now - self._moved_at >= self._limits.write_timeout:
            self.reset()

    def _release_writers(self) -> None:
        self.paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > DISCARDED and not self._closing:
            self.reset()
