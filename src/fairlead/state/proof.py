"""The proof at start-up that every algorithm refuses: a limiter that is there and lets everything pass is found here.

It must not know which engine it proves.
"""

from typing import get_args
from uuid import uuid4

from fairlead.canonical.limits import MONTH, Algorithm, Demand, Denied, Granted, Limit, Unseeded, Verdict, rule
from fairlead.state.port import Hold, Settlement, Spending, State, StateError

SLOT = "~proof"
"""No tenant's name begins so."""


async def prove(state: State) -> None:
    """Raises StateError, which names the algorithm, where a limit of one lets a second request pass or no first one."""
    run = uuid4().hex
    for algorithm in get_args(Algorithm):
        one = Limit(unit="requests", algorithm=algorithm, limit=1, per=MONTH)
        demands = (Demand(rule(one, slot=SLOT, scope="global", subject=run), 1),)
        first, second = [await _asked(state, f"{run}-{algorithm}-{number}", demands) for number in range(2)]
        if not isinstance(first, Granted) or not isinstance(second, Denied):
            raise StateError(
                f"the shared state does not limit by {algorithm!r}: of two requests where one is allowed, "
                f"the first was {type(first).__name__.lower()} and the second {type(second).__name__.lower()}"
            )
        await state.settle([Settlement(Hold(f"{run}-{algorithm}-0", demands, first.since), (0,))])


async def _asked(state: State, hold: str, demands: tuple[Demand, ...]) -> Verdict:
    verdict = await state.reserve(hold, demands, b"")
    if not isinstance(verdict, Unseeded):
        return verdict
    await state.seed(Spending(verdict.rule, ()))
    return await state.reserve(hold, demands, b"")
