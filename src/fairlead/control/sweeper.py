"""What becomes of holds that nobody renews: their worker died, and what they held must neither stay nor be free.

The journal is asked first: a worker writes its record before it settles. Where there is no record, one is written here
(`lost`), and the hold counts as used as far as it was held. It must not know how limits are counted.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from fairlead.canonical.limits import Demand
from fairlead.canonical.routing import RequestRecord
from fairlead.journal import Journal
from fairlead.journal.note import decode_note
from fairlead.policy.estimate import Amounts, spent
from fairlead.state.port import Overdue, Settlement, State, StateError

log = logging.getLogger("fairlead.control")

SWEEP_EVERY = 5.0
"""Seconds between two looks for holds that are overdue."""
FOREIGN_AFTER = 15_000_000
"""Microseconds after which another machine's hold is taken to be nobody's."""
SETTLING = 3
"""Sweeps that are left out once a shared state is back: nobody could renew while it was away, and everyone needs a
moment to do so. The end of a lease tells nothing until then.
"""
MOST = 1000
COLLECTIONS = 20
"""Looks for idle states in one sweep, as long as each finds many: clients that name ever new users make as many."""
MANY = 500


class Books(Protocol):
    """Where it can be seen how a request ended."""

    async def records(self, holds: set[str]) -> dict[str, RequestRecord]: ...


class Sweeper:
    """Settles what is overdue. `slots` names every slot that may hold something."""

    def __init__(
        self, state: State, books: Books, journal: Journal, *, machine: str, slots: Callable[[], Sequence[str]]
    ) -> None:
        self._state = state
        self._books = books
        self._journal = journal
        self._machine = machine
        self._slots = slots
        self._to_leave_out = 0

    async def run(self, wall: Callable[[], float]) -> None:
        """Sweeps until it is cancelled. A state that cannot be reached is swept when it is back."""
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            try:
                if self._is_due():
                    await self.sweep(wall())
                await self._collect()
            except StateError:
                continue

    async def _collect(self) -> None:
        for _ in range(COLLECTIONS):
            if self._state.collect() < MANY:
                return
            await asyncio.sleep(0)  # the state is everybody's, and so is this loop

    def _is_due(self) -> bool:
        """Whether a lease's end means something. While the shared state is away, only the stand-in is swept."""
        if self._state.trouble:
            self._to_leave_out = SETTLING
        elif self._to_leave_out:
            self._to_leave_out -= 1
            return False
        return True

    async def sweep(self, wall: float) -> int:
        """Settles what is overdue now, and tells how many holds that were."""
        slots = self._slots()
        found = await self._state.overdue(slots, owner=self._machine, most=MOST)
        found += await self._state.overdue(slots, by=FOREIGN_AFTER, most=MOST)
        if not found:
            return 0
        known = await self._books.records({_request_of(overdue) for overdue in found})
        # A request may have two holds, its own and one of a deployment: the dearer one tells what it may have cost.
        by_money = sorted(found, key=_money)
        lost = {_request_of(overdue): overdue for overdue in by_money if _request_of(overdue) not in known}
        unrecorded = set()
        for request, overdue in lost.items():
            if self._journal.promise():
                self._journal.append(lost_record(overdue, wall))
            else:  # they stay overdue until there is room again
                unrecorded.add(request)
        self._journal.flush()
        found = [one for one in found if _request_of(one) not in unrecorded]
        settled = await self._state.settle([_settlement(one, known.get(_request_of(one))) for one in found])
        if len(lost) > len(unrecorded):
            log.warning("requests_lost", extra={"requests": len(lost) - len(unrecorded)})
        return sum(settled)


def lost_record(overdue: Overdue, wall: float) -> RequestRecord:
    """The record of a request whose worker died, as far as anything is known of it."""
    note = decode_note(overdue.note)
    return RequestRecord(
        id=note.id,
        at=wall,
        tenant=note.tenant,
        key=note.key,
        dialect=note.dialect,
        asked=note.asked,
        user=note.user,
        tags=note.tags,
        ended="lost",
        hold=_request_of(overdue),
        charged=_money(overdue),
        estimated=True,
    )


def _settlement(overdue: Overdue, record: RequestRecord | None) -> Settlement:
    if record is None:
        return Settlement(overdue.hold, tuple(_held(demand) for demand in overdue.hold.demands))
    if record.ended == "refused":
        return Settlement(overdue.hold, (0,) * len(overdue.hold.demands))
    used = spent(record.usage, None) | {"money": record.charged}
    return Settlement(overdue.hold, tuple(_used(demand, used) for demand in overdue.hold.demands))


def _money(overdue: Overdue) -> int:
    return max((demand.amount for demand in overdue.hold.demands if demand.rule.unit == "money"), default=0)


def _held(demand: Demand) -> int:
    return 0 if demand.rule.unit == "concurrency" else demand.amount


def _used(demand: Demand, used: Amounts) -> int:
    return demand.amount if demand.rule.unit == "requests" else used[demand.rule.unit]


def _request_of(overdue: Overdue) -> str:
    """What the names of all holds of one request begin with."""
    return overdue.hold.id.rpartition(".")[0]
