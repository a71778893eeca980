"""One connection to a Redis or Valkey server: commands in, answers out, in their order.

It knows bytes and deadlines; hiredis parses. Commands of one turn of the loop leave in one write, and an answer
resolves its future without a task in between. It must not know what the commands mean.
"""

import asyncio
import ssl
from collections import deque
from typing import Any, NamedTuple, cast

import hiredis
import msgspec

from fairlead.state.port import StateError

Word = bytes | str | int
LATE = 0.02
"""Seconds by which a timer must have been late for the loop, and not the server, to be at fault."""


class Address(msgspec.Struct, frozen=True):
    host: str
    port: int
    path: str = ""
    """A Unix socket, in the place of both."""

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


class Access(msgspec.Struct, frozen=True):
    """How to begin a connection."""

    greeting: tuple[tuple[Word, ...], ...] = ()
    """Commands that must succeed before any other: AUTH, SELECT."""
    tls: ssl.SSLContext | None = None
    timeout: float = 0.1
    """Seconds for a connection to stand, and then for each answer."""


class Refusal(Exception):  # noqa: N818 - the server's word, an answer like others
    """An error answer of the server."""


class _Waiting(NamedTuple):
    future: "asyncio.Future[Any]"
    due: float


class Line(asyncio.Protocol):
    """A connection that stands. Once it is `broken`, it stays so: open another."""

    def __init__(self, address: Address, timeout: float) -> None:
        self.broken = False
        self._address = address
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(replyError=Refusal)
        self._waiting: deque[_Waiting] = deque()
        self._unsent: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._graced: asyncio.Future[Any] | None = None
        self._transport: asyncio.Transport | None = None
        self.gone = self._loop.create_future()
        """Done once the socket is closed."""

    def call(self, words: tuple[Word, ...]) -> "asyncio.Future[Any]":
        """The answer, a `Refusal` among them. Commands reach the server in the order of the calls."""
        future = self._loop.create_future()
        if self.broken:
            future.set_exception(self._lost("the connection is closed"))
            return future
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(hiredis.pack_command(words))  # type: ignore[arg-type] # its stub knows tuples of one word
        due = self._loop.time() + self._timeout
        self._waiting.append(_Waiting(future, due))
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._check)
        return future

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own, which is no subclass of it

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (answer := self._reader.gets()) is not False:
                self._answered(answer)
        except (hiredis.ProtocolError, IndexError) as error:
            self.close(f"it does not speak the protocol: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self.close(f"the connection broke: {error}" if error else "it closed the connection")
        if not self.gone.done():
            self.gone.set_result(None)

    def close(self, reason: str = "the connection is closed") -> None:
        """Everyone who waits is told so, at once."""
        if self.broken:
            return
        self.broken = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        while self._waiting:
            future = self._waiting.popleft().future
            if not future.done():
                future.set_exception(self._lost(reason))

    def _answered(self, answer: Any) -> None:
        future = self._waiting.popleft().future
        if not future.done():
            future.set_result(answer)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if not self.broken and self._transport is not None:
            self._transport.write(b"".join(unsent))

    def _check(self) -> None:
        """Looks at the oldest command. Where this loop was busy, the answer may lie unread: it gets another moment."""
        self._timer = None
        if not self._waiting:
            return
        now = self._loop.time()
        oldest = self._waiting[0]
        due = oldest.due
        if due <= now - LATE and oldest.future is not self._graced:
            self._graced = oldest.future
            due = now + LATE
        if due <= now:
            self.close(f"it did not answer within {self._timeout * 1000:.0f} ms")
            return
        self._timer = self._loop.call_at(due, self._check)

    def _lost(self, reason: str) -> StateError:
        return StateError(f"the shared state at {self._address} cannot be reached: {reason}")


async def connect(address: Address, access: Access, script: str) -> Line:
    """A connection that was greeted and knows `script`. Raises StateError."""
    loop = asyncio.get_running_loop()
    line = Line(address, access.timeout)
    try:
        async with asyncio.timeout(access.timeout):
            if address.path:
                await loop.create_unix_connection(lambda: line, address.path)
            else:
                await loop.create_connection(lambda: line, address.host, address.port, ssl=access.tls)
            commands: list[tuple[Word, ...]] = [*access.greeting, ("SCRIPT", "LOAD", script)]
            answers = await asyncio.gather(*[line.call(words) for words in commands])
    except (OSError, TimeoutError) as error:
        line.close()
        reason = str(error) or f"no connection within {access.timeout * 1000:.0f} ms"
        raise StateError(f"the shared state at {address} cannot be reached: {reason}") from None
    except BaseException:
        line.close()
        raise
    for answer in answers:
        if isinstance(answer, Refusal):
            line.close()
            raise StateError(f"the shared state at {address} cannot be used: {answer}")
    return line
