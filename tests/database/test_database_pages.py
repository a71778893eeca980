"""Pages of the request log are those of a list that is filtered and sorted; whatever is filtered by, they end."""

from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.record_strategies import RECORDS, START

from fairlead.canonical.routing import RequestRecord
from fairlead.database import pages, requests
from fairlead.database.engine import Database
from fairlead.database.pages import COLUMNS, Filter, Page
from fairlead.database.tables import USUAL, request_tags
from fairlead.database.tables import requests as table

OWN = {"model": "asked", "deployment": "served"}
FILTERS = st.builds(
    Filter,
    id=st.none() | st.sampled_from(["r1", "req_x", "%"]),
    tenant=st.none() | st.sampled_from(["", "acme", "acm%"]),
    key=st.none() | st.sampled_from(["k1", "k_"]),
    model=st.none() | st.sampled_from(["Chat", "gpt-4o"]),
    deployment=st.none() | st.sampled_from(["", "openai/m"]),
    ended=st.none() | st.sampled_from(["finished", "cut"]),
    status=st.none() | st.sampled_from([200, 429]),
    code=st.none() | st.sampled_from(["", "rate_limited"]),
    user=st.none() | st.sampled_from(["", "Ann"]),
    tag=st.none() | st.sampled_from(["team=a", "beta=", "team=_"]),
    since=st.none() | st.just(START + 1800.5),
    until=st.none() | st.just(START + 5000),
)


def clear(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(table.delete())
        connection.execute(request_tags.delete())


def matches(record: RequestRecord, wanted: Filter) -> bool:
    since, until = wanted.since or 0.0, wanted.until or 1e12
    if not since <= record.at < until:
        return False
    if wanted.tag is not None and wanted.tag not in {f"{name}={value}" for name, value in record.tags}:
        return False
    for name in ("id", *COLUMNS):
        value = getattr(wanted, name)
        if value is not None and value != getattr(record, OWN.get(name, name)):
            return False
    return True


def turned(database: Database, wanted: Filter, limit: int, clock: Iterator[float]) -> Iterator[Page]:
    """Page after page, to the end."""
    after = None
    while True:
        with database.reading() as connection:
            page = pages.page(connection, wanted, limit=limit, clock=lambda: next(clock), after=after)
        yield page
        after = page.after
        if after is None:
            return


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(RECORDS, max_size=25),
    FILTERS,
    st.integers(1, 9),
    st.sampled_from([1, 3, 10_000]),
    st.sampled_from([0, 2, 2000]),
    st.sampled_from([0.0, 1.0]),
)
def test_pages_are_those_of_a_filtered_list(
    database: Database, records: list[RequestRecord], wanted: Filter, limit: int, stretch: int, few: int, tick: float
) -> None:
    """However long a stretch is, whichever filter leads, and however early time is up."""
    clear(database)
    with database.writing() as connection:
        requests.add(connection, records[: len(records) // 2])
        requests.add(connection, records[len(records) // 2 :])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "STRETCH", stretch)
        patch.setattr(pages, "APART", stretch)
        patch.setattr(pages, "FEW", few)
        found = list(turned(database, wanted, limit, (n * tick for n in count())))
    lines = [line for page in found for line in page.lines]
    expected = [record for record in records if matches(record, wanted)]
    assert [line.at for line in lines] == sorted((record.at for record in expected), reverse=True)
    assert sorted(map(facts, lines)) == sorted(map(facts, expected))
    assert all(len(page.lines) <= limit for page in found)
    if tick == 0.0:
        assert all(len(page.lines) == limit for page in found[:-1])


def facts(one: pages.Line | RequestRecord) -> tuple[object, ...]:
    if isinstance(one, pages.Line):
        return (one.at, one.id, one.tenant, one.key, one.asked, one.served, one.end_user, one.tags, one.cost or "")
    return (one.at, one.id, one.tenant, one.key, one.asked, one.served, one.user, one.tags, one.cost or "")


def test_a_page_whose_time_is_up_goes_on_where_it_stopped(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Much of each filtered value and nothing of both: pages are empty, short in time, and come to an end."""
    monkeypatch.setattr(pages, "STRETCH", 10)
    monkeypatch.setattr(pages, "APART", 10)
    monkeypatch.setattr(pages, "FEW", 10)
    records = [
        RequestRecord(id=f"r{n}", at=START + n, tenant=("acme", "globex")[n % 2], key=("k1", "k2")[n % 2])
        for n in range(100)
    ]
    with database.writing() as connection:
        requests.add(connection, records)
    found = list(turned(database, Filter(tenant="acme", key="k2"), 5, (float(n) for n in count())))
    assert [page.lines for page in found] == [()] * 6


def test_every_column_of_a_filter_has_its_index() -> None:
    indexed = {index.name for index in table.indexes}
    assert {f"requests_by_{column}" for column in COLUMNS.values()} | {"requests_by_time", "requests_by_id"} == indexed
    assert set(COLUMNS.values()) == set(USUAL)


def test_every_record_of_a_time_is_read_in_order_across_the_batches(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "AT_ONCE", 3)
    records = [RequestRecord(id=f"r{n}", at=START + n // 4, tenant=("a", "b")[n % 2]) for n in range(20)]
    with database.writing() as connection:
        requests.add(connection, records)
    with database.reading() as connection:
        assert list(requests.each(connection, START + 1, START + 4)) == records[4:16]
        assert list(requests.each(connection, START, START + 2, "a")) == records[:8:2]
        assert list(requests.each(connection, START + 9, START + 99)) == []


def test_of_several_with_one_id_the_newest_is_told(database: Database) -> None:
    records = [RequestRecord(id="same", at=START + n, tenant=f"t{n}") for n in (2, 7, 5)]
    with database.writing() as connection:
        requests.add(connection, records)
    with database.reading() as connection:
        assert requests.named(connection, "same") == (records[1], 2)
        assert requests.named(connection, "other") is None
