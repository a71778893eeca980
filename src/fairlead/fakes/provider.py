"""A fake provider as a server: it reads requests, draws faults, plays answers and remembers what it saw.

It knows sockets and the order of things. It must not know how a fault looks (`faults`) or what an answer says
(`model`).
"""

import asyncio
import contextlib
import hmac
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import msgspec
import msgspec.json

from fairlead.fakes import model, wire
from fairlead.fakes.anthropic import Anthropic
from fairlead.fakes.faults import JSON_FIELDS, Act, Refuse, Step, Turn, Wait, refusal, steps
from fairlead.fakes.formats import Format, RefusedError, json
from fairlead.fakes.openai import OpenAI, SelfHosted
from fairlead.fakes.script import Fault, Pace, Script, draw
from fairlead.fakes.wire import Asked, FramingError, Line

FORMATS: dict[str, Callable[[], Format]] = {
    "openai": OpenAI,
    "anthropic": Anthropic,
    "self_hosted": SelfHosted,
}
LOG_LENGTH = 10_000
SECRET_HEADERS = ("authorization", "x-api-key", "api-key")


class Seen(msgspec.Struct, kw_only=True):
    """One request in the log. Times are Unix seconds."""

    at: float
    method: str
    path: str
    headers: dict[str, str]
    """Credentials are replaced by `matched` or `wrong`."""
    body: Any
    fault: str = ""
    status: int | None = None
    """The status that was written, if any."""
    written: int = 0
    """Pieces written: the head and one per event, or the whole answer."""
    finished_at: float | None = None
    """When the last step was played."""
    disconnected_at: float | None = None
    """When the client went away before that."""


class Provider:
    """One fake provider, listening. Made by `serve`."""

    def __init__(self, form: Format, script: Script, seed: int, key: str | None) -> None:
        self.format = form
        self.seen: deque[Seen] = deque(maxlen=LOG_LENGTH)
        self.port = 0
        self.open = 0
        """Requests in progress."""
        self._script = script
        self._queue = deque(script.sequence)
        self._chance = random.Random(seed)
        self._keys: tuple[str, ...] | None = None if key is None else (key,)
        self._host = "127.0.0.1"
        self._count = 0
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self._reopening: set[asyncio.Task[None]] = set()

    @property
    def origin(self) -> str:
        return f"http://{self._host}:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    def follow(self, script: Script) -> None:
        """A new script from now on."""
        self._script = script
        self._queue = deque(script.sequence)

    def enqueue(self, *faults: str) -> None:
        """Faults for the next requests, before the script goes on. Raises ValueError."""
        self._queue.extend([Fault.parse(fault) for fault in faults])

    async def listen(self, host: str, port: int) -> None:
        self._server = await asyncio.start_server(self._connected, host, port, backlog=1024)
        self._host, self.port = self._server.sockets[0].getsockname()[:2]

    async def refuse(self, seconds: float | None = None) -> None:
        """Connections are refused, for `seconds` or until `listen`. Those that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if seconds is not None:
            task = asyncio.create_task(self._reopen(seconds))
            self._reopening.add(task)
            task.add_done_callback(self._reopening.discard)

    async def close(self) -> None:
        await self.refuse()
        tasks = [*self._lines, *self._reopening]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _reopen(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.listen(self._host, self.port)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._lines.add(task)
        line = Line(reader, writer)
        pump = asyncio.create_task(line.pump())
        try:
            await self._converse(line)
        except (ConnectionError, FramingError, asyncio.CancelledError):
            pass
        finally:
            self._lines.discard(task)
            pump.cancel()
            line.close()

    async def _converse(self, line: Line) -> None:
        while (asked := await line.read_request()) is not None:
            line.work = asyncio.create_task(self._respond(line, asked))
            try:
                await line.work
            finally:
                line.work.cancel()
            if line.closing or not asked.keeps_alive:
                return

    async def _respond(self, line: Line, asked: Asked) -> None:
        if asked.path.startswith("/__fake/"):
            await line.write(self._control(asked))
            return
        self.open += 1
        seen = self._note(asked)
        try:
            await self._play(line, self._plan(asked, seen), seen)
        except (asyncio.CancelledError, ConnectionError):
            seen.disconnected_at = time.time()
            raise
        finally:
            self.open -= 1

    def _note(self, asked: Asked) -> Seen:
        headers = dict(asked.headers)
        for name in SECRET_HEADERS:
            if name in headers:
                headers[name] = "matched" if self._matches(headers[name].split(" ")[-1]) else "wrong"
        try:
            body: Any = msgspec.json.decode(asked.body) if asked.body else None
        except msgspec.DecodeError:
            body = asked.body.decode("utf-8", "replace")
        seen = Seen(at=time.time(), method=asked.method, path=asked.path, headers=headers, body=body)
        self.seen.append(seen)
        return seen

    def _matches(self, key: str | None) -> bool:
        given = (key or "").encode()
        return self._keys is None or any(hmac.compare_digest(given, known.encode()) for known in self._keys)

    def _plan(self, asked: Asked, seen: Seen) -> Iterable[Step]:
        """The steps of the answer to `asked`."""
        self._count += 1
        number = self._count
        fields = (*JSON_FIELDS, ("server", "fairlead-fake"), *self.format.fields(number))
        path = asked.path.removeprefix("/elsewhere").removeprefix("/v1")
        if not self._matches(self.format.key_of(asked.headers)):
            return [refusal(fields, self.format, RefusedError("key"), number)]
        if asked.method == "GET" and path == "/models":
            return [wire.whole(200, fields, json(self.format.models()))]
        if asked.method != "POST" or path not in self.format.targets:
            missing = RefusedError("not_found", f"Invalid URL ({asked.method} {asked.path})")
            return [refusal(fields, self.format, missing, number)]
        try:
            question = self.format.read(asked.body, asked.headers)
            question, fault = self._choose(question, asked)
        except RefusedError as wrong:
            return [refusal(fields, self.format, wrong, number)]
        seen.fault = fault.name
        reply = model.answer(question, self._script.pace.chunks)
        turn = Turn(format=self.format, question=question, reply=reply, number=number, wall=time.time())
        return steps(turn, fault)

    def _choose(self, question: model.Question, asked: Asked) -> tuple[model.Question, Fault]:
        """The fault of this request: by header, by the model's name, by the queue, by chance, in this order."""
        name, _, suffix = question.model.partition("@")
        question = msgspec.structs.replace(question, model=name)
        asked_for = asked.headers.get("x-fake-fault") or suffix
        try:
            if asked_for:
                return question, Fault.parse(asked_for)
        except ValueError as error:
            raise RefusedError("invalid", str(error)) from error
        if self._queue:
            return question, self._queue.popleft()
        return question, draw(self._script.rates, self._chance)

    async def _play(self, line: Line, plan: Iterable[Step], seen: Seen) -> None:
        for step in plan:
            match step:
                case bytes():
                    if seen.status is None and step.startswith(b"HTTP/1.1 "):
                        seen.status = int(step[9:12])
                    await line.write(step)
                    seen.written += 1
                case Wait(seconds=seconds):
                    await asyncio.sleep(seconds)
                case Refuse(seconds=seconds):
                    await self.refuse(seconds)
                case Act.STALL:
                    await asyncio.Event().wait()
                case Act.CLOSE:
                    line.close()
                case Act.RESET:
                    line.reset()
                case Act.FIRST | Act.NEXT:
                    await self._wait(step)
        seen.finished_at = time.time()

    async def _wait(self, act: Act) -> None:
        pace: Pace = self._script.pace
        seconds = pace.first if act is Act.FIRST else pace.interval
        if seconds:
            await asyncio.sleep(seconds * self._chance.uniform(1 - pace.jitter, 1 + pace.jitter))

    def _control(self, asked: Asked) -> bytes:
        """`/__fake/...`: what a test tells and asks the provider itself."""
        try:
            answer = self._controlled(f"{asked.method} {asked.path.removeprefix('/__fake')}", asked.body)
        except (KeyError, ValueError, TypeError, msgspec.DecodeError) as error:
            return wire.whole(400, JSON_FIELDS, json({"error": f"{type(error).__name__}: {error}"}))
        return wire.whole(200, JSON_FIELDS, json(answer))

    def _controlled(self, operation: str, body: bytes) -> Any:
        match operation:
            case "GET /log":
                return list(self.seen)
            case "DELETE /log":
                self.seen.clear()
                return {}
            case "GET /open":
                return {"open": self.open}
            case "POST /keys":
                self._keys = tuple(msgspec.json.decode(body, type=list[str]))
                return {}
            case "POST /script":
                told = msgspec.json.decode(body)
                if isinstance(told, list):
                    self.enqueue(*told)
                    return {}
                pace = msgspec.convert(told["pace"], Pace) if "pace" in told else self._script.pace
                self.follow(Script.of(*told.get("sequence", ()), rates=told.get("rates"), pace=pace))
                return {}
            case _:
                raise KeyError(f"there is no {operation}")


@contextlib.asynccontextmanager
async def serve(
    dialect: str,
    *,
    script: Script | None = None,
    seed: int = 0,
    key: str | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[Provider]:
    """A fake provider that speaks `dialect` (`openai`, `anthropic`, `self_hosted`), until the block ends.

    `key` None: any key or none is taken. The same seed draws the same faults for the same requests.
    """
    provider = Provider(FORMATS[dialect](), script or Script(), seed, key)
    await provider.listen(host, port)
    try:
        yield provider
    finally:
        await provider.close()
