"""The ledger: what every tenant, key, model and so on has spent, as the database has it after one more look.

It drives this machine's records into the database (`request_log`) and answers from there. It must not know which
budgets there are: a new one finds its past here as well.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from fairlead.canonical.limits import SECOND, Rule
from fairlead.canonical.routing import RequestRecord
from fairlead.control.desk import Desk
from fairlead.control.projector import Projector
from fairlead.control.request_log import RequestLog
from fairlead.control.tally import HOUR, subject_of
from fairlead.database import spend
from fairlead.database.engine import Database, Patience
from fairlead.database.place import DatabaseError, Place
from fairlead.journal.reader import Reader, recent, records_of
from fairlead.policy.rules import Spender, spender_of
from fairlead.state.port import Spending

log = logging.getLogger("fairlead.control")

PATIENCE = Patience(busy=1.0)
"""The journal is the queue: where another writer has the database, the next look goes on."""
PRUNE_EVERY = 600.0
"""Seconds between two looks for what is too old."""
RECENT = 600.0
"""Seconds of the newest journals that may hold the record of a hold whose lease has just run out."""


class Ledger:
    """One machine's records in the database. `keep`: how many seconds a request stays in the request log."""

    def __init__(self, reader: Reader, place: Place, machine: str, keep: Callable[[], float]) -> None:
        self._reader = reader
        self._database = Database(place, PATIENCE)
        self._request_log = RequestLog(self._database, machine)
        self.projector = Projector(reader, self._request_log)
        self._desk = Desk("ledger")
        self._keep = keep

    async def run(self) -> None:
        """Keeps the ledger up to date, and what is in it young enough, until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.projector.run())
            group.create_task(self._prune_for_ever())

    async def catch_up(self) -> bool:
        """Brings in everything that the journals have now. False: the database cannot be used; nothing is lost."""
        return await self.projector.catch_up()

    async def spending(self, rule: Rule, now: int) -> Spending | None:
        """What a budget's subject has spent in what may be its period at `now`; None: it cannot be told now."""
        if not await self.catch_up():
            return None
        whose = spender_of(rule)
        since = (now - 2 * rule.tick * rule.ticks) // SECOND // HOUR
        try:
            rows = await self._desk.do(lambda: self._spent(whose, since))
        except DatabaseError:
            return None
        return Spending(rule, tuple(((row.hour + 1) * HOUR * SECOND, row.micros) for row in rows))

    async def records(self, holds: set[str]) -> dict[str, RequestRecord]:
        """The records of this machine's newest journals that ended one of these holds."""
        return await self._desk.do(lambda: self._found(holds))

    async def prune(self, now: float) -> None:
        """Drops what is too old, a little at a time, so that records go in meanwhile."""
        try:
            while await self._desk.do(lambda: self._request_log.prune(now, self._keep())):
                pass
            await self._desk.do(lambda: self._request_log.forget(self._reader.gone))
        except (DatabaseError, OSError) as error:
            log.warning("prune_failed", extra={"reason": str(error)})

    async def close(self) -> None:
        await self.projector.close()
        await asyncio.to_thread(self._desk.close)
        self._database.close()

    async def _prune_for_ever(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_EVERY)
            await self.prune(time.time())

    def _spent(self, whose: Spender, since: int) -> list[spend.Spent]:
        with self._database.reading() as connection:
            return spend.spent(connection, [(whose.scope, subject_of(whose))], since)

    def _found(self, holds: set[str]) -> dict[str, RequestRecord]:
        found: dict[str, RequestRecord] = {}
        for path in recent(self._reader.folder, RECENT):
            found.update((one.hold, one) for one in records_of(path) if one.hold in holds)
        return found
