"""Audit entries that wait in the database, written in the transaction of the change that they tell of.

So a change and its entry stand or fall together; the machine that an entry is for moves it into its trail. It must not
know what an entry says.
"""

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from fairlead.database.keys import next_version
from fairlead.database.tables import audit_outbox

MOST = 500
"""Rows that are read at once."""


class Waiting(msgspec.Struct, frozen=True):
    """An entry under its number, which no other entry of this database ever has."""

    id: int
    entry: bytes


def add(connection: Connection, entry: bytes, machine: str, *, version: int | None = None) -> None:
    """Has an entry wait for `machine`; empty: for whichever comes first.

    `version` is that of the key that the entry tells of; None: of no key.
    """
    number = next_version(connection) if version is None else version
    row = {"id": number, "machine": machine, "entry": entry.decode()}
    connection.execute(insert(audit_outbox).values(row))


def waiting(connection: Connection, machine: str) -> list[Waiting]:
    """What waits for this machine, oldest first; what waited for nobody waits for this one now."""
    table = audit_outbox
    connection.execute(update(table).where(table.c.machine == "").values(machine=machine))
    query = select(table.c.id, table.c.entry).where(table.c.machine == machine).order_by(table.c.id).limit(MOST)
    return [Waiting(int(number), str(entry).encode()) for number, entry in connection.execute(query)]


def is_empty(connection: Connection, machine: str) -> bool:
    """Whether nothing waits that this machine should take."""
    query = select(audit_outbox.c.id).where(audit_outbox.c.machine.in_(("", machine))).limit(1)
    return connection.execute(query).first() is None


def forget(connection: Connection, numbers: Iterable[int]) -> None:
    """These are in a trail."""
    connection.execute(delete(audit_outbox).where(audit_outbox.c.id.in_(list(numbers))))
