"""Fates by the simulator, as its books and its measures hear of them."""

from random import Random

import pytest
from tests.simulator.fates import BEGINS, SEED, Came, Fate, Given, Try

from fairlead.canonical.limits import Demand
from fairlead.canonical.routing import Answered, Failed
from fairlead.simulator.measures import Measures, Tally
from fairlead.simulator.providers import Played
from fairlead.simulator.traffic import Arrival
from fairlead.simulator.trial import Trial, Visit, run


def by_simulator(given: Given, at: float, monkeypatch: pytest.MonkeyPatch) -> Came:
    """`at` is the instant for which standings are told."""
    names = [choice.deployment.name for choice in given.snapshot.routes[0].choices]
    heard = Heard(len(given.arrivals), [sender.name for sender in given.senders], names)
    monkeypatch.setattr("fairlead.simulator.trial.Visit", Watched)
    trial = Trial(given.snapshot, given.upstreams(), given.senders, heard, rng=Random(SEED), begins=BEGINS)
    trial.rng.seed(SEED)
    monkeypatch.setattr(trial, "renew", lambda: None)  # a worker's chance never begins anew
    run(trial, given.arrivals, len(given.arrivals))
    micros = trial.micros(at)
    by_sender = list(zip(*(batch.senders for batch in heard.batches), strict=True))
    return Came(
        fates=[heard.fates[arrival.at] for arrival in given.arrivals],
        standings={rule.label: trial.counts.reserve((Demand(rule, 0),), micros)[1][0] for rule in given.rules()},
        dollars=[sum(tally.cost - tally.wasted for tally in tallies) for tallies in by_sender],
        wasted=[sum(tally.wasted for tally in tallies) for tallies in by_sender],
    )


class Heard(Measures):
    """Measures that know each request apart, by the instant of its arrival."""

    tries: dict[float, list[Try]]
    fates: dict[float, Fate]

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self.tries, self.fates = {}, {}

    def refuse(self, tally: Tally, arrival: Arrival, why: str) -> None:
        super().refuse(tally, arrival, why)
        self.fates[arrival.at] = Fate((), "refused", why, 0.0)


class Watched(Visit):
    """The books of one request, open to us."""

    def learn(self, played: Played) -> None:
        super().learn(played)
        outcome = played.outcome
        kind, status = (outcome.kind, outcome.status) if isinstance(outcome, Failed) else ("answered", 200)
        at = self._arrival.at
        self._heard.tries.setdefault(at, []).append((self._tried_at - at, self._choice.deployment.name, kind, status))

    def close(self, played: Played | None, now: float) -> None:
        super().close(played, now)
        if played is None:
            return
        ended = "failed"
        if isinstance(played.outcome, Answered):
            ended = "cut" if played.broken else "finished"
        at = self._arrival.at
        self._heard.fates[at] = Fate(tuple(self._heard.tries[at]), ended, "", now - at)

    @property
    def _heard(self) -> Heard:
        measures = self._trial.measures
        assert isinstance(measures, Heard)
        return measures
