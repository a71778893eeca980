"""What the deployments of one provider share: its quota, and the places at which it works.

Both are told of attempts in the order of time, so each is one value that moves on. Pure. It must not know how long an
answer takes, nor what goes wrong.
"""

from heapq import heappop, heappush, heapreplace

from fairlead.canonical.limits import DAY, NEVER, SECOND, Limit, Rule, rule
from fairlead.policy.demands import ONE
from fairlead.policy.limits import take_bucket
from fairlead.simulator.traffic import Arrival


class Quota:
    """The provider's own limits, which are token buckets; without any there is always room."""

    def __init__(self, limits: tuple[Limit, ...] = ()) -> None:
        self._counted: list[tuple[Rule, list[int]]] = [
            (rule(limit, slot="", scope="deployment", subject=""), []) for limit in limits
        ]

    def wait(self, request: Arrival, now: float) -> float:
        """Seconds until all of the limits have room; 0: they have, and this attempt is counted."""
        if not self._counted:
            return 0.0
        micros = int(now * SECOND)
        taken: list[tuple[Rule, list[int]]] = []
        waits = []
        for bound, state in self._counted:
            amount = ONE.get(bound.unit, request.prompt + request.answer)
            after, standing = take_bucket(bound, state, micros, amount)
            taken.append((bound, after))
            waits.append(DAY if standing.wait == NEVER else standing.wait)
        if not any(waits):
            self._counted = taken
        return max(waits) / SECOND


class Places:
    """Where requests are worked on: so many at once, in the order of arrival.

    `capacity` None: there is always one more.
    """

    def __init__(self, capacity: int | None = None) -> None:
        self._free_at = [0.0] * (capacity or 0)
        """A heap of the instants at which each place is free."""
        self._waiting: list[float] = []
        """A heap of the instants at which those who wait are worked on or give up."""

    def wait(self, now: float, queue: int | None) -> float | None:
        """Seconds until there is a place for who comes now; None: `queue` others wait already, and no more may."""
        if not self._free_at or self._free_at[0] <= now:
            return 0.0
        waiting = self._waiting
        while waiting and waiting[0] <= now:
            heappop(waiting)
        if queue is not None and len(waiting) >= queue:
            return None
        return self._free_at[0] - now

    def take(self, now: float, leaves: float) -> None:
        """Waits for a place, and has it until the answer is over or nobody waits for it any more."""
        if not self._free_at:
            return
        starts = max(self._free_at[0], now)
        if starts < leaves:
            heapreplace(self._free_at, leaves)
        if starts > now:
            heappush(self._waiting, min(starts, leaves))
