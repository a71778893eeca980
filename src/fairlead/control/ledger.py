"""The ledger: what every tenant, key, model and so on has spent, brought from this machine's journals to the database.

It knows records and hours. It must not know which budgets there are: a new one finds its past here as well. A journal
counts once, however often a machine dies in the middle: its position moves in the transaction that adds what was read.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from fairlead.canonical.limits import SECOND, Rule
from fairlead.canonical.routing import RequestRecord
from fairlead.control.desk import Desk
from fairlead.database import spend
from fairlead.database.engine import Database
from fairlead.database.place import DatabaseError
from fairlead.journal.reader import batches, recent, records_of
from fairlead.policy.rules import Spender, spender_of, spenders
from fairlead.state.port import Spending

log = logging.getLogger("fairlead.control")

READ_EVERY = 0.5
"""Seconds between two looks at the journals."""
HOUR = 3600
RECENT = 600.0
"""Seconds of the newest journals that may hold the record of a hold whose lease has just run out."""


class Ledger:
    """One machine's way into the ledger. `machine` tells its journals from those of others in the same database."""

    def __init__(self, journals: Path, database: Database, machine: str) -> None:
        self._journals = journals
        self._database = database
        self._machine = machine
        self._desk = Desk("ledger")
        self._positions: dict[str, int] | None = None
        self._trouble = False

    name = "ledger"

    @property
    def positions(self) -> Mapping[str, int] | None:
        """Up to where each of this machine's journals was brought in; None: it is not known now."""
        known = self._positions
        if known is None:
            return None
        prefix = f"{self._machine}/"
        return {name.removeprefix(prefix): end for name, end in known.copy().items() if name.startswith(prefix)}

    async def run(self) -> None:
        """Keeps the ledger up to date until it is cancelled."""
        while True:
            await self.catch_up()
            await asyncio.sleep(READ_EVERY)

    async def catch_up(self) -> bool:
        """Brings in everything that the journals have now. False: the database cannot be used; nothing is lost."""
        try:
            await self._desk.do(self._read_on)
        except (DatabaseError, OSError, spend.AlreadyReadError) as error:
            if not self._trouble:
                log.error("ledger_down", extra={"reason": str(error)})
            self._trouble, self._positions = True, None
            return False
        if self._trouble:
            log.info("ledger_up")
        self._trouble = False
        return True

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

    async def close(self) -> None:
        await asyncio.to_thread(self._desk.close)

    def _spent(self, whose: Spender, since: int) -> list[spend.Spent]:
        with self._database.reading() as connection:
            return spend.spent(connection, [(whose.scope, _subject(whose))], since)

    def _read_on(self) -> None:
        """All there is. A control process that is ending may have read on meanwhile: then from where it is now."""
        try:
            self._read_all()
        except spend.AlreadyReadError:
            self._positions = None
            self._read_all()

    def _read_all(self) -> None:
        if self._positions is None:
            with self._database.reading() as connection:
                self._positions = spend.positions(connection)
        for path in sorted(self._journals.glob("*.journal")):
            name = f"{self._machine}/{path.name}"
            while self._read(path, name, self._positions):
                pass

    def _read(self, path: Path, name: str, positions: dict[str, int]) -> bool:
        """Brings in what follows the journal's position; whether there may be more."""
        batch = next(batches(path, positions.get(name, 0)), None)
        if batch is None:
            return False
        with self._database.writing() as connection:
            spend.add(connection, list(rows_of(batch.records)), [spend.Advance(name, batch.start, batch.end)])
        positions[name] = batch.end
        return True

    def _found(self, holds: set[str]) -> dict[str, RequestRecord]:
        found: dict[str, RequestRecord] = {}
        for path in recent(self._journals, RECENT):
            found.update((one.hold, one) for one in records_of(path) if one.hold in holds)
        return found


def rows_of(records: Iterable[RequestRecord]) -> Iterator[spend.Spent]:
    """What records add to the ledger: each hour's sum for everyone who could have paid."""
    sums: Counter[tuple[Spender, int]] = Counter()
    for record in records:
        if record.charged:
            hour = int(record.at + record.duration) // HOUR
            sums.update({(whose, hour): record.charged for whose in spenders(record)})
    for (whose, hour), micros in sums.items():
        yield spend.Spent(whose.scope, _subject(whose), hour, micros)


def _subject(whose: Spender) -> str:
    """Tenants may have keys and users of the same name."""
    return f"{whose.slot}/{whose.subject}"
