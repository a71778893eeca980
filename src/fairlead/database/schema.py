"""Which schema a database has, and how it comes to the one that this version wants.

A migration is one transaction under a lock, so an interrupted one has changed nothing and can simply be run again. It
must not know what the tables are for.
"""

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Literal

import msgspec
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from fairlead.database.engine import PATIENCE, Database
from fairlead.database.place import DatabaseError, UnfitError

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 0x666C_6561_6431
"""The number of our advisory lock in PostgreSQL."""
TRY_AGAIN = 0.01
"""Seconds until SQLite is asked again what it would not wait for itself."""

State = Literal["current", "empty", "behind", "newer", "foreign"]


class Standing(msgspec.Struct, frozen=True):
    """How a database's schema stands to this version's. `found` is empty where there is none."""

    state: State
    found: str
    wanted: str


def standing(database: Database) -> Standing:
    """How the schema stands; changes nothing."""
    with database.reading() as connection:
        return _standing(connection)


def prepare(database: Database) -> None:
    """Makes sure that the schema fits. Raises UnfitError with the way out, DatabaseError where the database is away.

    An embedded database that is new gets its tables without asking; any other change is the operator's to make.
    """
    if database.place.is_embedded and standing(database).state == "empty":
        migrate(database)
    check(database)


def check(database: Database) -> None:
    """As `prepare`, and changes nothing."""
    found = standing(database)
    if found.state != "current":
        raise UnfitError(explained(database.place.name, found))


def migrate(database: Database) -> Standing:
    """Brings the schema to this version's, waiting for a migration that is under way elsewhere."""
    if database.place.is_embedded:
        _use_write_ahead_log(database)
    with database.alone() as connection:
        _lock(connection)
        found = _standing(connection)
        if found.state in {"newer", "foreign"}:
            raise UnfitError(explained(database.place.name, found))
        if found.state != "current":
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return standing(database)


def _use_write_ahead_log(database: Database) -> None:
    """The file's own setting from now on. It cannot be made within a transaction.

    Of two that make it at once SQLite refuses one without waiting, whatever its timeout, lest they wait for each other.
    """
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with contextlib.closing(sqlite3.connect(database.place.file, timeout=PATIENCE)) as connection:
                connection.execute("PRAGMA journal_mode = WAL").fetchall()
            return
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise DatabaseError(f"the database {database.place.name} cannot be used: {error}") from None
        time.sleep(TRY_AGAIN)


def _lock(connection: Connection) -> None:
    """Holds off other migrations until the transaction ends; in SQLite the transaction itself does."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE}s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})


def _standing(connection: Connection) -> Standing:
    scripts = ScriptDirectory.from_config(_config())
    wanted = scripts.get_current_head() or ""
    found = MigrationContext.configure(connection).get_current_revision() or ""
    if found == wanted:
        return Standing("current", found, wanted)
    if found:
        known = {script.revision for script in scripts.walk_revisions()}
        return Standing("behind" if found in known else "newer", found, wanted)
    return Standing("foreign" if inspect(connection).has_table("keys") else "empty", found, wanted)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def explained(name: str, found: Standing) -> str:
    """Why a database of this name cannot be used as it is, and the way out."""
    match found.state:
        case "newer":
            return f"the database {name} was made by a newer Fairlead (schema {found.found}); install that one again"
        case "foreign":
            return f"the database {name} has a table 'keys' that is not Fairlead's; give it a database of its own"
    what = "has no tables yet" if found.state == "empty" else f"has schema {found.found}, not {found.wanted}"
    return f"the database {name} {what}; run 'fairlead migrate'"
