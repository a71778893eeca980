"""Recorded requests through a configuration: what they came to then, and what they come to under it.

Who came when and what providers did is the same for every configuration, so that two of them differ only by what they
decide. Pure. It must not know files, nor how a difference is shown.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import partial
from random import Random
from typing import Any, TypeVar

import msgspec

from fairlead.canonical.routing import Answered, Deployment, RequestRecord, Snapshot, Timeouts
from fairlead.policy.routes import served_name
from fairlead.simulator.as_recorded import AsRecorded, percentiles
from fairlead.simulator.assumptions import of_replay
from fairlead.simulator.life import run
from fairlead.simulator.measures import Measures
from fairlead.simulator.providers import Played, Provider, Trouble, Upstream
from fairlead.simulator.recorded_provider import ByModel, RecordedProvider
from fairlead.simulator.replay_figures import Count, Figures, Refused, Replay, Served, Verdicts
from fairlead.simulator.setting import assumed_of, deployments_of
from fairlead.simulator.sketch import merged
from fairlead.simulator.summarize import summary
from fairlead.simulator.summary import Summary
from fairlead.simulator.trace import Trace, left_out, traffic
from fairlead.simulator.traffic import Arrival, Traffic
from fairlead.simulator.trial import Trial

Key = TypeVar("Key", bound=Hashable)


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What the requests came to, as recorded or under one configuration."""

    figures: Figures
    served: Counter[tuple[str, str, str]]
    """Whole answers by sender, model asked for, and deployment."""
    refusals: Counter[tuple[str, str]]
    """By sender, and by limit or code."""
    verdicts: Counter[tuple[str, str, str]] = Counter()
    """By guardrail, stage and action."""
    summary: Summary | None = None
    """None: it was not simulated."""


class Witness:
    """A deployment's provider, and whom it answered; `called` is its name for who asks for a model."""

    def __init__(self, provider: Upstream, called: Callable[[str], str]) -> None:
        self.troubles: tuple[Trouble, ...] = provider.troubles
        self.answered: Counter[tuple[int, str, str]] = Counter()
        """Whole answers by the sender's number, model asked for, and name."""
        self._provider = provider
        self._called = called

    def renew(self) -> None:
        self._provider.renew()

    def play(self, request: Arrival, now: float, timeouts: Timeouts, deadline: float) -> Played:
        played = self._provider.play(request, now, timeouts, deadline)
        if isinstance(played.outcome, Answered) and not played.broken:
            self.answered[request.sender, request.model, self._called(request.model)] += 1
        return played


def replayed(
    snapshot: Snapshot,
    trace: Trace,
    records: Iterable[RequestRecord],
    *,
    seed: int = 1,
    tell: Callable[[int], None] = lambda _: None,
) -> Side:
    """The trace's requests under `snapshot`; `records` are the trace's, by their end. Deterministic."""
    coming = traffic(trace, records, snapshot)
    witnesses = dict(_witnesses(snapshot, trace, seed))
    trial = _trial(snapshot, coming, witnesses, requests=trace.requests, seed=seed)
    measures = run(trial, coming.arrivals, trace.requests, tell)
    served: Counter[tuple[str, str, str]] = Counter()
    for witness in witnesses.values():
        for (sender, asked, name), count in witness.answered.items():
            served[measures.senders[sender], asked, name] += count
    told = summary(measures, workers=len(trial.fleets))
    refusals = Counter({(one.sender, one.limit): one.requests for one in told.refusals})
    return Side(figures=_figures(measures), served=served, refusals=refusals, summary=told)


def as_recorded(trace: Trace, records: Iterable[RequestRecord], snapshot: Snapshot) -> Side:
    """What the journal says. `snapshot` is what it was served under, or at least like it: it tells who ranks first."""
    trial = _trial(snapshot, traffic(trace, (), snapshot), {}, requests=0, seed=0)
    noted = AsRecorded(trial, {who: number for number, who in enumerate(trace.callers)})
    for record in records:
        if not left_out(record):
            noted.note(record)
    return Side(figures=noted.figures(), served=noted.served, refusals=noted.refusals, verdicts=noted.verdicts)


def beside(trace: Trace, snapshot: Snapshot, *, recorded: Side, old: Side | None, new: Side) -> Replay:
    """The sides beside each other. `snapshot` is the new configuration."""
    sides = (recorded, old, new)
    return Replay(
        begins=trace.begins,
        ends=trace.ends,
        assumed=list(of_replay(trace, snapshot)),
        left_out=dict(sorted(trace.left_out.items())),
        unpriced=new.summary.unpriced if new.summary else [],
        recorded=recorded.figures,
        old=old.figures if old else None,
        new=new.figures,
        change=_change(new.figures, (old or recorded).figures),
        deployments=_counts(sides, lambda side: _by(side.served, lambda answer: answer[2])),
        models=_counts(sides, lambda side: _by(side.served, lambda answer: answer[2].partition("/")[2])),
        served=[
            Served(sender=sender, asked=asked, deployment=deployment, answers=answers)
            for (sender, asked, deployment), answers in _counts(sides, lambda side: side.served).items()
        ],
        refusals=[
            Refused(sender=sender, why=why, requests=requests)
            for (sender, why), requests in _counts(sides, lambda side: side.refusals).items()
        ],
        verdicts=[
            Verdicts(guardrail=guardrail, stage=stage, action=action, requests=requests)
            for (guardrail, stage, action), requests in sorted(recorded.verdicts.items())
        ],
    )


def _trial(
    snapshot: Snapshot, coming: Traffic, providers: Mapping[str, Upstream], *, requests: int, seed: int
) -> Trial:
    measures = Measures(requests, [sender.name for sender in coming.senders], list(providers))
    seeds = Random(f"{seed}/policy")
    return Trial(snapshot, providers, coming.senders, measures, rng=Random(), begins=coming.begins, seeds=seeds)


def _witnesses(snapshot: Snapshot, trace: Trace, seed: int) -> Iterator[tuple[str, Witness]]:
    """Each deployment's provider as the journal knows it, or as it is assumed to be."""
    for name, deployment in deployments_of(snapshot).items():
        called = partial(served_name, deployment)
        known = partial(_provider, deployment, trace, seed)
        yield name, Witness(ByModel(called, known), called)


def _provider(deployment: Deployment, trace: Trace, seed: int, called: str) -> Upstream:
    assumed = assumed_of(deployment)
    history = trace.histories.get(called)
    if history is None:
        return Provider(assumed, Random(f"{seed}/{called}"))
    return RecordedProvider(history.in_order(), trace.begins, assumed.per_token.mean)


def _figures(measures: Measures) -> Figures:
    def total(name: str) -> Any:
        return sum(getattr(tally, name) for batch in measures.batches for tally in batch.senders)

    counted = ("requests", "answered", "cut", "failed", "refused", "retried", "fallbacks", "attempts")
    return Figures(
        **{name: total(name) for name in (*counted, "cost", "wasted")},
        left=0,
        latency_ms=percentiles(merged(batch.latency for batch in measures.batches)),
        first_token_ms=percentiles(merged(batch.first_token for batch in measures.batches)),
    )


def _change(new: Figures, base: Figures) -> dict[str, float]:
    before = msgspec.structs.asdict(base)
    return {
        name: value - before[name]
        for name, value in msgspec.structs.asdict(new).items()
        if isinstance(value, int | float)
    }


def _by(counted: Counter[Key], group: Callable[[Key], str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for key, count in counted.items():
        found[group(key)] += count
    return found


def _counts(sides: tuple[Side, Side | None, Side], of: Callable[[Side], Counter[Key]]) -> dict[Key, Count]:
    """One count from each side, the largest first."""
    recorded, old, new = sides
    was, before, now = of(recorded), of(old) if old else None, of(new)
    found = [
        (key, Count(recorded=was[key], old=None if before is None else before[key], new=now[key]))
        for key in {*was, *(before or ()), *now}
    ]
    found.sort(key=lambda entry: (-entry[1].recorded, -entry[1].new, str(entry[0])))
    return dict(found)
