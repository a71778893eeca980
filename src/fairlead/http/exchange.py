"""One request and its answer, as a handler sees them.

It knows how a body is collected and how an answer is framed. It must not know the parser, deadlines or the order of
requests on a connection: its link, the connection, takes care of those.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Protocol

from fairlead.http.head import BODILESS, CHUNKED, CLOSE, KEEP_ALIVE, STATUS_LINES, RequestRefused, status_line
from fairlead.http.outbox import Outbox

UNLIMITED = sys.maxsize
BEGUN = "the answer has begun already"


class Link(Protocol):
    """What an exchange needs of its connection."""

    body_limit: int
    draining: bool

    @property
    def peer(self) -> str: ...
    @property
    def paused(self) -> bool: ...
    @property
    def outbox(self) -> Outbox: ...
    def put(self, data: bytes) -> None:
        """Puts `data` into the outbox, as the hottest callers do themselves."""
        ...

    def emit(self, data: bytes) -> None: ...
    def reset(self) -> None: ...
    def want_body(self, exchange: "Exchange") -> asyncio.Future[None]: ...
    async def writable(self) -> None: ...


class Exchange:
    """A request with the one answer it gets: `send`, or `start`, `write`, `end`, or `abort`.

    The task that handles it is cancelled when the client goes away before the answer has ended.
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_limit",
        "_link",
        "_open",
        "arrived_at",
        "closing",
        "complete",
        "ended",
        "failure",
        "headers",
        "keep_alive",
        "method",
        "on_pause",
        "on_resume",
        "path",
        "query",
        "received",
        "sent",
        "started",
        "version",
        "waiter",
        "weight",
    )

    method: str
    path: str
    """As sent, not decoded."""
    query: str
    """Without the `?`."""
    headers: dict[bytes, bytes]
    """Names in lower case; repeated fields joined with `, `."""
    arrived_at: float
    """Loop time when the head was complete."""
    version: str
    """`1.1` or `1.0`."""
    keep_alive: bool
    """Whether the client lets the connection live on."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._body: bytes | bytearray = b""
        self._limit = UNLIMITED
        self._open = False
        self._chunked = False
        self.received = 0
        self.weight = 0
        self.complete = False
        self.failure: RequestRefused | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.sent = 0
        """Bytes of a whole answer."""
        self.started = False
        self.ended = False
        self.closing = False
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None

    @property
    def peer(self) -> str:
        """The address of the client's end of the connection, without the port."""
        return self._link.peer

    async def read(self, limit: int | None = None) -> bytes:
        """The whole body. Without `limit` the server's own bound holds.

        Raises RequestRefused: 413 beyond the limit (told by Content-Length before a byte is read), 415 for an encoded
        body, 408 when it stops coming, 400 when it is malformed. Let it rise: the server words the answer.
        """
        limit = self._link.body_limit if limit is None else limit
        body = self._body
        identity = b"content-encoding" not in self.headers
        if self.complete and identity and self.received <= limit and isinstance(body, bytes):
            return body  # the ordinary request: it came in one piece
        self._check_body(limit)
        if not self.complete:
            self._limit = limit
            self.waiter = self._link.want_body(self)
            try:
                await self.waiter
            finally:
                self.waiter = None
            if self.failure is not None:
                raise self.failure
        self._body = body = bytes(self._body)
        return body

    def send(self, status: int, fields: bytes, body: bytes) -> None:
        """A whole answer in one write, that leaves at the end of this turn however large it is: what the handler does
        right after it is done before. `fields` has no Content-Length: it is set here.
        """
        if self.started:
            raise RuntimeError(BEGUN)
        self.started = self.ended = True
        link = self._link
        if self.keep_alive and self.complete and self.version == "1.1" and not link.draining:
            connection = b""  # as below, for the ordinary answer
        else:
            connection = self._connection_line()
        line = STATUS_LINES.get(status) or status_line(status)
        if status in BODILESS:
            link.put(b"".join((line, fields, connection, b"\r\n")))
            return
        content = b"" if self.method == "HEAD" else body
        self.sent = len(content)
        length = b"content-length: %d\r\n" % len(body)
        link.outbox.put(link, b"".join((line, fields, length, connection, b"\r\n", content)))

    def start(self, status: int, fields: bytes) -> None:
        """Begins an answer of unknown length: chunked, or ended by the connection's end for an HTTP/1.0 client."""
        if self.started:
            raise RuntimeError(BEGUN)
        self.started = True
        self._open = has_body = self.method != "HEAD" and status not in BODILESS
        self._chunked = self.version == "1.1" and status not in BODILESS
        if not self._chunked and has_body:
            self.keep_alive = False
        framing = CHUNKED if self._chunked else b""
        self._link.put(b"%b%b%b%b\r\n" % (status_line(status), fields, framing, self._connection_line()))

    def write(self, data: bytes) -> None:
        """One piece of the answer that was started. Pieces of one loop turn leave in one packet where they fit."""
        if not self.started:
            raise RuntimeError("write() before start()")
        if not self._open or not data:
            return
        link = self._link
        link.outbox.pour(link, b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        """The clean end of an answer that was started. Without it the client sees a broken answer."""
        if not self.started:
            raise RuntimeError("end() before start()")
        if self.ended:
            return
        self.ended = True
        if self._chunked and self._open:
            self._link.put(b"0\r\n\r\n")
        self._open = False

    def cut(self) -> None:
        """Closes the connection once what was written has left, without the clean end of an answer."""
        self._open = False
        self.ended = self.closing = True

    def abort(self) -> None:
        """Closes the connection at once; what was started never looks finished."""
        self._open = False
        self.started = self.ended = self.closing = True
        self._link.reset()

    async def drain(self) -> None:
        """Waits while more than 64 KiB wait for the client to read."""
        if self._link.paused:
            await self._link.writable()

    def backpressure(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """Has `pause` called when more than 64 KiB wait for the client, and `resume` at 32 KiB again."""
        self.on_pause = pause
        self.on_resume = resume
        if self._link.paused:
            pause()

    # What the connection tells its exchange.

    def feed(self, data: bytes) -> None:
        """The next bytes of the body. Raises RequestRefused beyond the limit of a waiting `read`."""
        if not self.received:
            self._body = data
        elif isinstance(self._body, bytearray):
            self._body += data
        else:
            self._body = bytearray(self._body + data)
        self.received += len(data)
        if self.received > self._limit:
            raise RequestRefused(413, f"the body is larger than {self._limit} bytes")

    def fail(self, failure: RequestRefused) -> None:
        """The body will never be complete."""
        self.failure = failure
        self._body = b""
        self.wake()

    def wake(self) -> None:
        """Whoever waits for the body can look again."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def _check_body(self, limit: int) -> None:
        if self.failure is not None:
            raise self.failure
        if self.headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise RequestRefused(415, "the request body must not be encoded")
        if max(self.received, int(self.headers.get(b"content-length", 0))) > limit:
            raise RequestRefused(413, f"the body is larger than {limit} bytes")

    def _connection_line(self) -> bytes:
        if not self.keep_alive or not self.complete or self._link.draining:
            self.closing = True
            return CLOSE
        return b"" if self.version == "1.1" else KEEP_ALIVE
