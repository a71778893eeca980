"""Fates by real workers, as their records tell them: one or more in this process, under a virtual clock.

They share all but what they learn of deployments, as workers do; which of them gets a request is drawn as in the
simulator. It must not know what is compared.
"""

import json
from asyncio import TaskGroup, open_connection
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

from msgspec.structs import replace
from tests.gateway.gateway_harness import KEY, Gateway, gateway, read_response, request_bytes
from tests.simulator.fates import BEGINS, LOOK_EVERY, SEED, Came, Fate, Given
from tests.simulator.played_provider import PlayedProvider, text_of
from tests.simulator.virtual_time import VirtualLoop

from fairlead.canonical.limits import SECOND, Standing
from fairlead.canonical.routing import RequestRecord, Snapshot
from fairlead.fakes.anthropic import Anthropic
from fairlead.fakes.formats import Format
from fairlead.fakes.openai import OpenAI, SelfHosted
from fairlead.gateway.port import Port
from fairlead.gateway.world import World
from fairlead.http.client import Client, Origin, Reply
from fairlead.http.server import Limits, Server
from fairlead.policy.budget import BUDGETS
from fairlead.state.port import Spending, State

FORMATS: dict[str, type[Format]] = {"openai": OpenAI, "anthropic": Anthropic, "gpu": SelfHosted}
"""By provider."""


async def by_gateway(given: Given, loop: VirtualLoop, tmp_path: Path) -> Came:
    async with AsyncExitStack() as stack:
        gate = await stack.enter_async_context(gateway(tmp_path, ()))
        gate.state._clock = lambda: int((BEGINS + loop.time()) * SECOND)
        for rule in given.rules():
            if rule.algorithm in BUDGETS:
                await gate.state.seed(Spending(rule, ()))
        client = Announcing()
        stack.push_async_callback(client.close)
        served = await _reachable(given, loop, client, stack)
        rng = Random(SEED)
        ports = [await _worker(gate, loop, client, served, rng=rng, stack=stack) for _ in range(served.server.workers)]
        async with TaskGroup() as group:
            for number in range(len(given.arrivals)):
                group.create_task(_ask(given, number, loop, lambda: _any_of(ports, rng)))
            looks = group.create_task(_looks(given, loop, gate.state))
        return _came(given, gate.records(), looks.result())


async def _reachable(given: Given, loop: VirtualLoop, client: "Announcing", stack: AsyncExitStack) -> Snapshot:
    """The snapshot with deployments that listen."""
    route = given.snapshot.routes[0]
    choices, upstreams = [], given.upstreams()
    for choice in route.choices:
        deployment = choice.deployment
        upstream = upstreams[deployment.name]
        provider = PlayedProvider(loop, FORMATS[deployment.provider](), upstream, given.arrivals)
        port = await stack.enter_async_context(provider.listening())
        client.providers[port] = provider
        choices.append(replace(choice, deployment=replace(deployment, base_url=f"http://127.0.0.1:{port}/v1")))
    return replace(given.snapshot, routes=(replace(route, choices=tuple(choices)),))


async def _worker(
    gate: Gateway, loop: VirtualLoop, client: Client, served: Snapshot, *, rng: Random, stack: AsyncExitStack
) -> int:
    """One more worker on the gate's journal and state; its port."""
    world = World(client, gate.world.journal, gate.world.callers, gate.world.holds, rng)
    stack.callback(world.counter.close)
    world.clock, world.wall = loop.time, lambda: BEGINS + loop.time()
    world.adopt(served)
    server = Server(Port(world, lambda: True), Limits())
    stack.push_async_callback(server.drain, 0.0)
    return await server.listen("127.0.0.1", 0)


def _any_of(ports: list[int], rng: Random) -> int:
    """As the simulator draws a worker."""
    return ports[0] if len(ports) == 1 else ports[rng.randrange(len(ports))]


async def _looks(given: Given, loop: VirtualLoop, state: State) -> list[list[Standing]]:
    rules, standings = given.rules(), []
    for arrival in given.arrivals[::LOOK_EVERY]:
        await loop.until(arrival.at)
        standings.append(await state.standings(rules))
    return standings


async def _ask(given: Given, number: int, loop: VirtualLoop, port: Callable[[], int]) -> None:
    """A client with one request, which reads its answer to the end."""
    arrival = given.arrivals[number]
    sender = given.senders[arrival.sender]
    body = {
        "model": arrival.model,
        "messages": [{"role": "user", "content": text_of(number)}],
        "stream": arrival.stream,
        **({"max_tokens": sender.max_tokens} if sender.max_tokens else {}),
        **({"user": arrival.user} if arrival.user else {}),
    }
    headers = {"authorization": f"Bearer {KEY}{arrival.sender or ''}", "x-request-id": str(number)}
    await loop.until(arrival.at)
    reader, writer = await open_connection("127.0.0.1", port())
    writer.write(request_bytes(json.dumps(body).encode(), headers=headers))
    await read_response(reader)
    writer.close()


def _came(given: Given, records: list[RequestRecord], standings: list[list[Standing]]) -> Came:
    dollars, wasted = [0.0] * len(given.senders), [0.0] * len(given.senders)
    fates: dict[int, Fate] = {}
    for record in records:
        number = int(record.id)
        sender = given.arrivals[number].sender
        spent_on = dollars if record.ended == "finished" else wasted
        spent_on[sender] += float(record.cost or 0)
        wasted[sender] += sum(float(attempt.cost or 0) for attempt in record.attempts)
        fates[number] = Fate(
            tries=tuple([(one.started_at, one.deployment, one.outcome, one.status) for one in record.attempts]),
            ended=record.ended,
            why=(record.limit or record.code) if record.ended == "refused" else "",
            duration=record.duration,
        )
    return Came(
        fates=[fates[number] for number in range(len(given.arrivals))],
        standings=standings,
        dollars=dollars,
        wasted=wasted,
    )


class Announcing(Client):
    """Tells providers of each request before it connects to them, as they may not let it in."""

    def __init__(self) -> None:
        super().__init__()
        self.providers: dict[int, PlayedProvider] = {}
        """By port."""

    async def request(
        self, origin: Origin, method: str, target: str, fields: bytes, body: bytes, **clocks: Any
    ) -> Reply:
        self.providers[origin.port].asked(body)
        return await super().request(origin, method, target, fields, body, **clocks)
