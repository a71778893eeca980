"""Limits and budgets under the virtual clock: what every engine of shared state does, in one dictionary.

It must not know what is limited, nor how a mechanism counts (`policy.holds`).
"""

from collections.abc import Sequence

from fairlead.canonical.limits import Demand, Granted, Standing
from fairlead.policy import holds
from fairlead.policy.budget import BUDGETS
from fairlead.policy.limits import State

Held = tuple[tuple[Demand, ...], int]
"""What was granted, and since when (microseconds)."""
SWEEP = 4096
"""States after which those that are as good as none are forgotten; then twice as many, so that it costs little."""


class Counts:
    """The state of every rule that was met."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, str], State] = {}
        self._sweep_at = SWEEP
        self._idle: dict[tuple[str, str], int] = {}

    def reserve(self, demands: tuple[Demand, ...], now: int) -> tuple[Held | None, tuple[Standing, ...]]:
        """Holds every demand or none. Where a demand makes do with less, it gets what is left, as in the gateway."""
        verdict, new = holds.reserve(demands, self._found(demands), now)
        if new is None:
            content = holds.smaller(demands, verdict.standings)
            if content is None:
                return None, verdict.standings
            demands = content
            verdict, new = holds.reserve(demands, self._found(demands), now)
        if new is None or not isinstance(verdict, Granted):
            return None, verdict.standings
        for demand, state, standing in zip(demands, new, verdict.standings, strict=True):
            self._keep(demand, state, now + holds.lifetime(demand.rule, standing.reset))
        if len(self._states) > self._sweep_at:
            self._sweep(now)
        return (demands, verdict.since), verdict.standings

    def settle(self, held: Held, used: Sequence[int], now: int) -> None:
        """The end of a hold, with what was used of each demand."""
        demands, since = held
        for demand, amount in zip(demands, used, strict=True):
            if holds.is_exact(demand, amount):
                continue
            place = (demand.rule.slot, demand.rule.key)
            state = holds.settle(demand, self._states.get(place, []), now, since, amount)
            idle = self._idle.get(place, 0)
            if amount > demand.amount or not idle or demand.rule.algorithm in BUDGETS:
                idle = max(idle, now + holds.lifetime(demand.rule, holds.standing(demand.rule, state, now).reset))
            self._keep(demand, state, idle)  # else the state has only become lighter, and is idle by then at the latest

    def _found(self, demands: Sequence[Demand]) -> list[State]:
        return [self._states.get((demand.rule.slot, demand.rule.key), []) for demand in demands]

    def _keep(self, demand: Demand, state: State, idle: int) -> None:
        place = (demand.rule.slot, demand.rule.key)
        self._states[place] = state
        self._idle[place] = idle

    def _sweep(self, now: int) -> None:
        for place in [place for place, idle in self._idle.items() if idle <= now]:
            del self._states[place], self._idle[place]
        self._sweep_at = max(2 * len(self._states), SWEEP)
