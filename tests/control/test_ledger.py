"""The way of records from journals to the ledger, and back to whoever asks how a request ended."""

from pathlib import Path

import pytest

from fairlead.canonical.limits import MONTH, SECOND, Limit, rule
from fairlead.canonical.routing import RequestRecord
from fairlead.control.ledger import Ledger, records_of
from fairlead.database.engine import Database
from fairlead.journal.frames import encode

AT = 1_800_000_000.0
BUDGET = rule(Limit(unit="money", algorithm="calendar", limit=1000, per=MONTH), slot="acme", scope="key", subject="k")


def record(number: int) -> RequestRecord:
    return RequestRecord(
        id=f"req_{number}", at=AT, tenant="acme", key="k", dialect="d", asked="m", hold=f"m-{number}", charged=number
    )


def journal(folder: Path, *numbers: int) -> Path:
    path = folder / "requests.journal"
    with path.open("ab") as stream:
        stream.write(b"".join(encode(record(number)) for number in numbers))
    return path


def test_a_journal_is_read_in_pieces_and_up_to_its_torn_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlead.control.ledger.AT_ONCE", 3 * len(encode(record(10))) // 2)
    path = journal(tmp_path, *range(10, 30))
    with path.open("ab") as stream:
        stream.write(encode(record(30))[:-1])
    assert [one.id for one in records_of(path)] == [f"req_{number}" for number in range(10, 30)]


async def test_a_journal_that_another_has_read_on_is_looked_up_again(tmp_path: Path, database: Database) -> None:
    """Two machines with one data folder's copy have one name: neither may die of the other, nor count twice."""
    one, other = Ledger(tmp_path, database, "m"), Ledger(tmp_path, database, "m")
    journal(tmp_path, 1)
    assert await one.catch_up()
    assert await other.catch_up()
    journal(tmp_path, 2)
    assert await one.catch_up()
    assert not await other.catch_up()
    spending = await other.spending(BUDGET, int(AT) * SECOND)
    assert spending is not None
    assert sum(micros for _, micros in spending.spent) == 3
    await one.close()
    await other.close()


async def test_what_was_spent_is_told_once_and_records_are_found_by_their_holds(
    tmp_path: Path, database: Database
) -> None:
    ledger = Ledger(tmp_path, database, "m")
    journal(tmp_path, 1, 2)
    for more in ((), (3,)):
        journal(tmp_path, *more)
        spending = await ledger.spending(BUDGET, int(AT) * SECOND)
        assert spending is not None
        assert sum(micros for _, micros in spending.spent) == 3 + sum(more)
    assert (await ledger.records({"m-2", "m-9"})).keys() == {"m-2"}
    await ledger.close()
