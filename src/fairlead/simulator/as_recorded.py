"""What requests came to as the journal says: the same figures as a simulation's, without one.

It must not know other configurations than the one that tells who ranks before whom.
"""

from collections import Counter
from decimal import Decimal
from itertools import pairwise

from fairlead.canonical.routing import RequestRecord
from fairlead.policy.select import NOT_REACHED
from fairlead.simulator.replay_figures import Figures, Percentiles
from fairlead.simulator.sketch import Sketch
from fairlead.simulator.summarize import THOUSAND
from fairlead.simulator.summary import QUANTILES
from fairlead.simulator.trace import Who, named
from fairlead.simulator.trial import Trial, Way

NO_USE = frozenset({"cut", "client_gone"})
"""How requests end whose answer was of no use, and may be charged."""


class AsRecorded:
    """`note` takes every record that can be replayed. `trial` has the senders of the trace: `numbers` says which."""

    def __init__(self, trial: Trial, numbers: dict[Who, int]) -> None:
        self.served: Counter[tuple[str, str, str]] = Counter()
        """Whole answers by sender, model asked for, and deployment."""
        self.refusals: Counter[tuple[str, str]] = Counter()
        """By sender, and by limit or code."""
        self.verdicts: Counter[tuple[str, str, str]] = Counter()
        """By guardrail, stage and action."""
        self._trial = trial
        self._numbers = numbers
        self._ended: Counter[str] = Counter()
        self._retried = self._fallbacks = self._attempts = 0
        self._cost = self._wasted = Decimal(0)
        self._latency, self._first_token = Sketch(), Sketch()

    def note(self, record: RequestRecord) -> None:
        who = (record.tenant, record.key)
        self._ended[record.ended] += 1
        self._attempts += len(record.attempts)
        self._retried += any(one.deployment == other.deployment for one, other in pairwise(record.attempts))
        self._pay(record)
        for verdict in record.verdicts:
            self.verdicts[verdict.guardrail, verdict.stage, verdict.action] += 1
        if record.ended == "refused":
            self.refusals[named(who), record.limit or record.code] += 1
        if record.ended == "finished":
            self.served[named(who), record.asked, record.served] += 1
            self._fallbacks += is_fallback(record, self._trial.way(self._numbers[who], record.asked))
            self._latency.add(record.duration)
            self._first_token.add(record.duration if record.first_token is None else record.first_token)

    def figures(self) -> Figures:
        return Figures(
            requests=self._ended.total(),
            answered=self._ended["finished"],
            cut=self._ended["cut"],
            left=self._ended["client_gone"],
            failed=self._ended["failed"],
            refused=self._ended["refused"],
            retried=self._retried,
            fallbacks=self._fallbacks,
            attempts=self._attempts,
            cost=float(self._cost),
            wasted=float(self._wasted),
            latency_ms=percentiles(self._latency),
            first_token_ms=percentiles(self._first_token),
        )

    def _pay(self, record: RequestRecord) -> None:
        answer = Decimal(record.cost or 0)
        lost = sum((Decimal(attempt.cost) for attempt in record.attempts if attempt.cost), Decimal(0))
        self._cost += answer + lost
        self._wasted += lost + (answer if record.ended in NO_USE else 0)


def is_fallback(record: RequestRecord, way: Way | str) -> bool:
    """Whether another deployment answered than the first choice: one that was tried, or that ranks before it and was
    left alone. `way` tells of ranks.
    """
    if not record.attempts or record.served != record.attempts[0].deployment:
        return bool(record.attempts)
    if isinstance(way, str):
        return False
    ranks = {choice.deployment.name: choice.rank for choice in way.route.choices}
    rank = ranks.get(record.wildcard or record.served, way.best)
    resting = [skipped.deployment for skipped in record.skipped if skipped.reason != NOT_REACHED]
    return rank > way.best and any(ranks.get(name, rank) < rank for name in resting)


def percentiles(seconds: Sketch) -> Percentiles:
    """In milliseconds."""
    return Percentiles(**{name: seconds.quantile(QUANTILES[name]) * THOUSAND for name in ("p50", "p95", "p99")})
