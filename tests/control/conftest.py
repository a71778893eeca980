"""A keyring over either database, with a clock that stands."""

from collections.abc import Callable

import pytest
from tests.databases import database, opened, place, postgres_server

from fairlead.control.accounts import Author
from fairlead.control.keyring import Keyring
from fairlead.control.wishes import Terms
from fairlead.database.engine import Database

__all__ = ["database", "opened", "place", "postgres_server"]

PEPPER = b"a pepper of the tests, 32 bytes!"
NOW = 1_790_000_000.0
TERMS = Terms(
    tiers=frozenset({"free", "paid"}), tenants=frozenset({"acme", "globex"}), routes=frozenset({"chat", "gpt-*"})
)


@pytest.fixture
def now() -> list[float]:
    """The one element is the time."""
    return [NOW]


@pytest.fixture
def keyring(database: Database, now: list[float]) -> Keyring:
    return Keyring(database, lambda: PEPPER, terms=lambda: TERMS, clock=lambda: now[0], author=Author("admin", "m1"))


@pytest.fixture
def keyring_on(now: list[float]) -> Callable[[Database], Keyring]:
    return lambda database: Keyring(
        database, lambda: PEPPER, terms=lambda: TERMS, clock=lambda: now[0], author=Author("admin", "m1")
    )
