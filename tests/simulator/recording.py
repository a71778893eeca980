"""Simulations as journals: what the requests of one come to, as the records that a gateway would have written."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from fairlead.canonical.routing import Answered, AttemptRecord, RequestRecord, Skipped, Snapshot, Timeouts
from fairlead.canonical.usage import Usage, cost
from fairlead.config.bind import bind
from fairlead.config.compile import compile_config
from fairlead.config.problems import Findings
from fairlead.config.shipped import catalog
from fairlead.config.world import World
from fairlead.journal import encode
from fairlead.journal.frames import header
from fairlead.policy.estimate import MAY_BE_CHARGED
from fairlead.simulator.life import run
from fairlead.simulator.providers import Played, Trouble, Upstream
from fairlead.simulator.setting import Setting, deployments_of
from fairlead.simulator.simulate import nothing_measured, trial_of
from fairlead.simulator.trace import Trace
from fairlead.simulator.traffic import Arrival

BEGINS = 1_790_000_000.0
SALT = 7
TWO = """
providers:
  a: {kind: openai, base_url: "http://127.0.0.1:1/v1", api_key: sk-a}
  b: {kind: openai, base_url: "http://127.0.0.1:2/v1", api_key: sk-b}
routes:
  - model: chat
    select: priority
    deployments:
      - {use: a/one, priority: 1, price: {input: 1, output: 4}}
      - {use: b/two, priority: 2, price: {input: 3, output: 15}}
    retry: {attempts: 1, backoff: {base: 100ms, cap: 1s}}
    timeout: {first_token: 5s}
    cooldown: {after: 5, for: 5s}
"""
"""A route over two deployments, the second of which is a fallback."""
Attempt = tuple[str, float, Played]
"""A deployment, when an attempt on it began, and what came of it."""


class Recorder:
    """A provider that notes what it was asked and what came of it."""

    def __init__(self, name: str, provider: Upstream, into: dict[Arrival, list[Attempt]]) -> None:
        self.troubles: tuple[Trouble, ...] = ()
        self._name, self._provider, self._into = name, provider, into

    def renew(self) -> None:
        self._provider.renew()

    def play(self, request: Arrival, now: float, timeouts: Timeouts, deadline: float) -> Played:
        played = self._provider.play(request, now, timeouts, deadline)
        self._into.setdefault(request, []).append((self._name, now, played))
        return played


def configured(text: str) -> Snapshot:
    findings = Findings("fairlead.yaml")
    config = bind(text.encode(), findings)
    assert config is not None, findings.in_order()
    snapshot = compile_config(config, World(environ={}, catalog=catalog()), findings)
    assert snapshot is not None, findings.in_order()
    return snapshot


def recorded(setting: Setting) -> list[RequestRecord]:
    """What the setting's requests come to, by their end. None of them may be refused."""
    noted: dict[Arrival, list[Attempt]] = {}
    trial, arriving = trial_of(setting, nothing_measured)
    trial.providers = {name: Recorder(name, provider, noted) for name, provider in trial.providers.items()}
    run(trial, arriving, setting.requests)
    keys = [sender.key for sender in trial.senders]
    records = [
        msgspec.structs.replace(_record(arrival, made, setting.snapshot), key=keys[arrival.sender].id)
        for arrival, made in noted.items()
    ]
    return sorted(records, key=lambda record: record.answered_at)


def a_record(number: int = 0, **more: Any) -> RequestRecord:
    """A stream that the deployment a/one answered at once."""
    answered = AttemptRecord(deployment="a/one", started_at=0.0, duration=0.5, outcome="answered", status=200)
    facts = {
        "id": f"r{number}", "at": BEGINS + number, "asked": "chat", "route": "chat", "served": "a/one", "status": 200,
        "stream": True, "attempts": (answered,), "usage": Usage(input=100, output=11), "cost": "0.000144",
        "first_token": 0.5, "duration": 1.5,
    }  # fmt: skip
    return RequestRecord(**{**facts, **more})


def an_attempt(outcome: str = "answered", deployment: str = "a/one", **more: Any) -> AttemptRecord:
    facts = {"started_at": 0.0, "duration": 0.5, "status": 200 if outcome == "answered" else 503}
    return AttemptRecord(deployment=deployment, outcome=outcome, **{**facts, **more})


def traced(records: Iterable[RequestRecord]) -> Trace:
    trace = Trace()
    for record in records:
        trace.note(record)
    return trace


def write(path: Path, records: Iterable[RequestRecord]) -> Path:
    """A journal file."""
    path.write_bytes(header(SALT) + b"".join(encode(record, SALT) for record in records))
    return path


def _record(arrival: Arrival, made: Sequence[Attempt], snapshot: Snapshot) -> RequestRecord:
    name, _, last = made[-1]
    at = BEGINS + arrival.at
    tried = {name for name, _, _ in made}
    answered = isinstance(last.outcome, Answered)
    ended = ("cut" if last.broken else "finished") if answered else "failed"
    usage = Usage(input=arrival.prompt, output=int(arrival.answer * last.part) or 1) if answered else None
    return a_record(
        id=f"{arrival.at:f}",
        at=at,
        asked=arrival.model,
        route=arrival.model,
        stream=arrival.stream,
        served=name if answered else "",
        attempts=tuple(_attempt(arrival, *one, snapshot) for one in made),
        ended=ended,
        usage=usage,
        cost=_cost(usage, name, snapshot),
        first_token=last.outcome.at - arrival.at if answered else None,
        duration=last.ends - arrival.at,
        skipped=tuple(
            Skipped(deployment=choice.deployment.name, reason="cooling down")
            for route in snapshot.routes
            for choice in route.choices
            if choice.deployment.name not in tried and choice.rank == 0
        ),
    )


def _attempt(arrival: Arrival, name: str, began: float, played: Played, snapshot: Snapshot) -> AttemptRecord:
    outcome = played.outcome
    failure = None if isinstance(outcome, Answered) else outcome
    charged = Usage(input=arrival.prompt) if failure and failure.kind in MAY_BE_CHARGED else None
    return AttemptRecord(
        deployment=name,
        started_at=began - arrival.at,
        duration=outcome.at - began,
        outcome=failure.kind if failure else "answered",
        status=failure.status if failure else 200,
        retry_after=failure.retry_after if failure else None,
        usage=charged,
        cost=_cost(charged, name, snapshot),
    )


def _cost(usage: Usage | None, name: str, snapshot: Snapshot) -> str | None:
    price = deployments_of(snapshot)[name].price
    dollars = cost(usage, price) if usage and price else None
    return None if dollars is None else f"{dollars:f}"
