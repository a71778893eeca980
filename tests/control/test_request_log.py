"""The projection into the database: exactly once, exact sums, and no record that stops those behind it."""

import sqlite3
import threading
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from tests.record_strategies import RECORDS, START, dollars

from fairlead.canonical.routing import AttemptRecord, RequestRecord
from fairlead.canonical.usage import Usage
from fairlead.control import request_log
from fairlead.control.ledger import PATIENCE
from fairlead.control.projector import ProjectionError
from fairlead.control.request_log import RequestLog
from fairlead.control.tally import HOUR
from fairlead.control.tally import dollars as dollars_of
from fairlead.database import requests, spend
from fairlead.database.engine import Database
from fairlead.database.tables import (
    COUNTS,
    journal_positions,
    metadata,
    request_tags,
    usage_labels,
    usage_sums,
    waste,
)
from fairlead.database.tables import requests as table
from fairlead.journal.frames import encode
from fairlead.journal.reader import Batch, Reader

SUMS = ("usage_sums", "usage_labels", "waste", "spend")
DAY = 86_400.0


class CrashError(Exception):
    """The process dies here."""


def batch(*records: RequestRecord, start: int = 0, file: str = "a.journal") -> Batch:
    return Batch(file, start, start + len(records), records)


def clear(database: Database) -> None:
    with database.writing() as connection:
        for name in (*SUMS, "requests", "request_tags", "journal_positions"):
            connection.execute(metadata.tables[name].delete())


def contents(database: Database) -> dict[str, Any]:
    """Every table that is made of records, without the numbers that rows happen to have."""
    found: dict[str, Any] = {}
    with database.reading() as connection:
        for name in (*SUMS, "journal_positions"):
            found[name] = sorted(tuple(row) for row in connection.execute(select(metadata.tables[name])))
        columns = [column for column in table.columns if column.name != "number"]
        found["requests"] = sorted(map(repr, connection.execute(select(*columns))))
        found["request_tags"] = Counter(connection.execute(select(request_tags.c.tag, request_tags.c.at)).all())
    return found


def take(log: RequestLog, records: list[RequestRecord], cuts: list[int], crashes: set[int]) -> None:
    """Brings in `records`, cut into batches; the process dies at the end of some of them, before the commit."""
    places = sorted({0, len(records), *(cut % (len(records) + 1) for cut in cuts)})
    for step, (start, end) in enumerate(pairwise(places)):
        part = Batch("a.journal", start, end, tuple(records[start:end]))
        if step in crashes:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(spend, "add", crash)
                with pytest.raises(CrashError):
                    log.take(part)
        log.take(part)


def crash(*_: object) -> None:
    raise CrashError


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(RECORDS, max_size=12), st.lists(st.integers(0, 12), max_size=4), st.sets(st.integers(0, 5)))
def test_any_split_with_crashes_in_between_gives_the_same_tables(
    database: Database, records: list[RequestRecord], cuts: list[int], crashes: set[int]
) -> None:
    log = RequestLog(database, "m1")
    clear(database)
    take(log, records, [], set())
    expected = contents(database)
    clear(database)
    take(log, records, cuts, crashes)
    assert contents(database) == expected
    check_sums(database, records)


def check_sums(database: Database, records: list[RequestRecord]) -> None:
    """What the hourly sums say is what exact sums of the records say."""
    with database.reading() as connection:
        daily = [dict(row) for row in connection.execute(select(usage_sums).where(usage_sums.c.grain == 24)).mappings()]
        rows = [dict(row) for row in connection.execute(select(usage_sums).where(usage_sums.c.grain == 1)).mappings()]
        labels = [dict(row) for row in connection.execute(select(usage_labels)).mappings() if row["grain"] == 24]
        wasted = [dict(row) for row in connection.execute(select(waste)).mappings() if row["grain"] == 1]
    total = {count: sum(row[count] for row in rows) for count in COUNTS}
    assert total == {count: sum(row[count] for row in daily) for count in COUNTS}
    assert {row["hour"] % 24 for row in daily} <= {0}
    used = [record.usage or Usage() for record in records]
    assert dollars_of(total["micros"], total["picos"]) == sum((dollars(one.cost) for one in records), Decimal(0))
    assert total["requests"] == len(records)
    assert (total["input"], total["output"]) == (sum(u.input for u in used), sum(u.output for u in used))
    assert total["charged"] == sum(record.charged for record in records)
    assert total["refused"] == sum(record.ended == "refused" for record in records)
    assert total["errors"] == sum(record.ended in {"cut", "failed", "lost"} for record in records)
    assert total["unpriced"] == sum(r.usage is not None and r.cost is None for r in records)
    by_tenant = Counter(record.tenant for record in records)
    assert {name: sum(r["requests"] for r in rows if r["tenant"] == name) for name in by_tenant} == dict(by_tenant)
    for label, kind in (("team=a", "tag"), ("Ann", "user")):
        count = sum(row["requests"] for row in labels if (row["kind"], row["label"]) == (kind, label))
        assert count == sum(r.user == label if kind == "user" else ("team", "a") in r.tags for r in records)
    lost = [(a.outcome, a.cost) for r in records for a in r.attempts if a.usage is not None]
    lost += [(r.ended, r.cost) for r in records if r.ended in {"cut", "client_gone"} and r.usage is not None]
    for cause in {cause for cause, _ in lost}:
        of_cause = [row for row in wasted if row["cause"] == cause]
        money = sum((dollars_of(row["micros"], row["picos"]) for row in of_cause), Decimal(0))
        assert money == sum((dollars(cost) for each, cost in lost if each == cause), Decimal(0))
        assert sum(row["attempts"] for row in of_cause) == sum(each == cause for each, _ in lost)
    assert {row["cause"] for row in wasted} == {cause for cause, _ in lost}


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
HUGE = st.integers(-(2**63), 2**64 - 1)
POISON = st.builds(
    RequestRecord,
    id=ANY_TEXT,
    at=st.floats(),
    tenant=ANY_TEXT,
    key=ANY_TEXT,
    asked=ANY_TEXT,
    route=ANY_TEXT,
    served=ANY_TEXT,
    code=ANY_TEXT,
    user=ANY_TEXT,
    status=HUGE,
    usage=st.none() | st.builds(Usage, input=HUGE, output=HUGE, reasoning=HUGE),
    cost=st.none() | ANY_TEXT | st.sampled_from(["NaN", "-1", "1e999999999", "1e30", "Infinity", "sNaN", "9" * 400]),
    charged=HUGE,
    overhead_us=HUGE,
    duration=st.floats(),
    first_token=st.none() | st.floats(),
    tags=st.lists(st.tuples(ANY_TEXT, ANY_TEXT), max_size=2).map(tuple),
    attempts=st.lists(
        st.builds(
            AttemptRecord,
            deployment=ANY_TEXT,
            started_at=st.floats(),
            duration=st.floats(),
            outcome=ANY_TEXT,
            usage=st.builds(Usage, input=HUGE),
            cost=st.none() | ANY_TEXT,
        ),
        max_size=2,
    ).map(tuple),
)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    deadline=None,
)
@given(st.lists(POISON, min_size=1, max_size=3))
def test_whatever_a_record_says_it_is_stored_and_those_behind_it_too(
    database: Database, poison: list[RequestRecord]
) -> None:
    clear(database)
    good = RequestRecord(id="good", at=START, tenant="acme", charged=7)
    log = RequestLog(database, "m1")
    log.take(batch(*poison, good))
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(table)).scalar_one() == len(poison) + 1
        found = requests.named(connection, "good")
        assert found is not None
        assert found[0] == good
        again = requests.named(connection, poison[0].id)
    assert again is not None
    assert again[0].asked in {record.asked for record in (*poison, good)}


def test_nul_bytes_and_endless_names_are_bounded_in_columns_and_whole_in_the_record(database: Database) -> None:
    record = RequestRecord(id="a\0b", at=float("nan"), asked="x" * 5000, tags=(("t" * 400, "\0"),), charged=2**64 - 1)
    log = RequestLog(database, "m1")
    log.take(batch(record))
    with database.reading() as connection:
        row = connection.execute(select(table)).mappings().one()
        found = requests.named(connection, "a\0b")
    assert (row["id"], row["at"], len(row["asked"]), row["charged"]) == ("a\ufffdb", 0.0, 128, 10**12)
    assert found is not None
    assert (found[0].asked, found[0].id) == (record.asked, "a\0b")


def test_a_batch_that_someone_else_has_taken_is_left_out(database: Database) -> None:
    log = RequestLog(database, "m1")
    first, second = RequestRecord(id="1", at=START), RequestRecord(id="2", at=START)
    log.take(batch(first, second))
    before = contents(database)
    log.take(batch(first))
    log.take(batch(first, second))
    with pytest.raises(ProjectionError, match=r"the journal m1/a.journal is at 2, not at 0"):
        log.take(batch(first, second, first))
    assert contents(database) == before
    assert log.positions() == {"a.journal": 2}
    assert RequestLog(database, "m2").positions() == {}


def test_a_locked_database_is_waited_for_a_moment_and_tried_again(database: Database) -> None:
    """Another writer holds SQLite: the batch waits in the journal, and no longer than a second in here."""
    if not database.place.is_embedded:
        pytest.skip("PostgreSQL locks rows")
    own = Database(database.place, PATIENCE)
    log = RequestLog(own, "m1")
    holder = sqlite3.connect(database.place.file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert PATIENCE.busy == 1.0
    with pytest.raises(ProjectionError, match="database is locked"):
        log.take(batch(RequestRecord(id="1", at=START)))
    assert log.positions() == {}
    holder.execute("ROLLBACK")
    holder.close()
    log.take(batch(RequestRecord(id="1", at=START)))
    assert log.positions() == {"a.journal": 1}
    own.close()


def test_machines_that_ingest_at_once_lose_and_double_nothing(database: Database) -> None:
    """They touch the same sums, in whatever order; one that is turned away tries again."""
    records = [
        RequestRecord(id=f"{n}", at=START + n % 7, tenant=f"t{n % 5}", user=f"u{n % 9}", charged=1) for n in range(60)
    ]
    trouble: list[BaseException] = []

    def machine(name: str, own: list[RequestRecord]) -> None:
        log = RequestLog(database, name)
        for number, record in enumerate(own):
            for _ in range(20):
                try:
                    log.take(batch(record, start=number))
                    break
                except ProjectionError:
                    continue
            else:
                trouble.append(AssertionError(f"{name} never got through"))

    threads = [threading.Thread(target=machine, args=(f"m{n}", records[:: (-1) ** n])) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trouble == []
    with database.reading() as connection:
        assert connection.execute(select(func.sum(usage_sums.c.requests))).scalar_one() == 360
        assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 180
        assert connection.execute(select(func.sum(journal_positions.c.position))).scalar_one() == 180


def test_what_is_old_is_dropped_in_steps_and_the_rest_stays(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "MOST", 2)
    log = RequestLog(database, "m1")
    days = [
        RequestRecord(id=f"d{day}", at=START + day * DAY, user="u", tags=(("a", "b"),), charged=1) for day in range(6)
    ]
    log.take(batch(*days, *days))
    steps = 1
    while log.prune(START + 6 * DAY, 3 * DAY - 1):
        steps += 1
    with database.reading() as connection:
        left = set(connection.execute(select(table.c.id)).scalars())
        tags = connection.execute(select(func.count()).select_from(request_tags)).scalar_one()
        assert connection.execute(select(func.sum(usage_sums.c.requests))).scalar_one() == 24
        users = connection.execute(select(func.min(usage_labels.c.hour)).where(usage_labels.c.kind == "user"))
        assert users.scalar_one() >= (START + 3 * DAY) // HOUR - 24
    if database.place.is_embedded:
        assert (left, tags, steps) == ({"d4", "d5"}, 4, 5)
    else:  # a day goes once all of it is too old
        assert {"d4", "d5"} <= left <= {"d3", "d4", "d5"}
        assert tags == 2 * len(left)


def test_positions_of_journals_that_are_gone_are_forgotten(database: Database, tmp_path: Path) -> None:
    """Of this machine alone: another one's journals are not here to be seen."""
    log, other = RequestLog(database, "m1"), RequestLog(database, "m2")
    for one in (log, other):
        for file in ("a.journal", "b.journal"):
            one.take(batch(RequestRecord(id="1", at=START), file=file))
    (tmp_path / "b.journal").write_bytes(encode(RequestRecord(id="1", at=START)))
    log.forget(Reader(tmp_path).gone)
    assert log.positions() == {"b.journal": 1}
    assert other.positions() == {"a.journal": 1, "b.journal": 1}
