"""Rules and demands for the tests of the engines, and hypothesis strategies for them."""

from typing import get_args

from hypothesis import strategies as st

from fairlead.canonical.limits import (
    DAY,
    MONTH,
    SECOND,
    WEEK,
    Algorithm,
    Demand,
    Granted,
    Limit,
    Rule,
    Unit,
    Verdict,
    rule,
)
from fairlead.policy.budget import BUDGETS
from fairlead.state.port import Hold, Settlement, Spending, State

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
RATES = tuple(algorithm for algorithm in ALGORITHMS if algorithm not in BUDGETS and algorithm != "concurrency")
START = 1_800_000_000 * SECOND
"""A moment in 2027, at which tests with a clock of their own begin."""
PERIODS = {"calendar": (DAY, WEEK, MONTH), "rolling": (SECOND, DAY, MONTH)}


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def limited(
    algorithm: Algorithm, limit: int, *, per: int = 60 * SECOND, burst: int = 0, slot: str = "acme",
    unit: Unit = "requests", hard: bool = True, subject: str = "acme",
) -> Rule:  # fmt: skip
    per = DAY if algorithm == "calendar" else per
    bound = Limit(unit=unit, algorithm=algorithm, limit=limit, per=per, burst=burst, hard=hard)
    return rule(bound, slot=slot, scope="tenant", subject=subject)


def settlement(hold: str, demands: tuple[Demand, ...], verdict: Verdict, *used: int) -> Settlement:
    """The end of a hold that was granted; without `used`, everything that was held was used."""
    assert isinstance(verdict, Granted)
    return Settlement(Hold(hold, demands, verdict.since), used or tuple(demand.amount for demand in demands))


async def begun(state: State, *limits: Rule) -> None:
    """Tells every budget among them that nothing was spent of it."""
    for limit in limits:
        if limit.algorithm in BUDGETS:
            await state.seed(Spending(limit, ()))


@st.composite
def rules(draw: st.DrawFn, slot: str = "acme") -> Rule:
    """Any rule that a configuration could give."""
    algorithm = draw(st.sampled_from(ALGORITHMS))
    per = draw(st.sampled_from(PERIODS.get(algorithm, (SECOND // 2, SECOND, 60 * SECOND, 7 * SECOND + 1, DAY))))
    takes_burst = algorithm in RATES and algorithm != "fixed_window"
    limit = Limit(
        unit=draw(st.sampled_from(("requests", "tokens", "money"))),
        algorithm=algorithm,
        limit=draw(st.integers(1, 20) | st.integers(1, 1_000_000_000)),
        per=per,
        burst=draw(st.integers(0, 20)) if takes_burst else 0,
        hard=draw(st.integers(0, 4)) > 0,
    )
    return rule(limit, slot=slot, scope="tenant", subject="acme")
