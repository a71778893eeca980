"""How much a request asks of each rule that it meets, and what it takes of each once it is over.

Pure: the rules, the estimate and what was used come in as values. It must not know how tokens are counted, nor where
what is held is kept.
"""

from collections.abc import Iterable, Sequence

from fairlead.canonical.limits import NEVER, SECOND, Demand, Rule, Standing, Unit
from fairlead.canonical.routing import Failed
from fairlead.policy.estimate import Amounts, Estimate, amounts

ONE: dict[Unit, int] = {"requests": 1, "concurrency": 1}
"""What a request asks of the limits for which nothing needs to be counted."""
MOST_USED = 10**12
"""More than any request can use; a provider that tells more is not believed."""


def counts(rules: Iterable[Rule]) -> bool:
    """Whether one of these rules asks for more than that there is a request: then it has to be estimated."""
    return any(rule.unit not in ONE for rule in rules)


def demands(rules: Sequence[Rule], held: Estimate | None, max_tokens: int | None) -> tuple[Demand, ...]:
    """What each rule is asked to hold. `held` may be None where nothing has to be counted (`counts`).

    A client that does not say how long the answer may be gets what is left of a limit on tokens.
    """
    wanted = ONE if held is None else amounts(held)
    if held is None or max_tokens is not None:
        return tuple([Demand(rule, wanted[rule.unit]) for rule in rules])
    least = {"tokens": held.input + 1, "output_tokens": 1}
    return tuple([Demand(rule, wanted[rule.unit], least.get(rule.unit, 0)) for rule in rules])


def taken(demand: Demand, used: Amounts) -> int:
    """What a request that was tried is settled at: it counts as one whatever came of it."""
    return demand.amount if demand.rule.unit == "requests" else min(used[demand.rule.unit], MOST_USED)


def tightest(demands: Sequence[Demand], standings: Sequence[Standing]) -> tuple[Demand, Standing]:
    """The rule that refuses for longest, out of at least one that does."""
    pairs = [(demand, standing) for demand, standing in zip(demands, standings, strict=True) if standing.wait]
    return max(pairs, key=lambda pair: (pair[1].wait == NEVER, pair[1].wait))


def limited(deployment: str, standings: Sequence[Standing], now: float) -> Failed:
    """The failure of an attempt whose deployment's own limits refuse it; it sends the request elsewhere."""
    waits = [standing.wait for standing in standings]
    wait = None if NEVER in waits else max(waits) / SECOND
    return Failed(at=now, kind="limited", retry_after=wait, reason=f"a limit on {deployment}")


def is_hard_budget(rule: Rule) -> bool:
    return rule.unit == "money" and rule.hard
