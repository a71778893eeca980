"""One attempt on one deployment, up to its first event: an `Answer` or `Failed`.

It knows how an answer is told from what only looks like one. It must not know what is tried next.
"""

import re
from asyncio import timeout_at
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from fairlead.canonical.chat import ChatRequest
from fairlead.canonical.errors import CODES, KINDS
from fairlead.canonical.events import Broken
from fairlead.canonical.routing import Deployment, Failed, Timeouts, Try
from fairlead.canonical.usage import Usage
from fairlead.dialects.ask import Ask
from fairlead.dialects.table import DIALECTS, Dialect, Stream, Translation, dated
from fairlead.gateway.stopwatch import CONNECT, FIRST_TOKEN, GATEWAY, Stopwatch
from fairlead.http.errors import UpstreamError
from fairlead.http.reply import Reply
from fairlead.policy.routes import served_model

if TYPE_CHECKING:
    from fairlead.gateway.world import World

LARGEST_ANSWER = 64 * 1024 * 1024
LARGEST_ERROR = 64 * 1024
JSON = b"application/json"
EVENTS = b"text/event-stream"
CONNECTING = frozenset({"connect", "tls", "pool"})
"""Failures for want of a connection."""
PASSABLE = re.compile(rb"[A-Za-z0-9][A-Za-z0-9 ,._-]{0,1000}")
NEVER_BEGAN = Broken(kind="cut", message="the stream ended before it began")


class Request:
    """A client's request as attempts need it: the bytes, and the canonical value once another dialect asks for it."""

    __slots__ = ("_chat", "ask", "body", "calls", "created", "dialect", "headers", "trace_fields", "watch")

    def __init__(
        self, world: "World", dialect: Dialect, body: bytes, *, ask: Ask, headers: dict[bytes, bytes], watch: Stopwatch
    ) -> None:
        self.watch = watch
        self.trace_fields = b""
        """Header lines that tell a provider which trace the next attempt belongs to."""
        self.dialect = dialect
        self.body = body
        self.ask = ask
        self.headers = headers
        self.calls = world.calls
        self.created = int(world.wall())
        self._chat: ChatRequest | None = None

    @property
    def chat(self) -> ChatRequest:
        """The request as every dialect understands it; decoded when it is first asked for."""
        if self._chat is None:
            self._chat = self.dialect.decode_request(self.body)
        return self._chat

    def encoded(self, deployment: Deployment) -> bytes:
        """The body for `deployment`: the client's own bytes where the dialect is the same, else a translation."""
        model = served_model(deployment, self.ask.model)
        if deployment.dialect == self.dialect.NAME:
            return self.dialect.patch_request(self.body, self.ask, model)
        target = deployment if model == deployment.model else msgspec.structs.replace(deployment, model=model)
        return DIALECTS[deployment.dialect].encode_request(self.chat, target)

    def passed_on(self, deployment: Deployment) -> bytes:
        """The header lines that belong to the client's own bytes, where those are sent."""
        names = self.dialect.PASSED_ON
        if not names or deployment.dialect != self.dialect.NAME:
            return b""
        present = [(name, self.headers[name]) for name in names if name in self.headers]
        return b"".join([b"%b: %b\r\n" % pair for pair in present if PASSABLE.fullmatch(pair[1])])

    def stream(self, deployment: Deployment) -> Stream:
        """What a provider's stream goes through on its way to this client."""
        if deployment.dialect == self.dialect.NAME:
            return self.dialect.Relay(hide_usage=not self.ask.include_usage)
        return Translation(
            DIALECTS[deployment.dialect], self.dialect, include_usage=self.ask.include_usage, created=self.created
        )


class Whole(msgspec.Struct, frozen=True):
    """A complete answer, worded for the client."""

    deployment: Deployment
    body: bytes
    usage: Usage | None
    model: str
    """What the provider calls the model that answered."""

    @property
    def received(self) -> int:
        return len(self.body)


class Begun(msgspec.Struct):
    """A stream whose first event is here. `opening` is what the client gets first."""

    deployment: Deployment
    opening: bytes
    stream: Stream
    reply: Reply
    received: int = 0
    """Bytes that came, those of the opening as the client gets them."""
    pieces: int = 1
    """In how many pieces they came."""

    @property
    def usage(self) -> Usage | None:
        return self.stream.usage

    @property
    def model(self) -> str:
        return self.stream.model

    async def pipe(self, write: Callable[[bytes], None]) -> Broken | None:
        """Hands the rest of the stream to `write`, in the client's dialect; gives how it broke, or None."""
        stream, feed = self.stream, self.stream.feed

        def forward(data: bytes) -> None:
            self.received += len(data)
            self.pieces += 1
            out = feed(data)
            if out:
                write(out)
            if stream.broken is not None:
                raise UpstreamError("cut", "the provider's stream broke")

        try:
            if stream.broken is None:
                await self.reply.pipe(forward)
        except UpstreamError as error:
            if stream.finished:  # the end marker was seen: what is missing is only the connection's own end
                return None
            return stream.broken or Broken(kind=error.kind, message=error.message)
        rest = stream.end()
        if rest:
            write(rest)
        return stream.broken


Answer = Whole | Begun


async def attempt(world: "World", request: Request, step: Try, timeouts: Timeouts) -> Answer | Failed:
    """Makes the attempt. Never raises for what a provider does; a cancelled attempt closes its socket at once."""
    deployment = step.deployment
    call = request.calls.of(deployment)
    body = request.encoded(deployment)
    first_token_by = min(request.watch.lap(GATEWAY) + timeouts.first_token, step.deadline)
    try:
        reply = await world.client.request(
            call.origin,
            "POST",
            call.target,
            call.fields + request.passed_on(deployment) + request.trace_fields,
            body,
            connect=timeouts.connect,
            first_byte=timeouts.first_token,
            idle=timeouts.idle,
            deadline=step.deadline,
        )
        request.watch.lap(FIRST_TOKEN)
        request.watch.move(reply.waited, FIRST_TOKEN, CONNECT)
        try:
            if reply.status != 200:
                return await _refused(world, request, reply, deployment)
            if not request.ask.stream:
                return await _whole(world, request, reply, deployment)
            async with timeout_at(first_token_by):
                return await _begun(world, request, reply, step)
        except BaseException:
            reply.close()
            raise
    except UpstreamError as error:
        part = CONNECT if error.kind in CONNECTING or error.phase == "connect" else FIRST_TOKEN
        return Failed(at=request.watch.lap(part), kind=error.kind, reason=error.message)
    except TimeoutError:
        return Failed(at=request.watch.lap(FIRST_TOKEN), kind="timeout")


async def _refused(world: "World", request: Request, reply: Reply, deployment: Deployment) -> Failed:
    """The provider's error, typed; its words are kept only where they help the client, and never with our secret."""
    try:
        body = await reply.read(LARGEST_ERROR)
    except UpstreamError:
        body = b""
    reply.close()
    failed = DIALECTS[deployment.dialect].decode_error(
        reply.status, reply.headers, body, at=request.watch.lap(FIRST_TOKEN), wall=world.wall()
    )
    return _discreet(failed, request.calls.of(deployment).secret)


async def _whole(world: "World", request: Request, reply: Reply, deployment: Deployment) -> Answer | Failed:
    """A complete answer in one body."""
    if not reply.headers.get(b"content-type", b"").lower().startswith(JSON):
        reply.close()
        return Failed(at=world.clock(), kind="protocol", status=200)
    body = await reply.read(LARGEST_ANSWER)
    request.watch.lap(FIRST_TOKEN)
    try:
        if deployment.dialect == request.dialect.NAME:
            model, usage = request.dialect.read_usage(body)
            return Whole(deployment, body, usage, model)
        answer = DIALECTS[deployment.dialect].decode_answer(body)
    except ValueError:
        return Failed(at=world.clock(), kind="protocol", status=200)
    encoded = request.dialect.encode_answer(dated(answer, request.created))
    return Whole(deployment, encoded, answer.usage, answer.model)


async def _begun(world: "World", request: Request, reply: Reply, step: Try) -> Answer | Failed:
    """A stream up to its first event. What came before it (pings, empty chunks) is kept for the client."""
    deployment = step.deployment
    if not reply.headers.get(b"content-type", b"").lower().startswith(EVENTS):
        reply.close()
        return Failed(at=world.clock(), kind="protocol", status=200)
    stream = request.stream(deployment)
    opening = b""
    while not (stream.begun or stream.broken):
        piece = await reply.piece()
        if not piece:
            opening += stream.end()
            break
        opening += stream.feed(piece)
    request.watch.lap(FIRST_TOKEN)
    if not stream.begun:
        reply.close()
        failed = _stillborn(world, stream.broken or NEVER_BEGAN)
        return _discreet(failed, request.calls.of(deployment).secret)
    return Begun(deployment, opening, stream, reply, len(opening))


def _stillborn(world: "World", broken: Broken) -> Failed:
    """A stream that broke before its first event. Its own words are kept where the client is at fault."""
    theirs = CODES[KINDS[broken.kind].code].source == "client"
    return Failed(
        at=world.clock(),
        kind=broken.kind,
        status=broken.status,
        retry_after=broken.retry_after,
        message=broken.message if theirs else "",
    )


def _discreet(failed: Failed, secret: str) -> Failed:
    """Without our secret, should the provider have repeated it."""
    if not secret or secret not in failed.message:
        return failed
    return msgspec.structs.replace(failed, message=failed.message.replace(secret, "***"))
