"""What a running family tells of the past: whatever dies or is locked, every record is in the database once."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool
from tests.forms import FULL
from tests.postgres import Postgres, postgres
from tests.processes.family import Family
from tests.processes.tenants import Clients, admin, config, fairlead, fake_provider, kill_workers, records, tenants
from tests.processes.test_secrets import control_of

KILLS = 500 if FULL else 3


def listed(family: Family) -> list[dict[str, Any]]:
    """The whole request log, page by page."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = admin(family, f"requests?limit=1000{cursor}")
        found += page["requests"]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


def answers(family: Family) -> bool:
    try:
        return bool(family.health()["workers"])
    except OSError:
        return False


def is_whole(family: Family, data: Path) -> bool:
    return len(listed(family)) == len(records(data))


def test_what_was_asked_is_listed_explained_and_summed(tmp_path: Path) -> None:
    with fake_provider() as port, tenants(tmp_path, config(port)) as family:
        for _ in range(3):
            assert family.chat(max_tokens=20)[0] == 200
        assert family.chat(model="nothing")[0] == 404
        family.until(lambda: len(listed(family)) == 4, "the requests are not in the log")
        newest, first = listed(family)[0], listed(family)[-1]
        assert (newest["status"], newest["ended"], first["served"]) == (404, "refused", "fake/m")
        told = admin(family, f"requests/{first['id']}")
        assert [(one["deployment"], one["used"]) for one in told["considered"]] == [("fake/m", True)]
        assert abs(sum(told["latency"].values()) - told["record"]["duration"]) < 0.01 * told["record"]["duration"]
        used = admin(family, "usage?by=tenant&since=1h")["total"]
        written = records(tmp_path)
        assert Decimal(used["cost"]) == sum((Decimal(one.cost or 0) for one in written), Decimal(0))
        assert (used["requests"], used["refused"]) == (4, 1)


def test_whoever_is_killed_every_record_is_in_the_log_once(tmp_path: Path) -> None:
    with fake_provider() as port, tenants(tmp_path, config(port, workers=2)) as family:
        clients = Clients(family, 4)
        for _ in range(KILLS):
            os.kill(control_of(family), signal.SIGKILL)
            family.until(partial(answers, family), "control did not come back", 30.0)
            kill_workers(family, 1, clients)
        clients.stop()
        family.until(partial(is_whole, family, tmp_path), "records are missing or doubled", 60.0)
        found = [line["id"] for line in listed(family)]
        assert sorted(found) == sorted(one.id for one in records(tmp_path))
        assert set(clients.ids) <= set(found)
        total = admin(family, "usage?since=1d")["total"]
        assert total["requests"] == len(found)
        assert Decimal(total["charged"]) * 10**6 == sum(one.charged for one in records(tmp_path))


def test_a_database_that_is_locked_stops_no_request_and_loses_none(tmp_path: Path) -> None:
    with fake_provider() as port, tenants(tmp_path, config(port)) as family:
        assert family.chat(max_tokens=5)[0] == 200
        holder = sqlite3.connect(tmp_path / "fairlead.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        try:
            assert {family.chat(max_tokens=5)[0] for _ in range(10)} == {200}
            family.event("projection_down")
            assert {family.chat(max_tokens=5)[0] for _ in range(10)} == {200}
        finally:
            holder.execute("ROLLBACK")
            holder.close()
        family.event("projection_up")
        family.until(partial(is_whole, family, tmp_path), "records are missing or doubled")
        assert len(listed(family)) == 21


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


READ_ONLY = ("ALTER DATABASE {name} SET default_transaction_read_only = on", "ALTER DATABASE {name} RESET ALL")
"""What a server is after it lost its place to another one."""
CLOSED = ("ALTER DATABASE {name} ALLOW_CONNECTIONS false", "ALTER DATABASE {name} ALLOW_CONNECTIONS true")
"""What all see who find no connection free."""
CUT_OFF = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"


@pytest.mark.parametrize(("ill", "well"), [READ_ONLY, CLOSED], ids=["read only", "no connection"])
def test_s6_a_postgresql_that_takes_nothing_stops_no_request_and_loses_none(
    tmp_path: Path, server: Postgres, ill: str, well: str
) -> None:
    url = server.new_database()
    name = make_url(url).database
    surgeon = create_engine(
        make_url(url).set(drivername="postgresql+psycopg", database="postgres"),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )

    def operate(*steps: str) -> None:
        with surgeon.connect() as connection:
            for step in steps:
                connection.execute(text(step.format(name=name)))

    with fake_provider() as port:
        whole = f'{config(port)}\ndatabase: "{url}"\npepper: a-pepper-of-enough-characters-91f3c2\n'
        (tmp_path / "fairlead.yaml").write_text(whole)
        fairlead(tmp_path, "migrate")
        with tenants(tmp_path, whole) as family:
            assert {family.chat(max_tokens=5)[0] for _ in range(5)} == {200}
            family.until(lambda: len(listed(family)) == 5, "the requests are not in the log")
            operate(ill, CUT_OFF)
            assert {family.chat(max_tokens=5)[0] for _ in range(10)} == {200}
            family.event("projection_down")
            assert {family.chat(max_tokens=5)[0] for _ in range(10)} == {200}
            operate(well, CUT_OFF)
            family.event("projection_up")
            family.until(partial(is_whole, family, tmp_path), "records are missing or doubled")
            assert len({line["id"] for line in listed(family)}) == len(listed(family)) == 25


def test_s6_a_postgresql_that_is_slow_delays_no_request(tmp_path: Path, server: Postgres) -> None:
    """Somebody holds a lock on everything that control writes."""
    url = server.new_database()
    holder = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with fake_provider() as port:
        whole = f'{config(port)}\ndatabase: "{url}"\npepper: a-pepper-of-enough-characters-91f3c2\n'
        (tmp_path / "fairlead.yaml").write_text(whole)
        fairlead(tmp_path, "migrate")
        with tenants(tmp_path, whole) as family:
            assert family.chat(max_tokens=5)[0] == 200
            family.until(lambda: len(listed(family)) == 1, "the request is not in the log")
            with holder.begin() as connection:
                connection.execute(text("LOCK TABLE journal_positions, requests IN EXCLUSIVE MODE"))
                assert {family.chat(max_tokens=5)[0] for _ in range(20)} == {200}
                assert len(listed(family)) == 1
            family.until(partial(is_whole, family, tmp_path), "records are missing or doubled")
            assert len(listed(family)) == 21
