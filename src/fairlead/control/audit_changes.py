"""Moves the audit entries that wait in the database into this machine's trail, each exactly once.

An entry is in the trail before the database forgets it; the trail remembers its number until that is certain. It must
not know what a change is.
"""

import asyncio
import contextlib

import msgspec

from fairlead.audit.change import decode_change
from fairlead.audit.entry import Entry
from fairlead.audit.subjects import Personal, seal_records
from fairlead.audit.trail import Trail
from fairlead.control.custodian import Custodian
from fairlead.control.desk import Desk
from fairlead.control.projector import ProjectionError
from fairlead.database import outbox
from fairlead.database.engine import Database
from fairlead.database.outbox import Waiting
from fairlead.database.place import DatabaseError

LOOK_EVERY = 1.0
"""Seconds between two looks at the database."""


class AuditChanges:
    """The way of administrative changes from one database into the trail."""

    def __init__(self, database: Database, custodian: Custodian, machine: str) -> None:
        self._database = database
        self._custodian = custodian
        self._machine = machine
        self._desk = Desk("audit-changes")
        self._nudged = asyncio.Event()

    async def run(self) -> None:
        """Moves for ever. Others tell when the database or the trail cannot be used; what waits, waits."""
        while True:
            await self.catch_up()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._nudged.wait()
            self._nudged.clear()

    def nudge(self) -> None:
        """A change was made here: no need to wait for the next look."""
        self._nudged.set()

    async def catch_up(self) -> None:
        """Moves everything that waits now."""
        with contextlib.suppress(DatabaseError, ProjectionError):
            while await self._desk.do(self._move):
                pass

    async def close(self) -> None:
        await asyncio.to_thread(self._desk.close)

    def _move(self) -> bool:
        """Whether anything was moved."""
        with self._database.reading() as connection:
            if outbox.is_empty(connection, self._machine):
                return False
        with self._database.writing() as connection:
            rows = outbox.waiting(connection, self._machine)
        self._custodian.use(lambda trail: _append(trail, rows))
        numbers = [row.id for row in rows]
        with self._database.writing() as connection:
            outbox.forget(connection, numbers)
        self._custodian.use(lambda trail: trail.delivered(numbers))
        return bool(rows)


def _append(trail: Trail, rows: list[Waiting]) -> None:
    changes = [(row.id, decode_change(row.entry)) for row in rows if row.id not in trail.outbox]
    texts = {
        number: Personal(
            tenant=change.entry.tenant, user=change.subject, text=change.personal.encode(), at=change.entry.at
        )
        for number, change in changes
        if change.personal
    }
    sealed = seal_records(trail.subjects, texts) if texts else {}
    entries: list[Entry] = [
        msgspec.structs.replace(change.entry, outbox=number, sealed=sealed.get(number)) for number, change in changes
    ]
    if entries:
        trail.append(entries)
