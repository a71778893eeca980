"""Up to where each journal is in the tables that are made of records.

A position moves in the transaction that adds what was read, so every record counts once. It must not know a record.
"""

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import Connection, bindparam, delete, select, update

from fairlead.database.bulk import insert_of
from fairlead.database.tables import journal_positions


class Advance(msgspec.Struct, frozen=True, order=True):
    """A journal file was read from `start` up to `end`."""

    file: str
    start: int
    end: int


class AlreadyReadError(Exception):
    """A journal is not where its reader thinks it is, but at `position`: someone else has read on. Nothing moved."""

    def __init__(self, advance: Advance, position: int) -> None:
        super().__init__(f"the journal {advance.file} is at {position}, not at {advance.start}")
        self.position = position


def positions(connection: Connection) -> dict[str, int]:
    """Up to where each journal file was read."""
    return {str(file): int(position) for file, position in connection.execute(select(journal_positions))}


def advance(connection: Connection, advances: Iterable[Advance]) -> None:
    """Moves the journals on. Raises AlreadyReadError; the transaction must then be given up."""
    moves = sorted(advances)
    table = journal_positions
    if moves:
        first = insert_of(connection)(table).on_conflict_do_nothing(index_elements=[table.c.file])
        connection.execute(first, [{"file": one.file, "position": 0} for one in moves])
    moved = (
        update(table)
        .where(table.c.file == bindparam("name"), table.c.position == bindparam("start"))
        .values(position=bindparam("end"))
    )
    for one in moves:
        done = connection.execute(moved, {"name": one.file, "start": one.start, "end": one.end})
        if done.rowcount != 1:
            found = connection.execute(select(table.c.position).where(table.c.file == one.file)).scalar_one()
            raise AlreadyReadError(one, int(found))


def forget(connection: Connection, files: Sequence[str]) -> None:
    """Drops the positions of files that are gone for good."""
    if files:
        connection.execute(delete(journal_positions).where(journal_positions.c.file.in_(files)))
