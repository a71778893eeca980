"""The ledger: every record counts once, for everyone whose budget could have paid, whatever dies in between."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.postgres import postgres

from fairlead.canonical.limits import DAY, DOLLAR, SECOND, Limit, Rule, rule
from fairlead.canonical.routing import RequestRecord
from fairlead.control.ledger import Ledger
from fairlead.control.request_log import RequestLog
from fairlead.control.tally import HOUR
from fairlead.database import positions, schema, spend
from fairlead.database.engine import Database
from fairlead.database.place import DatabaseError, Place
from fairlead.database.tables import requests
from fairlead.journal import Journal, encode, records_of
from fairlead.journal.reader import Reader, batches

NOON = 1_790_000_000 // 86_400 * 86_400 + 12 * HOUR


def ledger_of(database: Database, folder: Path, machine: str = "m1") -> Ledger:
    return Ledger(Reader(folder / "journal"), database.place, machine, lambda: 86_400.0)


@pytest.fixture
async def ledger(database: Database, tmp_path: Path) -> AsyncIterator[Ledger]:
    made = ledger_of(database, tmp_path)
    yield made
    await made.close()


def record(number: int, **more: Any) -> RequestRecord:
    facts = {"id": f"r{number}", "at": float(NOON), "tenant": "acme", "key": "k", "asked": "Chat", "charged": 7}
    return RequestRecord(**{**facts, **more})


def write(tmp_path: Path, *records: RequestRecord, name: str = "requests") -> None:
    journal = Journal(tmp_path / "journal", name, asyncio.get_running_loop())
    for each in records:
        journal.append(each)
    journal.close()


def budget(scope: Any, subject: str, slot: str = "acme") -> Rule:
    limit = Limit(unit="money", algorithm="calendar", limit=DOLLAR, per=DAY)
    return rule(limit, slot=slot, scope=scope, subject=subject)


async def spent(ledger: Ledger, of: Rule) -> int:
    spending = await ledger.spending(of, (NOON + HOUR) * SECOND)
    assert spending is not None
    return sum(amount for _, amount in spending.spent)


async def test_a_record_counts_for_everyone_who_could_have_paid(ledger: Ledger, tmp_path: Path) -> None:
    write(tmp_path, record(1, served="openai/m", user="Ann", tags=(("team", "a"), ("beta", ""))))
    payers = [
        budget("tenant", "acme"),
        budget("key", "k"),
        budget("user", "ann"),
        budget("tag", "team=a"),
        budget("tag", "beta="),
        budget("model", "chat", "*"),
        budget("deployment", "openai/m", "*"),
        budget("global", "", "*"),
    ]
    assert [await spent(ledger, payer) for payer in payers] == [7] * len(payers)
    assert await spent(ledger, budget("tenant", "other", "other")) == 0
    assert await spent(ledger, budget("user", "ann", "other")) == 0


async def test_what_was_read_counts_once_and_what_comes_later_is_added(
    ledger: Ledger, database: Database, tmp_path: Path
) -> None:
    write(tmp_path, record(1), record(2))
    assert await ledger.catch_up()
    assert await ledger.catch_up()
    write(tmp_path, record(3))
    another = ledger_of(database, tmp_path)
    assert await spent(another, budget("tenant", "acme")) == 21
    assert await spent(ledger, budget("tenant", "acme")) == 21
    await another.close()


async def test_two_machines_may_have_journals_of_one_name(database: Database, tmp_path: Path) -> None:
    for machine in ("m1", "m2"):
        write(tmp_path / machine, record(1))
        one = ledger_of(database, tmp_path / machine, machine)
        await one.catch_up()
        await one.close()
    with database.reading() as connection:
        (row,) = spend.spent(connection, [("tenant", "acme/acme")], 0)
    assert row.micros == 14


async def test_a_torn_tail_is_read_when_it_is_whole(ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "journal" / "requests-1-2.journal"
    file.parent.mkdir()
    frame = encode(record(1))
    file.write_bytes(frame + frame[:10])
    assert await spent(ledger, budget("tenant", "acme")) == 7
    file.write_bytes(frame + frame)
    assert await spent(ledger, budget("tenant", "acme")) == 14


async def test_spending_belongs_to_the_hour_in_which_it_ended(ledger: Ledger, tmp_path: Path) -> None:
    write(tmp_path, record(1, at=float(NOON - 10), duration=5.0), record(2, at=float(NOON - 10), duration=20.0))
    spending = await ledger.spending(budget("tenant", "acme"), NOON * SECOND)
    assert spending is not None
    assert spending.spent == ((NOON * SECOND, 7), ((NOON + HOUR) * SECOND, 7))


async def test_free_and_refused_requests_are_no_rows(ledger: Ledger, database: Database, tmp_path: Path) -> None:
    write(tmp_path, record(1, charged=0), record(2, charged=0, ended="refused"))
    await ledger.catch_up()
    with database.reading() as connection:
        assert spend.spent(connection, [("tenant", "acme/acme")], 0) == []


async def test_the_record_of_a_hold_is_found_in_the_newest_journals(ledger: Ledger, tmp_path: Path) -> None:
    write(tmp_path, record(1, hold="m1-a-1"), name="requests-1-2")
    write(tmp_path, record(2, hold="m1-b-1"), record(3), name="requests-2-3")
    found = await ledger.records({"m1-a-1", "m1-b-1", "m1-c-1", ""} - {""})
    assert {hold: one.id for hold, one in found.items()} == {"m1-a-1": "r1", "m1-b-1": "r2"}


async def test_a_database_that_is_down_loses_nothing_and_is_told_once(
    ledger: Ledger,
    database: Database,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def down(_database: Database) -> Any:
        raise DatabaseError("the database is down")

    write(tmp_path, record(1))
    with monkeypatch.context() as patch:
        patch.setattr(Database, "writing", down)
        assert [await ledger.catch_up() for _ in range(3)] == [False] * 3
        assert await ledger.spending(budget("tenant", "acme"), NOON * SECOND) is None
    assert await spent(ledger, budget("tenant", "acme")) == 7
    told = [one.message for one in caplog.records if one.message.startswith("projection")]
    assert told == ["projection_down"]


def test_a_journal_is_read_in_pieces_and_up_to_its_torn_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [encode(record(number)) for number in range(10, 31)]
    monkeypatch.setattr("fairlead.journal.reader.AT_ONCE", 3 * len(frames[0]) // 2)
    path = tmp_path / "requests.journal"
    path.write_bytes(b"".join(frames)[:-1])
    assert [one.id for one in records_of(path)] == [f"r{number}" for number in range(10, 30)]


async def test_two_ledgers_of_one_name_count_nothing_twice(database: Database, tmp_path: Path) -> None:
    """Machines with one data folder's copy have one name: neither may die of the other."""
    ledgers = [ledger_of(database, tmp_path) for _ in range(2)]
    for number in range(1, 4):
        write(tmp_path, record(number))
        assert [await one.catch_up() for one in ledgers] == [True, True]
    assert await spent(ledgers[1], budget("tenant", "acme")) == 21
    for one in ledgers:
        await one.close()


async def test_a_database_that_was_stopped_gets_every_record_once_when_it_is_back(tmp_path: Path) -> None:
    """Stopped in the middle, with a connection that is dead afterwards; two journals grow meanwhile."""
    with postgres() as server:
        database = Database(Place(data=tmp_path, url=server.new_database()))
        schema.migrate(database)
        ledger = ledger_of(database, tmp_path)
        write(tmp_path, record(1))
        assert await ledger.catch_up()
        server.stop()
        for number in range(2, 40):
            write(tmp_path, record(number), name=f"requests-{number % 2}-1")
            if number % 13 == 0:
                assert not await ledger.catch_up()
        assert ledger.projector.trouble.startswith("the database postgresql://postgres@")
        server.start()
        assert await ledger.catch_up()
        assert await spent(ledger, budget("tenant", "acme")) == 7 * 39
        with database.reading() as connection:
            assert sorted(connection.execute(select(requests.c.id)).scalars()) == sorted(f"r{n}" for n in range(1, 40))
        await ledger.close()
        database.close()


async def test_what_is_too_old_is_dropped_and_gone_files_are_forgotten(
    ledger: Ledger,
    database: Database,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path, record(1, at=NOON - 3 * 86_400.0), record(2), name="requests-1")
    write(tmp_path, record(3), name="requests-2")
    await ledger.catch_up()
    (gone,) = (tmp_path / "journal").glob("requests-1-*.journal")
    (kept,) = (tmp_path / "journal").glob("requests-2-*.journal")
    gone.unlink()
    await ledger.prune(float(NOON))
    with database.reading() as connection:
        assert sorted(connection.execute(select(requests.c.id)).scalars()) == ["r2", "r3"]
        assert set(positions.positions(connection)) == {f"m1/{kept.name}"}

    def down(_database: Database) -> Any:
        raise DatabaseError("the database is down")

    monkeypatch.setattr(Database, "writing", down)
    await ledger.prune(float(NOON))
    assert [one.message for one in caplog.records] == ["prune_failed"]


async def test_a_journal_that_begins_while_others_are_forgotten_counts_once(
    ledger: Ledger, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, record(1))
    assert await ledger.catch_up()
    begun = tmp_path / "journal" / "requests-2-2.journal"
    projection = RequestLog(database, "m1")
    forget = RequestLog.forget

    def late(log: RequestLog, gone: Any) -> None:
        begun.write_bytes(encode(record(2)))
        for batch in batches(begun):
            projection.take(batch)
        forget(log, gone)

    monkeypatch.setattr(RequestLog, "forget", late)
    await ledger.prune(float(NOON))
    with begun.open("ab") as stream:
        stream.write(encode(record(3)))
    another = ledger_of(database, tmp_path)
    assert await another.catch_up()
    await another.close()
    with database.reading() as connection:
        assert sorted(connection.execute(select(requests.c.id)).scalars()) == ["r1", "r2", "r3"]
