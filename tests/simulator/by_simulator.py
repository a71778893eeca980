"""Fates by the simulator, as its books and its measures hear of them."""

from random import Random

import pytest
from tests.simulator.fates import BEGINS, LOOK_EVERY, SEED, Came, Fate, Given, Try

from fairlead.canonical.limits import Demand, Standing
from fairlead.canonical.routing import Answered, Failed
from fairlead.policy.holds import standing
from fairlead.simulator.life import run
from fairlead.simulator.measures import Batch, Measures
from fairlead.simulator.providers import Played
from fairlead.simulator.traffic import Arrival
from fairlead.simulator.trial import Trial
from fairlead.simulator.visit import Visit


def by_simulator(given: Given, monkeypatch: pytest.MonkeyPatch) -> Came:
    names = [choice.deployment.name for choice in given.snapshot.routes[0].choices]
    heard = Heard(given, names)
    monkeypatch.setattr("fairlead.simulator.life.Visit", Watched)
    trial = Trial(given.snapshot, given.upstreams(), given.senders, heard, rng=Random(SEED), begins=BEGINS)
    run(trial, given.arrivals, len(given.arrivals))
    by_sender = list(zip(*(batch.senders for batch in heard.batches), strict=True))
    return Came(
        fates=[heard.fates[arrival.at] for arrival in given.arrivals],
        standings=heard.standings,
        dollars=[sum(tally.cost - tally.wasted for tally in tallies) for tallies in by_sender],
        wasted=[sum(tally.wasted for tally in tallies) for tallies in by_sender],
    )


class Heard(Measures):
    """Measures that know each request apart, by the instant of its arrival."""

    def __init__(self, given: Given, deployments: list[str]) -> None:
        super().__init__(len(given.arrivals), [sender.name for sender in given.senders], deployments)
        self.rules = given.rules()
        self.tries: dict[float, list[Try]] = {}
        self.fates: dict[float, Fate] = {}
        self.standings: list[list[Standing]] = []

    def refuse(self, batch: Batch, arrival: Arrival, why: str) -> None:
        super().refuse(batch, arrival, why)
        self.fates[arrival.at] = Fate((), "refused", why, 0.0)


class Watched(Visit):
    """The books of one request, open to us."""

    def __init__(self, trial: Trial, number: int, arrival: Arrival) -> None:
        super().__init__(trial, number, arrival)
        if number % LOOK_EVERY == 0:
            now, rules = trial.micros(arrival.at), self._heard.rules
            states = trial.counts._found([Demand(rule, 0) for rule in rules])
            self._heard.standings.append(
                [standing(rule, state, now) for rule, state in zip(rules, states, strict=True)]
            )

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
