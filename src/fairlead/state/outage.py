"""What goes on while the shared state cannot be reached: this machine counts by itself, on a share of every limit.

`Guarded` is a `State` in front of two: the shared one, and a stand-in that the processes of this machine share.
It knows holds and rules. It must not know tenants, nor how either engine works.

The first call that fails opens the way to the stand-in for everyone, and a probe in the background finds the way back.
What was decided here reaches the shared state then: settlements of holds that lie there, and what budgets spent here.
A budget that was told its past there in the meantime knows from the ledger what was spent here before that moment, so
it is charged only for what came after it.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from random import Random
from typing import Any, Protocol
from uuid import uuid4

import msgspec

from fairlead.canonical.limits import Demand, Granted, Rule, Standing, Unavailable, Unseeded, Verdict
from fairlead.policy.budget import BUDGETS
from fairlead.state.port import Hold, Overdue, Settlement, Spending, State, StateError

log = logging.getLogger("fairlead.state")

PROBE_EVERY = 0.5
"""Seconds between two probes, give or take a quarter."""
OWED = 10_000
"""Settlements that are kept for the shared state; the leases of the oldest beyond them run out there."""
KNOWN_RULES = 50_000
GRAIN = 50_000
"""Microseconds of a budget's spending that count as one instant."""
GRAINS = 32
"""Instants kept of a budget: more than pass between a server's return and the probe that notices it."""


class Shared(State, Protocol):
    """A `State` that may be out of reach."""

    async def probe(self) -> None:
        """Raises StateError unless every part of it takes writes."""
        ...

    async def charge(self, bill: str, rule: Rule, spent: Sequence[tuple[int, int]]) -> None:
        """Adds to a budget what was spent elsewhere since it was told its past: (microseconds ago, amount).

        The same bill counts once. A budget without a state is left so.
        """
        ...


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one machine allows by itself."""

    instances: int = 1
    """Machines among which every limit and burst is divided; each gets at least one."""
    money: int = 0
    """Of each budget in money, and for its period: millionths of a dollar, for this machine."""


class Bill:
    """What a budget spent on the stand-in, by the moment of its settlement."""

    def __init__(self, rule: Rule) -> None:
        self.name = uuid4().hex
        self.rule = rule
        self._spent: list[tuple[int, int]] = []

    def add(self, at: int, used: int) -> None:
        """`at` is in microseconds, and no earlier than before. What is long ago counts as the beginning."""
        spent = self._spent
        if spent and at < spent[-1][0] + GRAIN:
            spent[-1] = spent[-1][0], spent[-1][1] + used
        else:
            spent.append((at, used))
        if len(spent) > GRAINS:
            spent[:2] = [(spent[0][0], spent[0][1] + spent[1][1])]

    def ago(self, now: int) -> list[tuple[int, int]]:
        return [(now - at, used) for at, used in self._spent]


class Guarded:
    """A `State` that answers whether the shared one does or not. One per process; `stand_in` is of this machine."""

    def __init__(self, shared: Shared, stand_in: State, share: Share, *, chance: Random | None = None) -> None:
        self.trouble = ""
        """Why the shared state is not asked; empty while it is."""
        self._shared = shared
        self._stand_in = stand_in
        self._share = share
        self._chance = chance or Random()
        self._here: dict[str, tuple[Demand, ...]] = {}
        """Holds on the stand-in, as they are held there."""
        self._owed: deque[Settlement] = deque(maxlen=OWED)
        self._debts: dict[tuple[str, str], Bill] = {}
        self._bills: deque[Bill] = deque()
        """Debts that are being told to the shared state. They do not change: one of them may have reached it."""
        self._smaller: dict[int, tuple[Rule, Rule]] = {}
        self._paying = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def reserve(self, hold: str, demands: Sequence[Demand], note: bytes, *, strict: bool = False) -> Verdict:
        if not self.trouble:
            try:
                return await self._shared.reserve(hold, demands, note)
            except StateError as error:
                self._fall(error)
                # It may be held there all the same: the answer was lost, or comes too late.
                self._owed.append(Settlement(Hold(hold, tuple(demands), 0), (0,) * len(demands)))
        return Unavailable() if strict else await self.reserve_alone(hold, demands, note)

    async def reserve_alone(self, hold: str, demands: Sequence[Demand], note: bytes) -> Verdict:
        smaller = tuple(Demand(self._divided(demand.rule), demand.amount) for demand in demands)
        verdict: Verdict = Unavailable()
        try:
            for _ in range(1 + len(smaller)):
                verdict = await self._stand_in.reserve(hold, smaller, note)
                if not isinstance(verdict, Unseeded):
                    break
                await self._stand_in.seed(Spending(verdict.rule, ()))  # a float of its own begins
        except StateError as error:
            log.error("state_stand_in_failed", extra={"reason": str(error)})
            return Unavailable()
        if isinstance(verdict, Granted):
            self._here[hold] = smaller
        return verdict

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Of holds that lie in the shared state while it cannot be reached, it tells that they were there."""
        there = [settlement for settlement in settlements if settlement.hold.id not in self._here]
        here = [settlement for settlement in settlements if settlement.hold.id in self._here]
        told = iter(await self._settle_there(there) if there else ())
        told_here = iter(await self._settle_here(here) if here else ())
        known = {id(settlement) for settlement in here}
        return [next(told_here if id(settlement) in known else told) for settlement in settlements]

    async def renew(self, holds: Sequence[Hold]) -> None:
        """Leases in the shared state are not renewed while it cannot be reached."""
        here = [hold for hold in holds if hold.id in self._here]
        there = [hold for hold in holds if hold.id not in self._here]
        if here:
            await self._stand_in.renew(here)
        if there and not self.trouble:
            try:
                await self._shared.renew(there)
            except StateError as error:
                self._fall(error)

    async def overdue(self, slots: Sequence[str], *, owner: str = "", by: int = 0, most: int = 100) -> list[Overdue]:
        """Of both: the processes of this machine that have ended may have held something on the stand-in."""
        late = await self._stand_in.overdue(slots, owner=owner, by=by, most=most)
        self._here.update((found.hold.id, found.hold.demands) for found in late)
        if len(late) < most and not self.trouble:
            try:
                late += await self._shared.overdue(slots, owner=owner, by=by, most=most - len(late))
            except StateError as error:
                self._fall(error)
        return late

    async def seed(self, spending: Spending) -> bool:
        """Only the shared state is told the past. Raises StateError while it cannot be reached."""
        if self.trouble:
            raise StateError(self.trouble)
        try:
            return await self._shared.seed(spending)
        except StateError as error:
            self._fall(error)
            raise

    async def standings(self, rules: Sequence[Rule]) -> list[Standing]:
        if not self.trouble:
            try:
                return await self._shared.standings(rules)
            except StateError as error:
                self._fall(error)
        return await self._stand_in.standings([self._divided(rule) for rule in rules])

    def collect(self, most: int = 1000) -> int:
        return self._stand_in.collect(most)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._shared.close()
        await self._stand_in.close()

    async def _settle_here(self, settlements: list[Settlement]) -> list[bool]:
        as_held = [
            msgspec.structs.replace(settlement, hold=msgspec.structs.replace(settlement.hold, demands=held))
            for settlement in settlements
            for held in (self._here[settlement.hold.id],)
        ]
        told = await self._stand_in.settle(as_held)
        for settlement, there in zip(settlements, told, strict=True):
            self._here.pop(settlement.hold.id, None)
            if there:
                self._owe(settlement)
        if self._debts and not self.trouble:
            self._in_background(self._pay_late())
        return told

    async def _settle_there(self, settlements: list[Settlement]) -> list[bool]:
        if not self.trouble:
            try:
                return await self._shared.settle(settlements)
            except StateError as error:
                self._fall(error)
        self._owed.extend(settlements)
        return [True] * len(settlements)

    def _divided(self, rule: Rule) -> Rule:
        """The rule as this machine applies it by itself. The same object each time: engines know rules by that."""
        known = self._smaller.get(id(rule))
        if known is None:
            if len(self._smaller) >= KNOWN_RULES:
                self._smaller.clear()
            known = self._smaller[id(rule)] = (rule, divided(rule, self._share))
        return known[1]

    def _owe(self, settlement: Settlement) -> None:
        """What budgets spent here is to be charged to the shared state. Rates are forgotten: they pass quickly."""
        now = _now()
        for demand, used in zip(settlement.hold.demands, settlement.used, strict=True):
            rule = demand.rule
            if used and rule.algorithm in BUDGETS:
                self._debts.setdefault((rule.slot, rule.key), Bill(rule)).add(now, used)

    def _fall(self, error: StateError) -> None:
        if not self.trouble:
            self.trouble = str(error)
            log.warning("state_degraded", extra={"reason": str(error)})
            self._in_background(self._recover())

    async def _recover(self) -> None:
        """Probes until the shared state is there again, and has been told what happened here."""
        began = time.monotonic()
        while True:
            await asyncio.sleep(PROBE_EVERY * self._chance.uniform(0.75, 1.25))
            try:
                await self._shared.probe()
                await self._pay()
            except StateError:
                continue
            self.trouble = ""
            log.warning("state_recovered", extra={"seconds": round(time.monotonic() - began, 1)})
            return

    async def _catch_up(self) -> None:
        """Settles what lies in the shared state. What others have settled by now is not there any more."""
        while self._owed:
            batch = [self._owed.popleft() for _ in range(min(len(self._owed), 100))]
            try:
                await self._shared.settle(batch)
            except StateError:
                self._owed.extendleft(reversed(batch))
                raise

    async def _pay(self) -> None:
        """Charges what is owed, then settles. A bill whose answer was lost is sent again as it was."""
        async with self._paying:
            self._bills.extend(self._debts.values())
            self._debts.clear()
            while self._bills:
                bill = self._bills[0]
                await self._shared.charge(bill.name, bill.rule, bill.ago(_now()))
                self._bills.popleft()
            await self._catch_up()

    async def _pay_late(self) -> None:
        """For what was held here when the shared state came back."""
        try:
            await self._pay()
        except StateError as error:
            self._fall(error)

    def _in_background(self, step: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(step)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _now() -> int:
    """Microseconds of a clock that nobody sets."""
    return time.monotonic_ns() // 1000


def divided(rule: Rule, share: Share) -> Rule:
    """What of a rule is one machine's own."""
    if rule.algorithm in BUDGETS and rule.unit == "money":
        return msgspec.structs.replace(rule, limit=min(rule.limit, share.money))
    limit = max(rule.limit // share.instances, 1)
    return msgspec.structs.replace(rule, limit=limit, burst=rule.burst // share.instances)
