"""The projection into the database: each record's row, and what it adds to usage, waste and spend, exactly once.

A batch's rows, its sums and the journal's position are one transaction. It knows which batches become what. It must
not know who reads them, nor when it is driven.
"""

from collections.abc import Callable, Iterable, Mapping

from sqlalchemy import Connection

from fairlead.canonical.limits import SECOND
from fairlead.config.limits import LONGEST
from fairlead.control.projector import ProjectionError
from fairlead.control.tally import HOUR, tally
from fairlead.database import positions, requests, spend, usage
from fairlead.database.engine import Database
from fairlead.database.place import DatabaseError
from fairlead.journal.reader import Batch

MOST = 1000
"""Rows that are dropped in one transaction; others write between two of them."""
REACH = 2 * LONGEST // SECOND // HOUR
"""Hours that the longest budget's period can reach back, as it looks at the ledger."""


class RequestLog:
    """One machine's way into the database. `machine` tells its journals from those of others in the same one."""

    name = "database"

    def __init__(self, database: Database, machine: str) -> None:
        self._database = database
        self._machine = machine

    def positions(self) -> Mapping[str, int]:
        """Up to where each journal of this machine is in the database."""
        try:
            with self._database.reading() as connection:
                return self._own(connection)
        except DatabaseError as error:
            raise ProjectionError(str(error)) from None

    def take(self, batch: Batch) -> None:
        """Adds a batch. A control process that is ending may have done so meanwhile: then it is there already."""
        step = positions.Advance(self._named(batch.file), batch.start, batch.end)
        sums = tally(batch.records)
        try:
            with self._database.writing() as connection:
                positions.advance(connection, [step])
                requests.add(connection, batch.records)
                usage.add(connection, sums=sums.sums, labels=sums.labels, wasted=sums.wasted)
                spend.add(connection, sums.rows())
        except positions.AlreadyReadError as late:
            if late.position < batch.end:
                raise ProjectionError(str(late)) from None
        except DatabaseError as error:
            raise ProjectionError(str(error)) from None

    def prune(self, now: float, keep: float) -> bool:
        """One step of dropping what is older than `keep` seconds, and what no budget looks at; whether there is more.

        Raises DatabaseError.
        """
        hour, kept_from = int(now) // HOUR, int(now - keep) // HOUR
        steps: tuple[Callable[..., bool], ...] = (
            lambda connection: requests.prune(connection, now - keep, MOST),
            lambda connection: usage.prune(connection, kept_from // usage.DAY * usage.DAY, MOST),
            lambda connection: spend.prune(connection, hour - REACH, MOST),
        )
        more = False
        for step in steps:
            with self._database.writing() as connection:
                more |= step(connection)
        return more

    def forget(self, gone: Callable[[Mapping[str, int]], Iterable[str]]) -> None:
        """Drops the positions of this machine's journals that `gone` finds among them. Raises DatabaseError.

        They are read first: a journal that begins meanwhile has none among them, so it cannot be taken for one that
        is gone and be read once more.
        """
        with self._database.writing() as connection:
            known = self._own(connection)
            positions.forget(connection, [self._named(file) for file in gone(known)])

    def _own(self, connection: Connection) -> dict[str, int]:
        """The positions of this machine's journals."""
        own = self._named("")
        found = positions.positions(connection)
        return {name.removeprefix(own): end for name, end in found.items() if name.startswith(own)}

    def _named(self, file: str) -> str:
        return f"{self._machine}/{file}"
