"""Every test of the tables runs on both databases."""

from tests.databases import database, opened, place, postgres_server

__all__ = ["database", "opened", "place", "postgres_server"]
