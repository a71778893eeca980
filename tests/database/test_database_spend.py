"""What was spent adds up, and a journal counts once however often it is read."""

import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.database import positions, spend
from fairlead.database.engine import Database
from fairlead.database.positions import Advance, AlreadyReadError, advance
from fairlead.database.spend import Spent
from fairlead.database.tables import journal_positions
from fairlead.database.tables import spend as table

ROWS = st.lists(
    st.builds(
        Spent,
        scope=st.sampled_from(["tenant", "key", "tag"]),
        subject=st.sampled_from(["a", "b", "'; --"]),
        hour=st.integers(0, 4),
        micros=st.integers(0, 10**15),
    ),
    max_size=20,
)
EVERYONE = [(scope, subject) for scope in ("tenant", "key", "tag") for subject in ("a", "b", "'; --")]


def clear(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(table.delete())
        connection.execute(journal_positions.delete())


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(ROWS, max_size=4), st.integers(0, 4))
def test_sums_are_those_of_a_dictionary(database: Database, batches: list[list[Spent]], since: int) -> None:
    clear(database)
    expected: dict[tuple[str, str, int], int] = {}
    for rows in batches:
        with database.writing() as connection:
            spend.add(connection, rows)
        for row in rows:
            place = (row.scope, row.subject, row.hour)
            expected[place] = expected.get(place, 0) + row.micros
    with database.reading() as connection:
        found = spend.spent(connection, EVERYONE, since)
    assert {(row.scope, row.subject, row.hour): row.micros for row in found} == {
        place: micros for place, micros in expected.items() if place[2] >= since
    }
    assert [row.hour for row in found] == sorted(row.hour for row in found)


def test_only_the_subjects_asked_for_are_told(database: Database) -> None:
    with database.writing() as connection:
        spend.add(connection, [Spent("key", f"k{n}", 7, n) for n in range(500)])
    with database.reading() as connection:
        asked = [("key", f"k{n}") for n in range(450)] + [("tenant", "k1")]
        assert {row.micros for row in spend.spent(connection, asked, 0)} == set(range(450))
        assert spend.spent(connection, [], 0) == []


def count(database: Database, rows: list[Spent], *advances: Advance) -> None:
    with database.writing() as connection:
        advance(connection, advances)
        spend.add(connection, rows)


def test_a_stretch_of_a_journal_counts_once(database: Database) -> None:
    row = Spent("tenant", "acme", 1, 100)
    count(database, [row], Advance("one", 0, 40), Advance("two", 0, 7))
    with pytest.raises(AlreadyReadError, match="the journal one is at 40, not at 0"):
        count(database, [row], Advance("one", 0, 40))
    # One that is behind spoils the whole step, the new stretch of the other included.
    with pytest.raises(AlreadyReadError) as late:
        count(database, [row], Advance("one", 40, 80), Advance("two", 3, 9))
    assert late.value.position == 7
    count(database, [row], Advance("one", 40, 80))
    with database.reading() as connection:
        assert positions.positions(connection) == {"one": 80, "two": 7}
        assert spend.spent(connection, [("tenant", "acme")], 0) == [Spent("tenant", "acme", 1, 200)]


def test_of_two_readers_of_one_journal_one_counts(database: Database) -> None:
    outcomes: list[str] = []

    def read() -> None:
        try:
            count(database, [Spent("tenant", "acme", 1, 5)], Advance("journal", 0, 10))
            outcomes.append("counted")
        except AlreadyReadError:
            outcomes.append("late")

    readers = [threading.Thread(target=read) for _ in range(6)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert sorted(outcomes) == ["counted", *["late"] * 5]
    with database.reading() as connection:
        assert spend.spent(connection, [("tenant", "acme")], 0) == [Spent("tenant", "acme", 1, 5)]


def test_positions_of_files_that_are_gone_are_forgotten(database: Database) -> None:
    count(database, [], Advance("one", 0, 40), Advance("two", 0, 7))
    with database.writing() as connection:
        positions.forget(connection, ["one", "three"])
        positions.forget(connection, [])
    with database.reading() as connection:
        assert positions.positions(connection) == {"two": 7}


def test_old_spending_of_users_and_tags_is_dropped_a_little_at_a_time(database: Database) -> None:
    rows = [Spent(scope, f"s{n}", hour, 1) for scope in ("user", "tag", "tenant") for n in range(3) for hour in (1, 9)]
    count(database, rows)
    more = []
    for _ in range(3):
        with database.writing() as connection:
            more.append(spend.prune(connection, 9, 4))
    assert more == [True, False, False]
    with database.reading() as connection:
        everyone = [(scope, f"s{n}") for scope in ("user", "tag", "tenant") for n in range(3)]
        left = spend.spent(connection, everyone, 0)
    assert sorted(left) == sorted(row for row in rows if row.hour == 9 or row.scope == "tenant")


def test_writers_who_touch_the_same_rows_in_different_orders_do_not_block_each_other(database: Database) -> None:
    rows = [Spent("key", f"k{n}", 1, 1) for n in range(50)]
    failures: list[Exception] = []

    def write(order: list[Spent]) -> None:
        try:
            for _ in range(10):
                with database.writing() as connection:
                    spend.add(connection, order)
        except Exception as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(order,)) for order in (rows, rows[::-1], rows[25:] + rows[:25])]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failures == []
    with database.reading() as connection:
        assert {row.micros for row in spend.spent(connection, [("key", f"k{n}") for n in range(50)], 0)} == {30}
