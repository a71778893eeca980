"""One database, whichever it is: how it is reached, and its transactions.

It must not know a table. Every fault of the database comes out as a DatabaseError that names it without a password.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url

from fairlead.database.place import DatabaseError, Place, check_url

PATIENCE = 60
"""Seconds that a migration waits for another one."""
CONNECT = 2
"""Seconds within which PostgreSQL must take a connection."""
STEPS = 10_000
"""Steps of SQLite's machine between two looks at the clock, for a connection whose transactions have an end."""
CACHE_KIB = 32 * 1024
"""What a connection of SQLite keeps of the file: the places in its indexes that new rows go to, and more."""
CHECKPOINT = 16_384
"""Pages of the write-ahead log (64 MiB) that are brought into the file together: a page that is written often counts
once.
"""
BEGIN = "fairlead_begin"
"""The execution option that says how a transaction begins in SQLite."""
ALONE = "BEGIN EXCLUSIVE"
ENDED = ("interrupted", "canceling statement due to statement timeout")
"""How both databases say that one of our limits on time has ended a statement."""
TOO_LONG = "what it was asked took too long; ask for less, such as a shorter time"


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long a database may take, in seconds."""

    busy: float = 5.0
    """SQLite, to wait for another writer."""
    statement: float = 10.0
    """PostgreSQL, to work on one statement, migrations apart."""
    transaction: float | None = None
    """SQLite, to work on one transaction; None: as long as it takes."""


PATIENT = Patience()


class Database:
    """An open database. Nothing is connected before the first transaction."""

    def __init__(self, place: Place, patience: Patience = PATIENT) -> None:
        self.place = place
        self.engine = _sqlite(place.file, patience) if place.is_embedded else _postgres(place, patience)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes: all of it happens, or nothing."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """A transaction beside which no other goes on in SQLite, for migrations: it waits for them up to PATIENCE."""
        try:
            with self._transaction(ALONE) as connection:
                yield connection
        finally:
            self.engine.dispose()  # connections with a patience that nobody else wants

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        try:
            with self.engine.connect().execution_options(**{BEGIN: begin}) as connection, connection.begin():
                yield connection
        except (exc.DBAPIError, exc.TimeoutError, self.engine.dialect.loaded_dbapi.Error) as error:
            raise DatabaseError(f"the database {self.place.name} cannot be used: {_reason(error)}") from None

    def close(self) -> None:
        self.engine.dispose()


def _url(text: str) -> URL:
    try:
        check_url(text)
        return make_url(text).set(drivername="postgresql+psycopg")
    except (exc.ArgumentError, ValueError):
        raise DatabaseError("database must be postgresql://user@host/name, or null for the embedded one") from None


def _sqlite(file: Path, patience: Patience) -> Engine:
    _create(file)
    engine = create_engine(
        URL.create("sqlite", database=str(file)), connect_args={"timeout": patience.busy}, hide_parameters=True
    )
    event.listen(engine, "connect", _prepare)
    if patience.transaction is not None:
        event.listen(engine, "begin", _bounded(patience.transaction))
    event.listen(engine, "begin", _begin)
    return engine


def _create(file: Path) -> None:
    """An empty file that only its owner may read; SQLite gives its side files the same mode."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise DatabaseError(f"the database {file} cannot be opened: {error.strerror}; choose another data") from None


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # sqlite3 would begin and commit by rules of its own
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")


def _begin(connection: Connection) -> None:
    begin = connection.get_execution_options().get(BEGIN, "BEGIN")
    if begin == ALONE:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {PATIENCE * 1000}")
    connection.exec_driver_sql(begin)


def _bounded(seconds: float) -> Any:
    """Ends a transaction of SQLite that works for longer."""

    def bound(connection: Connection) -> None:
        until = time.monotonic() + seconds
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(lambda: time.monotonic() > until, STEPS)

    return bound


def _postgres(place: Place, patience: Patience) -> Engine:
    url = _url(place.url or "")
    options = {"connect_timeout": CONNECT, "options": f"-c statement_timeout={patience.statement * 1000:.0f}"}
    try:
        return create_engine(url, connect_args=options, pool_pre_ping=True, hide_parameters=True)
    except ModuleNotFoundError:
        raise DatabaseError(
            "the driver for PostgreSQL is not installed; in a clone of Fairlead: pip install '.[postgres]'"
        ) from None


def _reason(error: Exception) -> str:
    """The driver's own first line: it names hosts and tables, never parameters or passwords."""
    if isinstance(error, exc.TimeoutError):
        return "no connection became free"
    own: Any = error.orig if isinstance(error, exc.DBAPIError) else error
    said = (str(own).splitlines() or [type(own).__name__])[0]
    return TOO_LONG if said.startswith(ENDED) else said
