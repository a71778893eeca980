"""A synthetic provider of the simulator, played out on a connection: what it says will come of an attempt, comes.

So the gateway and the simulator have the same providers, with the same chance. It knows the fakes' wire formats. It
must not know how long anybody waits.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from math import inf

from msgspec.structs import replace
from tests.simulator.virtual_time import VirtualLoop, refused
from tests.simulator.worlds import PATIENT

from fairlead.canonical.routing import Failed
from fairlead.canonical.usage import Usage
from fairlead.fakes.faults import JSON_FIELDS, STREAM_FIELDS, Turn, steps
from fairlead.fakes.formats import Format
from fairlead.fakes.model import Reply
from fairlead.fakes.script import Fault
from fairlead.fakes.wire import LAST_CHUNK, Asked, Line, chunk, chunked_head, whole
from fairlead.simulator.providers import Played, Upstream
from fairlead.simulator.traffic import Arrival

CLOSE = (("connection", "close"),)
NARROWER = {"quota": "429_quota", "context_window": "400_context", "content_policy": "400_policy"}
"""Faults that their status does not tell."""
Said = list[tuple[float, bytes]]
"""Bytes, and the instants at which they are sent."""


def text_of(number: int) -> str:
    """A prompt of some length, by which the provider knows which request it is asked for."""
    return f"request {number}" + " word" * (37 * number % 211)


class PlayedProvider:
    """Listens on a port of `loop`. Every connection is for one attempt, so that it may be refused."""

    def __init__(self, loop: VirtualLoop, form: Format, upstream: Upstream, arrivals: Sequence[Arrival]) -> None:
        self._loop = loop
        self._form = form
        self._upstream = upstream
        self._arrivals = arrivals
        self._played: dict[int, Played] = {}
        self._latest = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """The port, until the block ends."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port: int = server.sockets[0].getsockname()[1]
        self._loop.guard(port, self._door)
        yield port
        server.close()

    def asked(self, body: bytes) -> None:
        """An attempt begins: whoever makes it connects next."""
        self._latest = number = _number_in(body)
        self._played[number] = self._upstream.play(self._arrivals[number], self._loop.time(), PATIENT, inf)

    async def _door(self) -> None:
        outcome = self._played[self._latest].outcome
        if isinstance(outcome, Failed) and outcome.kind == "connect":
            await self._loop.until(outcome.at)
            raise refused()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer)
        pump = asyncio.create_task(line.pump())
        asked = await line.read_request()
        if asked is not None:
            line.work = asyncio.create_task(self._answer(line, asked))
            with suppress(asyncio.CancelledError, ConnectionError):
                await line.work
        line.close()
        await pump

    async def _answer(self, line: Line, asked: Asked) -> None:
        number = _number_in(asked.body)
        for at, data in _said(self._turn(asked, number), self._played.pop(number)):
            await self._loop.until(at)
            await line.write(data)

    def _turn(self, asked: Asked, number: int) -> Turn:
        told = self._arrivals[number].usage or Usage()
        question = replace(self._form.read(asked.body, asked.headers), input_tokens=told.input)
        reply = Reply(finish="stop", text="one two", output_tokens=told.output)
        return Turn(format=self._form, question=question, reply=reply, number=number, wall=0.0)


def _said(turn: Turn, played: Played) -> Said:
    outcome = played.outcome
    if not isinstance(outcome, Failed):
        return _streamed(turn, played) if turn.question.stream else [(outcome.at, _body(turn))]
    if outcome.kind == "timeout":
        return [(inf, b"")]
    if outcome.kind == "cut":
        return [(outcome.at, _body(turn)[:-1])]
    return [(outcome.at, b"".join([step for step in steps(turn, _fault(outcome)) if isinstance(step, bytes)]))]


def _body(turn: Turn) -> bytes:
    return whole(200, turn.fields(JSON_FIELDS + CLOSE), turn.whole())


def _streamed(turn: Turn, played: Played) -> Said:
    """The first event, and all others at the end: what lies between is of no account to anybody."""
    first, *others = [chunk(event) for event in turn.events()]
    rest = b"" if played.broken else b"".join([*others, LAST_CHUNK])
    return [
        (played.outcome.at, chunked_head(200, turn.fields(STREAM_FIELDS + CLOSE)) + first),
        (played.ends, rest),
    ]


def _fault(failed: Failed) -> Fault:
    """The same in the words of the fakes."""
    name = NARROWER.get(failed.kind, str(failed.status))
    if name == "429" and failed.retry_after is None:
        name = "429_plain"
    return Fault(name, failed.retry_after)


def _number_in(body: bytes) -> int:
    found = re.search(rb"request (\d+)", body)
    assert found is not None
    return int(found[1])
