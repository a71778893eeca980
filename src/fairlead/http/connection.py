"""One connection to an upstream: one question at a time, bytes to answers.

It knows HTTP/1.1 framing, the clocks of an exchange and when a connection may be used again. It must not know how the
connection was made (dial), who waits for it (pool), nor what a body is for.
"""

import asyncio
import math
import ssl
from typing import Any, Protocol, cast

import httptools

from fairlead.http.errors import Phase, UpstreamError
from fairlead.http.inflate import open_inflater
from fairlead.http.outbox import outbox_of
from fairlead.http.reply import Reply

MAX_HEAD = 64 * 1024
MAX_FIELDS = 100
"""Bounds of an answer's head, of its trailer, and (MAX_HEAD) of framing between two bytes of a body."""
ONE_WRITE = 64 * 1024
"""Bodies up to this size are joined with their head, which costs a copy and saves a system call."""
KEEP = 60.0
"""Seconds that an unused connection is kept."""


class Owner(Protocol):
    """The pool, as a connection sees it."""

    def release(self, connection: "Connection") -> None:
        """The connection can take another request."""
        ...

    def forget(self, connection: "Connection") -> None:
        """The connection is gone; called once."""
        ...


class Connection(asyncio.Protocol):
    """A connection that is idle, busy with one exchange, or closed."""

    __slots__ = (
        "_accepts",
        "_answer",
        "_clock",
        "_deadline",
        "_done",
        "_due_at",
        "_first_by",
        "_head_only",
        "_headers",
        "_idle",
        "_interim",
        "_keeps",
        "_kept_until",
        "_loop",
        "_outbox",
        "_owner",
        "_parser",
        "_reading",
        "_repeats",
        "_reply",
        "_seen_at",
        "_sent",
        "_silent",
        "_since_body",
        "_timer",
        "_transport",
        "closed",
        "reused",
        "stale",
    )

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self._loop = loop
        self._clock = loop.time
        self._outbox = outbox_of(loop)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Reply] | None = None
        self._reply: Reply | None = None
        self._idle = self._deadline = math.inf
        self._accepts: tuple[str, ...] = ()
        self._head_only = False
        self._headers: dict[bytes, bytes] = {}
        self._repeats = 0
        self._since_body = 0
        self._interim = False
        self._done = False
        self._keeps = False
        self._reading = True
        self._seen_at = 0.0
        self._first_by = 0.0
        self._kept_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = math.inf
        self.closed = False
        self.reused = False
        """It has answered before."""
        self.stale = False
        """It was reused, and closed before one byte of the answer came: the request may be sent once more."""
        self._silent = True
        self._sent = False
        """A question has begun to leave, and its answer is not whole."""

    def ask(
        self,
        head: bytes,
        body: bytes,
        *,
        first_byte: float,
        idle: float,
        deadline: float,
        accepts: tuple[str, ...] = (),
        head_only: bool = False,
    ) -> asyncio.Future[Reply]:
        """Send a request. The future is done once the head of its answer is here; whoever is cancelled gives it up.

        Times are in seconds; the deadline is an instant of loop time.
        """
        if self.closed:
            self.stale = self.reused
            raise UpstreamError("cut", "the connection closed before an answer came")
        self._answer = answer = self._loop.create_future()
        self._idle = idle
        self._deadline = deadline
        self._accepts = accepts
        self._head_only = head_only
        self._first_by = first_by = self._clock() + first_byte
        self._silent = True
        due = first_by if first_by < deadline else deadline
        if due < self._due_at:
            self._arm(due)
        if len(body) <= ONE_WRITE:
            self._outbox.pour(self, head + body)
        else:
            self._outbox.put(self, head)
            self._outbox.pour(self, body)
        return answer

    def give_up(self, answer: asyncio.Future[Reply]) -> None:
        """Nobody waits for `answer` any more: close at once, unless it is whole already."""
        if self._answer is answer:
            self.abort()
        if answer.done() and not answer.cancelled():
            answer.exception()

    def abort(self) -> None:
        """Close at once; whatever was going on is over."""
        if self.closed:
            return
        self.closed = True
        self._sent = False
        self._answer = self._reply = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
        self._owner.forget(self)

    def fail(self, error: BaseException) -> None:
        """End the exchange with `error`, and the connection with it."""
        answer, reply = self._answer, self._reply
        self.abort()
        if reply is not None:
            reply.fail(error)
        elif answer is not None and not answer.done():
            answer.set_exception(error)

    # What a Reply calls.

    def pause(self) -> None:
        if self._reading and not self.closed:
            self._reading = False
            self._transport.pause_reading()

    def resume(self) -> None:
        if not self._reading and not self.closed:
            self._reading = True
            self._transport.resume_reading()
            self.watch()

    def watch(self) -> None:
        self._seen_at = self._clock()
        self._arm(self._seen_at + self._idle)

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self.closed:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._sent:
            self._unasked()
            return
        self._silent = False
        self._seen_at = self._clock()
        self._since_body += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._misparsed(error)
            return
        if self._done:
            if not self.closed:
                self._settle()
        elif self._since_body > MAX_HEAD:
            self.fail(UpstreamError("protocol", f"the answer's head or framing is over {MAX_HEAD} bytes"))

    def eof_received(self) -> None:
        self._ended(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(exc)

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._done:
            raise UpstreamError("protocol", "bytes after the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        headers = self._headers
        name = name.lower()
        if name in headers:
            self._repeats += 1
            headers[name] += b", " + value
        else:
            headers[name] = value

    def on_headers_complete(self) -> None:
        headers, self._headers = self._headers, {}
        if len(headers) + self._repeats > MAX_FIELDS:
            raise UpstreamError("protocol", f"the answer's head has over {MAX_FIELDS} fields")
        self._repeats = 0
        if self._since_body > MAX_HEAD and sum(map(len, (*headers, *headers.values()))) > MAX_HEAD:
            raise UpstreamError("protocol", f"the answer's head is over {MAX_HEAD} bytes")
        status = self._parser.get_status_code()
        if status < 200:
            if status < 100 or status == 101:
                raise UpstreamError("protocol", f"the answer's status {status} is none that we asked for")
            self._interim = True
            return
        answer = self._answer
        if answer is None or answer.done():
            self._keeps = False  # whoever asked was cancelled a moment ago
            return
        self._reply = reply = self._open(status, headers)
        answer.set_result(reply)

    def on_body(self, data: bytes) -> None:
        self._since_body = 0
        reply = self._reply
        if reply is not None and not self._head_only:
            reply.arrive(data)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
            return
        self._done = True

    # What the outbox calls.

    def emit(self, data: bytes) -> None:
        if not self.closed:
            self._sent = True
            self._transport.write(data)

    # Inside.

    def _unasked(self) -> None:
        """Bytes that answer nothing: they must not become the next answer."""
        if self._answer is not None:  # the request has not left, and may go elsewhere
            self.stale = True
            self.fail(UpstreamError("cut", "the upstream spoke before it was asked"))
        else:
            self.abort()

    def _open(self, status: int, headers: dict[bytes, bytes]) -> Reply:
        self._keeps = self._parser.should_keep_alive()
        if not self._keeps and self._parser.get_http_version() not in ("1.1", "1.0"):
            raise UpstreamError("protocol", "the answer is not HTTP/1.1")
        coding = headers.get(b"transfer-encoding")
        if coding is not None and coding.strip().lower() != b"chunked":
            raise UpstreamError("protocol", "the answer's transfer coding is not chunked")
        bodiless = self._head_only or status in (204, 304)
        reply = Reply(status, headers, self)
        if b"content-length" not in headers and coding is None and not bodiless:
            reply.delimited = False
        encoding = headers.get(b"content-encoding")
        if encoding is not None and not bodiless:
            self._decompress(reply, encoding)
        if self._head_only:
            self._done = True  # the parser waits for a body, so the connection is of no more use
            self._keeps = False
        return reply

    def _decompress(self, reply: Reply, encoding: bytes) -> None:
        name = encoding.strip().lower().decode("latin-1")
        if name in ("", "identity"):
            return
        if name not in self._accepts:
            raise UpstreamError("protocol", "the answer has a content coding that we did not ask for")
        reply.inflate(open_inflater(name))

    def _misparsed(self, error: httptools.HttpParserError) -> None:
        if self._done:
            self._keeps = False
            self._settle()
            return
        cause = error.__context__
        if isinstance(cause, UpstreamError):
            self.fail(cause)
        else:
            self.fail(UpstreamError("protocol", f"the answer is not HTTP/1.1: {error}"))

    def _settle(self) -> None:
        """The answer is whole: hand the connection back, or close it."""
        reply = self._reply
        self._done = False
        self._since_body = 0
        if self._headers:
            self._headers = {}  # a trailer, which nobody asked for
            self._repeats = 0
        if self._keeps and not self._transport.get_write_buffer_size():
            if not self._reading:
                self.resume()
            self._answer = self._reply = None
            self._sent = False
            self.reused = True
            self._kept_until = kept_until = self._seen_at + KEEP
            if kept_until < self._due_at:
                self._arm(kept_until)
            self._owner.release(self)
        else:
            self.abort()
        if reply is not None:
            reply.finish()

    def _ended(self, exc: Exception | None) -> None:
        """The upstream closed the connection."""
        if self.closed:
            return
        self.stale = self.reused and self._silent
        reply = self._reply
        if reply is not None and not reply.delimited and exc is None:
            self._keeps = False
            self._settle()
        elif isinstance(exc, ssl.SSLError):
            self.fail(UpstreamError("tls", f"the TLS connection failed: {exc.reason or 'no reason given'}"))
        else:
            where = "before an answer came" if reply is None else "in the middle of an answer"
            self.fail(UpstreamError("cut", f"the connection closed {where}"))

    def _arm(self, due: float) -> None:
        """See that `_tick` runs by `due`. Running too early is cheap, so a timer is rarely moved."""
        if due >= self._due_at or self.closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due_at = due
        self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._due_at = math.inf
        due, phase = self._due()
        if due > self._clock() + 0.001:
            self._arm(due)
        elif phase is None:
            self.abort()
        else:
            self.fail(UpstreamError("timeout", TIMEOUTS[phase], phase=phase))

    def _due(self) -> tuple[float, Phase | None]:
        """What ends the present state, and when. None: nothing but our patience with an idle connection."""
        if self._answer is None:
            return self._kept_until, None
        deadline: tuple[float, Phase | None] = (self._deadline, "total")
        if self._reply is None:
            return min((self._first_by, "first_byte"), deadline)
        if self._reply.waiting:
            return min((self._seen_at + self._idle, "idle"), deadline)
        return deadline


TIMEOUTS: dict[Any, str] = {
    "connect": "the connection took too long",
    "first_byte": "the answer took too long to begin",
    "idle": "the answer fell silent",
    "total": "the time for the whole request is up",
}
