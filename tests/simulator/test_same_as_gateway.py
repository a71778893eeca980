"""The simulator does what the gateway does: one fault script through both gives the same attempts, in order.

The gateway is a real worker with sockets, in front of fake providers; only its clock is virtual, so that a wait of
30 s takes none. What differs here would make every figure of a simulation doubtful. One request comes after the other;
in `test_same_under_load` they overlap.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from tests.gateway.gateway_harness import Gateway, gateway, known_keys

from fairlead.canonical.limits import SECOND, Limit
from fairlead.canonical.routing import Backoff, Cooldown, Failed, Retry, Route, Snapshot, Timeouts
from fairlead.canonical.tenants import Scoped, Tenant, VirtualKey
from fairlead.fakes import Script
from fairlead.simulator.chance import Fixed
from fairlead.simulator.faults import Struck, fault
from fairlead.simulator.life import run
from fairlead.simulator.measures import Measures
from fairlead.simulator.providers import Behavior, Played, Provider
from fairlead.simulator.traffic import Arrival, Sender
from fairlead.simulator.trial import Trial
from fairlead.simulator.visit import Visit

REQUESTS = 1000
GAP = 60.0
"""Seconds between two requests: the longest waits of one are over before the next."""
KEY = VirtualKey(id="k1", tenant="acme")
FAULTS = {
    "ok": 0.5, "429:2": 0.08, "429:20": 0.04, "429_plain": 0.04, "500": 0.08, "502": 0.04, "503": 0.06, "503:5": 0.03,
    "529": 0.05, "cut": 0.03, "400_policy": 0.01, "400_context": 0.01, "400": 0.01, "429_quota": 0.01, "401": 0.01,
}  # fmt: skip
TOLD_BY_OPENAI = {"400_policy", "400_context", "429_quota"}
"""Faults that only OpenAI's errors tell apart; elsewhere they are plain ones of their status."""
NOTHING = Fixed(0.0)
Try = tuple[float, str, str, int | None]
"""When since its request's arrival, on which deployment, what it came to, and with what status."""


class Scripted(Provider):
    """Plays a list of faults, one per attempt, and takes no time for it."""

    def __init__(self, script: Iterator[str]) -> None:
        super().__init__(Behavior(first_token=NOTHING, per_token=NOTHING, refusal=NOTHING), Random(0))
        self._script = script

    def play(self, request: Arrival, now: float, timeouts: Timeouts, deadline: float) -> Played:
        name = next(self._script)
        faults = () if name == "ok" else (Struck(name, fault(name), 1.0),)
        behavior = Behavior(first_token=NOTHING, per_token=NOTHING, refusal=NOTHING, faults=faults)
        return Provider(behavior, Random(1)).play(request, now, timeouts, deadline)


def scripts(kinds: Sequence[str], seed: int) -> list[list[str]]:
    """More faults than there can be attempts, for each provider."""
    rng = Random(seed)
    known = {kind: [name for name in FAULTS if kind == "openai" or name not in TOLD_BY_OPENAI] for kind in kinds}
    return [rng.choices(known[kind], [FAULTS[name] for name in known[kind]], k=6 * REQUESTS) for kind in kinds]


async def in_gateway(gate: Gateway, served: Snapshot, stream: bool, monkeypatch: pytest.MonkeyPatch) -> list[list[Try]]:
    """The attempts of each request, as the records have them."""
    begin = now = gate.world.clock()

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("fairlead.gateway.chat.sleep", sleep)
    gate.world.clock = lambda: now
    gate.state._clock = lambda: int((now - begin) * SECOND)
    gate.world.adopt(served)
    for number in range(REQUESTS):
        now = begin + number * GAP
        await gate.chat(stream=stream, max_tokens=50)
        await gate.world.holds.settled()
        assert now < begin + (number + 1) * GAP, "the next request would have come before this one was over"
    await gate.settled()
    return [
        [(one.started_at, one.deployment, one.outcome, one.status) for one in record.attempts]
        for record in gate.records()
    ]


def in_simulator(
    served: Snapshot, faults: Sequence[list[str]], stream: bool, monkeypatch: pytest.MonkeyPatch
) -> list[list[Try]]:
    """The attempts of each request, as its books hear of them."""
    tried: dict[float, list[Try]] = {}
    learn = Visit.learn

    def heard(visit: Visit, played: Played) -> None:
        learn(visit, played)
        kind: str = "answered"
        status: int | None = 200
        if isinstance(played.outcome, Failed):
            kind, status = played.outcome.kind, played.outcome.status
        at = visit._arrival.at
        tried.setdefault(at, []).append((visit._tried_at - at, visit._choice.deployment.name, kind, status))

    monkeypatch.setattr(Visit, "learn", heard)
    names = [choice.deployment.name for choice in served.routes[0].choices]
    providers: dict[str, Provider] = {name: Scripted(iter(script)) for name, script in zip(names, faults, strict=True)}
    sender = Sender(name="acme", key=KEY, models=("chat",), prompt=NOTHING, answer=NOTHING, max_tokens=50)
    trial = Trial(served, providers, [sender], Measures(REQUESTS, ["acme"], names), rng=Random(1), begins=0.0)
    arriving = [Arrival(number * GAP, 0, "chat", 10, 5, stream) for number in range(REQUESTS)]
    run(trial, arriving, REQUESTS)
    return [tried.get(arrival.at, []) for arrival in arriving]


def limited(unit: Any, limit: int, per: float) -> Limit:
    return Limit(unit=unit, algorithm="sliding_window", limit=limit, per=int(per * SECOND))


RETRY = Retry(attempts=1, backoff=Backoff(base=0.2, cap=2.0))
CASES: dict[str, dict[str, Any]] = {
    "priority": {"route": {"retry": RETRY}},
    "no retries": {"route": {"retry": Retry(attempts=0)}},
    "many retries": {"route": {"retry": Retry(attempts=3, max_attempts=5, budget=0.3)}},
    "weighted": {"flat": True, "route": {"retry": RETRY, "select": "weighted"}},
    "round robin": {"flat": True, "route": {"retry": RETRY, "select": "round_robin"}},
    "least busy": {"flat": True, "route": {"retry": RETRY, "select": "least_busy"}},
    "latency": {"flat": True, "route": {"retry": RETRY, "select": "latency"}},
    "breaker": {"route": {"retry": RETRY, "cooldown": Cooldown(after=2, duration=150.0)}},
    "no fallback": {"route": {"retry": RETRY, "fallback": frozenset()}},
    "a tenant's limit": {
        "route": {"retry": RETRY},
        "snapshot": {"tenants": {"acme": Tenant(name="acme", limits=(limited("requests", 5, 400.0),))}},
    },
    "a deployment's limit": {
        "route": {"retry": RETRY},
        "snapshot": {
            "scoped": (Scoped(scope="deployment", match="openai-0/model-0", limits=(limited("requests", 2, 200.0),)),)
        },
    },
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("case", CASES)
async def test_the_same_attempts_in_order(
    case: str, stream: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = CASES[case]
    kinds = ("openai", "anthropic", "self_hosted")
    faults = scripts(kinds, seed=7)
    live = [Script.of(*script) for script in faults]
    async with gateway(tmp_path, kinds, live, timeouts=Timeouts(total=50.0, first_token=20.0)) as gate:
        made = gate.world.snapshot
        choices = made.routes[0].choices
        if given.get("flat"):
            choices = tuple(
                msgspec.structs.replace(choice, rank=0, weight=1.0 + number) for number, choice in enumerate(choices)
            )
        route: Route = msgspec.structs.replace(made.routes[0], choices=choices, **given["route"])
        served = msgspec.structs.replace(
            made, routes=(route,), **{"keys": known_keys(KEY), **given.get("snapshot", {})}
        )
        expected = await in_gateway(gate, served, stream, monkeypatch)
    found = in_simulator(served, faults, stream, monkeypatch)
    for number, (here, there) in enumerate(zip(found, expected, strict=True)):
        assert [one[1:] for one in here] == [one[1:] for one in there], f"request {number}"
        assert [one[0] for one in here] == pytest.approx([one[0] for one in there], abs=1e-6), f"request {number}"
    assert sum(map(len, found)) > REQUESTS / 2
