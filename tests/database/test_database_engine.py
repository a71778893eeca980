"""How a database is reached: modes, pragmas, names without passwords, and errors with a way out."""

import builtins
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from fairlead.database import schema
from fairlead.database.engine import Database
from fairlead.database.place import DatabaseError, Place, check_url


@pytest.fixture
def embedded(tmp_path: Path) -> Database:
    database = Database(Place(data=tmp_path / "deep" / "data"))
    schema.prepare(database)
    return database


def test_the_embedded_database_is_its_owners_alone(embedded: Database) -> None:
    with embedded.writing() as connection:
        connection.execute(text("UPDATE meta SET version = 7"))
        files = list(embedded.place.data.iterdir())
        assert len(files) > 1, "the log lies beside it"
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    embedded.close()


def test_the_embedded_database_writes_ahead_and_minds_references(embedded: Database) -> None:
    with embedded.reading() as connection:
        pragmas = [connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in ("journal_mode", "foreign_keys")]
    assert pragmas == ["wal", 1]
    with pytest.raises(DatabaseError, match="FOREIGN KEY"), embedded.writing() as connection:
        connection.execute(text("INSERT INTO key_secrets VALUES (x'00', 'nobody', NULL)"))
    embedded.close()


def test_a_reader_is_not_held_up_by_a_writer(embedded: Database) -> None:
    with embedded.writing() as writer:
        writer.execute(text("UPDATE meta SET version = 7"))
        with embedded.reading() as reader:
            assert reader.execute(text("SELECT version FROM meta")).scalar_one() == 0
    with embedded.reading() as reader:
        assert reader.execute(text("SELECT version FROM meta")).scalar_one() == 7
    embedded.close()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseError, match=r"file/fairlead\.db cannot be opened: .*; choose another data$"):
        Database(Place(data=tmp_path / "file"))


def test_a_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "fairlead.db").write_text("no database at all, but long enough to be looked at" * 20)
    database = Database(Place(data=tmp_path))
    with pytest.raises(DatabaseError, match=r"fairlead\.db cannot be used: file is not a database"):
        schema.prepare(database)


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "psycopg"]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "psycopg":
            raise ModuleNotFoundError(name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DatabaseError, match=r"pip install '\.\[postgres\]'"):
        Database(Place(data=tmp_path, url="postgresql://host/name"))


@pytest.mark.parametrize(
    "url", ["mysql://host/x", "postgres", "sqlite:///x", "", "postgresql+asyncpg://host/x", "file:x"]
)
def test_a_url_of_something_else_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be postgresql://user@host/name, or null"):
        check_url(url)
    with pytest.raises(DatabaseError, match="must be postgresql://user@host/name, or null"):
        Database(Place(data=tmp_path, url=url))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://user:canary@host:5432/fairlead?sslmode=require", "postgresql://user@host:5432/fairlead"),
        ("postgres://user@host/fairlead?password=can@ary", "postgres://user@host/fairlead"),
        ("postgres://user:can@ary@host/fairlead", "postgres://..."),
        ("postgres://user:can/ary@host/fairlead", "postgres://..."),
        ("postgres://user:can?ary@host/fairlead", "postgres://..."),
        ("postgresql:///fairlead?host=/run/postgres&password=canary", "postgresql:///fairlead"),
        ("postgresql://user:canary@[::1]:5432/fairlead", "postgresql://user@[::1]:5432/fairlead"),
    ],
)
def test_a_name_has_no_password(url: str, name: str, tmp_path: Path) -> None:
    place = Place(data=tmp_path, url=url)
    assert (place.name, repr(place)) == (name, f"Place({name})")


def test_a_server_that_is_not_there_is_an_error_without_the_password(tmp_path: Path) -> None:
    database = Database(Place(data=tmp_path, url="postgresql://user:canary@127.0.0.1:1/name"))
    with pytest.raises(DatabaseError) as caught, database.reading():
        pass
    assert "the database postgresql://user@127.0.0.1:1/name cannot be used: " in str(caught.value)
    assert "canary" not in str(caught.value)
    database.close()
