"""A client's bytes into exchanges: the parser, the bounds of heads and of framing, and what upgrades do to it.

It knows where one request ends and the next begins. It must not know the transport, deadlines or who handles what.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

import httptools

from fairlead.http.exchange import Exchange, Link
from fairlead.http.head import METHODS, RequestRefused, body_head, check, split

if TYPE_CHECKING:
    from fairlead.http.server import Limits

CHUNK_OVERHEAD = 16 * 1024
"""Bytes of a chunked body that may arrive, in whole packets, without one byte of content."""

_log = logging.getLogger("fairlead.http")


class Owner(Link, Protocol):
    """What the intake tells the connection."""

    def begun(self, exchange: Exchange) -> None: ...
    def grown(self, exchange: Exchange, size: int) -> None: ...
    def completed(self, exchange: Exchange) -> None:
        """Only where somebody waits for it, or nothing may follow it."""
        ...


class Intake:
    """Feeds the parser and is called back by it.

    An exception in a callback stops the parser and comes out of its feed_data as a context.
    """

    __slots__ = (
        "_clock",
        "_detour",
        "_fed",
        "_headers",
        "_limits",
        "_overhead",
        "_owner",
        "_parser",
        "_received",
        "_repeats",
        "_target",
        "in_head",
        "incoming",
    )

    def __init__(self, owner: Owner, limits: "Limits", loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self._limits = limits
        self._clock = loop.time
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._fed = self._repeats = self._overhead = self._received = 0
        self._detour = False
        self.in_head = False
        """Whether a head has begun to arrive."""
        self.incoming: Exchange | None = None
        """The exchange whose body is arriving."""

    def feed(self, data: bytes) -> None:
        """Takes the next bytes. Raises RequestRefused where they stop making sense; nothing can follow."""
        in_head = self.in_head
        incoming = self.incoming
        self._fed = len(data) + self._fed if in_head else len(data)
        detour_at: int | None = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            detour_at = upgrade.args[0]
        except httptools.HttpParserError as error:
            raise _refusal(error) from None
        if detour_at is not None:  # not above: what goes wrong from here on has nothing to do with the upgrade
            self._ignore_upgrade(data[detour_at:])
        if self.in_head:
            self._watch_head(len(data) if in_head else 0)
        elif self.incoming is not None and self.incoming is incoming:
            self._watch_chunks(len(data))

    def stop(self) -> None:
        """Breaks the cycles, so that a lost connection is freed at once."""
        self.incoming = None
        self._parser = self._owner = None  # type: ignore[assignment]

    def on_message_begin(self) -> None:
        self.in_head = True
        self._target = b""
        self._headers = {}
        self._repeats = 0

    def on_url(self, url: bytes) -> None:
        self._target += url
        if len(self._target) > self._limits.target:
            raise RequestRefused(414, "the request target is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        # The hottest line of all: sizes are looked at once, when all headers are there.
        name = name.lower()
        headers = self._headers
        if name in headers:
            self._repeat(name, value)
        else:
            headers[name] = value

    def on_headers_complete(self) -> None:
        self.in_head = False
        if self._detour:
            self._detour = False
            return
        parser = self._parser
        headers = self._headers
        if len(headers) + self._repeats > self._limits.fields or self._fed > self._limits.head:
            self._check_size(headers)
        exchange = Exchange(self._owner)
        exchange.keep_alive = keep_alive = parser.should_keep_alive()
        # Asking the parser for the version costs more than all its other answers. Who keeps the connection without
        # saying so speaks 1.1.
        silent = keep_alive and b"connection" not in headers and b"proxy-connection" not in headers
        exchange.version = version = "1.1" if silent else parser.get_http_version()
        exchange.method = method = METHODS.get(parser.get_method(), "")
        check(version, method, headers)
        exchange.path, exchange.query = split(self._target)
        exchange.headers = headers
        exchange.arrived_at = self._clock()
        if b"upgrade" in headers:
            self._detour = parser.should_upgrade()
        if b"transfer-encoding" in headers:
            self._headers = {}  # trailers: nobody gets to see them
            self._overhead = self._received = 0
        self.incoming = exchange
        self._owner.begun(exchange)

    def on_body(self, data: bytes) -> None:
        exchange = self.incoming
        if exchange is not None:
            exchange.feed(data)
            self._owner.grown(exchange, len(data))

    def on_message_complete(self) -> None:
        exchange = self.incoming
        if self._detour or exchange is None:
            return
        if self._headers is not exchange.headers:
            self._check_size(self._headers)
        self.incoming = None
        exchange.complete = True
        if exchange.waiter is not None or not exchange.keep_alive:  # for anybody else it is early enough to look
            self._owner.completed(exchange)

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Answers a request to switch protocols in HTTP/1.1, as its sender must expect.

        The parser believes that the new protocol follows. Another one is told of the same body, so that it goes on
        where the first one stopped.
        """
        exchange = self.incoming
        if exchange is not None:
            self._parser = httptools.HttpRequestParser(self)
            self.feed(body_head(exchange.headers, exchange.keep_alive) + rest)

    def _repeat(self, name: bytes, value: bytes) -> None:
        self._repeats += 1
        if self._repeats > self._limits.fields:
            raise RequestRefused(431, "the request has too many headers")
        self._headers[name] += b", " + value

    def _check_size(self, headers: dict[bytes, bytes]) -> None:
        """Of headers or trailers. What came in few enough bytes need not be measured."""
        if len(headers) + self._repeats > self._limits.fields:
            raise RequestRefused(431, "the request has too many headers")
        if self._fed > self._limits.head and weigh(headers) > self._limits.head:
            raise RequestRefused(431, "the headers of the request are too large")

    def _watch_head(self, size: int) -> None:
        """A head is coming in pieces. `size` bytes of the last piece belong to it for sure."""
        self._overhead = self._overhead + size if size else 0
        if self._overhead > self._limits.head + self._limits.target:
            raise RequestRefused(431, "the headers of the request are too large")

    def _watch_chunks(self, size: int) -> None:
        """Bounds what a chunked body brings besides itself: sizes, extensions, trailers."""
        exchange = self.incoming
        if exchange is None or b"transfer-encoding" not in exchange.headers:
            return
        idle = exchange.received == self._received
        self._overhead = self._overhead + size if idle else 0
        self._received = exchange.received
        if self._overhead > CHUNK_OVERHEAD:
            raise RequestRefused(400, "the chunks of the body are mostly overhead")


def weigh(headers: dict[bytes, bytes]) -> int:
    """The bytes that header lines take."""
    return sum(len(name) + len(value) + 4 for name, value in headers.items())


def _refusal(error: httptools.HttpParserError) -> RequestRefused:
    """What stopped the parser, as an answer."""
    cause = error.__context__
    if isinstance(cause, RequestRefused):
        return cause
    if isinstance(error, httptools.HttpParserCallbackError):
        _log.error("reading a request failed: %s", type(cause).__name__)
        return RequestRefused(500, "internal error")
    return RequestRefused(400, "the request is malformed")
