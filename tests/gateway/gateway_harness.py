"""A gateway in this process: one worker's server in front of fake providers, and a client that speaks raw bytes.

Everything is real but the processes: sockets, HTTP on both sides, the journal file.
"""

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from fairlead.canonical.routing import (
    Backoff,
    Choice,
    Cooldown,
    Deployment,
    RequestRecord,
    Retry,
    Route,
    Snapshot,
    Timeouts,
)
from fairlead.canonical.tenants import Tenant, VirtualKey
from fairlead.fakes import Provider, Script, serve
from fairlead.gateway.callers import Callers
from fairlead.gateway.holds import Holds
from fairlead.gateway.port import Port
from fairlead.gateway.world import World
from fairlead.http.client import Client
from fairlead.http.outbox import outbox_of
from fairlead.http.server import Limits, Server
from fairlead.journal import Journal, Reader
from fairlead.state.channel import Notice
from fairlead.state.local import LocalState
from fairlead.state.port import Spending

KEY = "test-key-of-enough-characters"
PEPPER = b"pepper"
PROVIDER_KEY = "sk-provider-secret-canary"
QUICK = Retry(attempts=1, backoff=Backoff(base=0.001, cap=0.002))
SHORT = Timeouts(total=5.0, connect=1.0, first_token=1.0, idle=0.4)
DIALECTS = {"openai": "openai_chat", "anthropic": "anthropic", "self_hosted": "openai_chat"}


class Response(msgspec.Struct):
    """An HTTP answer as it came. `clean` is False when the connection ended before the answer did."""

    status: int
    headers: dict[str, str]
    body: bytes
    clean: bool

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json()["error"]
        return found

    @property
    def attempts(self) -> list[str]:
        return [entry for entry in self.headers.get("x-fairlead-attempts", "").split(",") if entry]

    def events(self) -> list[str]:
        """The data of each server-sent event."""
        lines = self.body.decode().split("\n")
        return [line[6:] for line in lines if line.startswith("data: ")]


class Gateway:
    """A worker under test and the providers behind it, in the order of the route."""

    def __init__(
        self,
        world: World,
        server: Server,
        port: int,
        providers: list[Provider],
        journal: Path,
        state: LocalState,
        notices: list[Notice],
    ) -> None:
        self.state = state
        self.notices = notices
        self.world = world
        self.server = server
        self.port = port
        self.providers = providers
        self._journal = journal

    def records(self) -> list[RequestRecord]:
        self.world.journal.flush()
        return [record for batch in Reader(self._journal).beyond({}) for record in batch.records]

    async def chat(
        self,
        text: str = "hello",
        *,
        path: str = "/v1/chat/completions",
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> Response:
        body: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": text}], **more}
        if path.endswith("messages"):
            body.setdefault("max_tokens", 100)
        return await self.send(json.dumps(body).encode(), path=path, headers=headers)

    async def send(
        self,
        body: bytes,
        *,
        method: str = "POST",
        path: str = "/v1/chat/completions",
        headers: dict[str, str] | None = None,
    ) -> Response:
        reader, writer = await self.open()
        try:
            writer.write(request_bytes(body, method, path, headers))
            return await read_response(reader)
        finally:
            writer.close()

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def settled(self) -> None:
        """Waits until nothing is under way, on either side."""
        await until(lambda: not self.server.in_flight and not any(self.world.fleet.busy.values()))
        await until(lambda: not any(provider.open for provider in self.providers))


def request_bytes(body: bytes, method: str = "POST", path: str = "", headers: dict[str, str] | None = None) -> bytes:
    fields = {
        "host": "127.0.0.1",
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "content-length": str(len(body)),
        **(headers or {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"{method} {path or '/v1/chat/completions'} HTTP/1.1\r\n{lines}\r\n".encode() + body


async def read_response(reader: asyncio.StreamReader) -> Response:
    """One answer from `reader`, chunked or of a known length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    status = int(head[0].split()[1])
    body, clean = b"", True
    try:
        if headers.get("transfer-encoding") == "chunked":
            while size := int(await reader.readline() or b"", 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readexactly(2)
        else:
            body = await reader.readexactly(int(headers.get("content-length", 0)))
    except asyncio.IncompleteReadError as cut:
        body, clean = body + cut.partial, False
    except (ValueError, ConnectionResetError):
        clean = False
    return Response(status, headers, body, clean)


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Waits for a condition, with a bound."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def known_keys(*keys: VirtualKey) -> dict[str, VirtualKey]:
    """The keys of a snapshot: the first is KEY, each further one KEY with its place behind it."""
    texts = [KEY, *(f"{KEY}{place}" for place in range(1, len(keys)))]
    return {hmac.digest(PEPPER, text.encode(), "sha256").hex(): key for text, key in zip(texts, keys, strict=True)}


def deployment(kind: str, provider: Provider, number: int, **facts: Any) -> Deployment:
    return Deployment(
        name=f"{kind}-{number}/model-{number}",
        provider=f"{kind}-{number}",
        model=f"model-{number}",
        dialect=DIALECTS[kind],
        base_url=provider.base_url,
        auth={"openai": "bearer", "anthropic": "x-api-key", "self_hosted": "none"}[kind],  # type: ignore[arg-type]
        credential="" if kind == "self_hosted" else f"key-{number}",
        **facts,
    )


@asynccontextmanager
async def gateway(
    tmp_path: Path,
    kinds: Sequence[str] = ("openai",),
    scripts: Sequence[Script] = (),
    *,
    retry: Retry = QUICK,
    timeouts: Timeouts = SHORT,
    limits: Limits | None = None,
    facts: dict[str, Any] | None = None,
    snapshot: dict[str, Any] | None = None,
    **route: Any,
) -> AsyncIterator[Gateway]:
    """A gateway whose model `chat` goes to fakes of these kinds, one after the other."""
    async with AsyncExitStack() as stack:
        providers = []
        for number, kind in enumerate(kinds):
            script = scripts[number] if number < len(scripts) else Script()
            key = None if kind == "self_hosted" else PROVIDER_KEY
            providers.append(await stack.enter_async_context(serve(kind, script=script, key=key)))
        choices = tuple(
            Choice(deployment=deployment(kind, providers[number], number, **(facts or {})), rank=number)
            for number, kind in enumerate(kinds)
        )
        route.setdefault("cooldown", Cooldown(after=1000))
        served = Snapshot(
            version="test",
            routes=(Route(model="chat", choices=choices, retry=retry, timeouts=timeouts, **route),),
            pepper=PEPPER,
            secrets={f"key-{number}": PROVIDER_KEY for number in range(len(kinds))},
            **{
                "keys": known_keys(VirtualKey(id="k1", tenant="acme")),
                "tenants": {"acme": Tenant(name="acme")},
                **(snapshot or {}),
            },
        )
        path = tmp_path / "journal"
        client = Client()
        journal = Journal(path, "requests", asyncio.get_running_loop())
        outbox_of(asyncio.get_running_loop()).before = journal.flush
        state = LocalState(tmp_path / "state")
        notices: list[Notice] = []

        def heed(notice: Notice) -> None:
            """As control does, where nothing was spent before."""
            notices.append(notice)
            if notice.kind == "seed" and notice.rule:
                asyncio.get_running_loop().create_task(state.seed(Spending(notice.rule, ())))

        callers = Callers(
            generation=lambda: 0,
            clock=time.monotonic,
            wall=time.time,
            wanted=lambda issuer: heed(Notice("issuer", issuer)),
        )
        holds = Holds("test", tell=heed, written=journal.flush)
        holds.state = state
        world = World(client, journal, callers, holds, Random(1))
        world.tell = heed
        world.adopt(served)
        server = Server(Port(world, lambda: True), limits or Limits())
        port = await server.listen("127.0.0.1", 0)
        try:
            yield Gateway(world, server, port, providers, path, state, notices)
        finally:
            await server.drain(0.0)
            await client.close()
            await world.holds.settled()
            await state.close()
            world.counter.close()
            world.journal.close()
