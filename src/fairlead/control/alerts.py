"""Budgets that reach one of their degrees: one line in the log for each budget, degree and period.

Workers say which degrees may have been reached, as they count what is only held. Whether one is, the ledger knows:
it has what was spent. It must not know how a request is weighed.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import msgspec

from fairlead.canonical.limits import DOLLAR, Rule
from fairlead.policy.budget import spent
from fairlead.state.channel import Notice
from fairlead.state.port import Spending

log = logging.getLogger("fairlead.control")

LOOK_EVERY = 2.0
"""Seconds between two looks at the ledger."""
LOOKS = 300
"""Looks for which a budget that no worker tells of any more is followed: longer than a request lasts."""
MOST = 10_000
"""Budgets that are remembered."""

Past = Callable[[Rule, int], Awaitable[Spending | None]]
"""What a budget's subject has spent, at an instant in microseconds; None: it cannot be told now."""


class _Suspect(msgspec.Struct):
    """A budget that may come to a degree in this period. `looks` are left for it, unless a worker tells of it again."""

    rule: Rule
    period: int
    looks: int = LOOKS


class Alerts:
    """What workers have told of, until the ledger shows it; and what has been said already."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._suspected: dict[tuple[str, str], _Suspect] = {}
        self._said: dict[tuple[str, str], tuple[int, int]] = {}
        self.count = 0
        """Lines that were said so far."""

    def heed(self, notice: Notice, rule: Rule) -> None:
        """A worker let a request in that may bring a budget to a degree."""
        budget = (rule.slot, rule.key)
        if (notice.period, notice.percent) > self._said.get(budget, (0, 0)):
            if len(self._suspected) >= MOST:
                self._suspected.clear()
            self._suspected[budget] = _Suspect(rule, notice.period)

    async def run(self) -> None:
        """Looks for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self.look(time.time_ns() // 1000)

    async def look(self, now: int) -> None:
        """Says the highest degree that each has reached at `now`, in microseconds, unless that was said before."""
        for budget, suspect in list(self._suspected.items()):
            rule = suspect.rule
            spending = await self._past(rule, now)
            if spending is not None:
                used = spent(rule, list(spending.spent), now)
                percent = max((degree for degree in rule.alerts if 100 * used >= degree * rule.limit), default=0)
                if percent and (suspect.period, percent) > self._said.get(budget, (0, 0)):
                    self._say(budget, (suspect.period, percent), rule, used)
            suspect.looks -= 1
            if not suspect.looks and self._suspected.get(budget) is suspect:
                del self._suspected[budget]

    def _say(self, budget: tuple[str, str], which: tuple[int, int], rule: Rule, used: int) -> None:
        if len(self._said) >= MOST:
            self._said.clear()
        self._said[budget] = which
        self.count += 1
        figures = {"percent": which[1], "spent": used / DOLLAR, "limit": rule.limit / DOLLAR}
        log.warning("budget_alert", extra={"budget": rule.label, **figures})
