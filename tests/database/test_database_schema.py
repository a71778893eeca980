"""Migrations: new, again, two at once, interrupted, from the future; and what may start on which schema."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from fairlead.database import keys, positions, schema, spend
from fairlead.database.engine import Database
from fairlead.database.place import DatabaseError, Place
from fairlead.database.tables import metadata

ROOT = Path(__file__).parents[2]
HEAD = schema.Standing("current", "0003", "0003")
Opened = Callable[[Place], Database]

CRASHES = """
import os, sys
from pathlib import Path
from alembic import op
from fairlead.database import schema
from fairlead.database.engine import Database
from fairlead.database.place import Place
create, made = op.create_table, []
def crashing(*a, **k):
    made.append(a[0])
    if len(made) == int(sys.argv[3]):
        os._exit(9)
    return create(*a, **k)
op.create_table = crashing
schema.migrate(Database(Place(data=Path(sys.argv[1]), url=sys.argv[2] or None)))
"""


def test_a_new_database_gets_this_versions_schema(place: Place, opened: Opened) -> None:
    database = opened(place)
    assert schema.standing(database).state == "empty"
    assert schema.migrate(database) == HEAD
    assert schema.migrate(database) == HEAD
    schema.prepare(database)
    with database.reading() as connection:
        assert keys.identity(connection)[1] == 0


def test_migrations_lead_to_the_tables_that_the_code_uses(database: Database) -> None:
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_two_databases_have_two_identities(place: Place, tmp_path: Path, opened: Opened) -> None:
    one, other = opened(place), opened(Place(data=tmp_path / "other"))
    identities = set()
    for database in (one, other):
        schema.migrate(database)
        with database.reading() as connection:
            identities.add(keys.identity(connection)[0])
    assert len(identities) == 2


def test_migrations_at_the_same_time_come_out_as_one(place: Place, opened: Opened) -> None:
    outcomes: list[object] = []
    barrier = threading.Barrier(4)

    def migrate(database: Database) -> None:
        barrier.wait()
        try:
            outcomes.append(schema.migrate(database))
        except DatabaseError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=migrate, args=(opened(place),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [HEAD] * 4
    with opened(place).reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM meta")).scalar_one() == 1


def test_whom_sqlite_refuses_to_wait_for_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two change a new file's journal mode at once; a FAKE refusal, for the real one comes once in a hundred times."""
    refusals = iter([sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY])
    connect = sqlite3.connect

    def refuse(*args: Any, **more: Any) -> Any:
        for code in refusals:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = code
            raise error
        return connect(*args, **more)

    monkeypatch.setattr("fairlead.database.schema.sqlite3.connect", refuse)
    database = Database(Place(data=tmp_path))
    assert schema.migrate(database) == HEAD
    database.close()


@pytest.mark.parametrize("step", [1, 2, 4])
def test_a_killed_migration_has_changed_nothing_and_can_be_run_again(place: Place, opened: Opened, step: int) -> None:
    arguments = [str(place.data), place.url or "", str(step)]
    done = subprocess.run(
        [sys.executable, "-c", CRASHES, *arguments], env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, timeout=60
    )
    assert done.returncode == 9
    database = opened(place)
    with database.reading() as connection:
        assert inspect(connection).get_table_names() == []
    assert schema.migrate(database) == HEAD


def test_a_newer_schema_is_left_alone(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for refused in (schema.prepare, schema.migrate):
        with pytest.raises(
            DatabaseError, match=r"was made by a newer Fairlead \(schema 9999\); install that one again"
        ):
            refused(database)
    assert schema.standing(database) == schema.Standing("newer", "9999", "0003")


def test_a_schema_that_is_behind_waits_for_the_operator(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptDirectory, "get_current_head", lambda _scripts: "9998")
    with pytest.raises(DatabaseError, match=r"has schema 0003, not 9998; run 'fairlead migrate'$"):
        schema.prepare(database)


def test_a_table_of_someone_else_is_not_touched(place: Place, opened: Opened) -> None:
    database = opened(place)
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE keys (door TEXT)"))
    for refused in (schema.prepare, schema.migrate):
        with pytest.raises(DatabaseError, match="has a table 'keys' that is not Fairlead's; give it a database of"):
            refused(database)


def test_only_an_embedded_database_is_made_without_asking(place: Place, opened: Opened) -> None:
    database = opened(place)
    if place.is_embedded:
        schema.prepare(database)
        assert schema.standing(database) == HEAD
    else:
        with pytest.raises(DatabaseError, match=r"has no tables yet; run 'fairlead migrate'$"):
            schema.prepare(database)


def test_a_migration_waits_for_the_lock_and_says_so_when_it_cannot_have_it(
    place: Place, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "PATIENCE", 1)
    monkeypatch.setattr("fairlead.database.engine.PATIENCE", 1)
    holder, waiting = opened(place), opened(place)
    with holder.alone() as connection:
        schema._lock(connection)
        with pytest.raises(DatabaseError, match="cannot be used"):
            schema.migrate(waiting)
    assert schema.migrate(waiting) == HEAD


def test_a_database_of_the_first_version_keeps_what_it_has(place: Place, opened: Opened) -> None:
    database = opened(place)
    with database.alone() as connection:
        config = schema._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    with database.writing() as connection:
        spend.add(connection, [spend.Spent("tenant", "acme/acme", 7, 42)])
        connection.execute(text("INSERT INTO journal_positions VALUES ('m1/a.journal', 99)"))
        key = keys.create(connection, keys.Key(id="k", name="ci", created_at=1.0), b"mac")
    assert schema.standing(database) == schema.Standing("behind", "0001", "0003")
    assert schema.migrate(database) == HEAD
    with database.reading() as connection:
        assert keys.get(connection, "k") == key
        assert spend.spent(connection, [("tenant", "acme/acme")], 0) == [spend.Spent("tenant", "acme/acme", 7, 42)]
        assert positions.positions(connection) == {"m1/a.journal": 99}
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_there_is_one_line_of_migrations() -> None:
    heads = ScriptDirectory.from_config(schema._config()).get_heads()
    assert heads == ["0003"]
