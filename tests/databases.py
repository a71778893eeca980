"""Fixtures for both databases; a conftest imports them. Each test gets one that nobody has used."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.postgres import Postgres, postgres_server

from fairlead.database import schema
from fairlead.database.engine import Database
from fairlead.database.place import Place

__all__ = ["database", "opened", "place", "postgres_server"]


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A new, empty database."""
    if request.param == "sqlite":
        return Place(data=tmp_path / "data")
    server: Postgres = request.getfixturevalue("postgres_server")
    return Place(data=tmp_path, url=server.new_database())


@pytest.fixture
def opened() -> Iterator[Callable[[Place], Database]]:
    """Opens databases, and closes them at the end."""
    databases: list[Database] = []

    def open_it(place: Place) -> Database:
        databases.append(Database(place))
        return databases[-1]

    yield open_it
    for database in databases:
        database.close()


@pytest.fixture
def database(place: Place, opened: Callable[[Place], Database]) -> Database:
    """One with our tables."""
    found = opened(place)
    schema.migrate(found)
    return found
