"""What the control process does for tenants: how it begins."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from fairlead.canonical.routing import Sharing
from fairlead.control.health import Health
from fairlead.control.tenancy import Tenancy
from fairlead.control.tenancy_post import TenancyPost
from fairlead.database import schema
from fairlead.database.engine import Database
from fairlead.database.place import Place
from fairlead.journal.reader import Reader
from fairlead.state.board import Board


def tenancy_of(folder: Path, state: str = "local", database: str | None = None) -> Tenancy:
    post = TenancyPost(
        place=Place(data=folder, url=database),
        index=folder / "keys",
        limits=folder / "limits",
        journals=folder / "journal",
        machine="m",
    )
    auditing: Any = SimpleNamespace(custodian=None, may_change=lambda: None)
    config: Any = SimpleNamespace(serving=SimpleNamespace(sharing=Sharing(state=state)))
    board = Board(1)
    return Tenancy(post, board, config, Health(board), auditing, reader=Reader(folder / "journal"))


def told(caplog: pytest.LogCaptureFixture, message: str) -> list[str]:
    return [record.__dict__["reason"] for record in caplog.records if record.message == message]


@pytest.mark.parametrize("url", ["rediss://:hunter2@127.0.0.1:1?ca=/nowhere", "redis://:hunter2@127.0.0.1:1?odd=1"])
async def test_a_state_that_cannot_be_opened_ends_the_start_with_a_word_and_no_secret(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SystemExit) as stop:
        await tenancy_of(tmp_path, url).start()
    assert stop.value.code == os.EX_CONFIG
    (record,) = [record for record in caplog.records if record.message == "limits_unproven"]
    assert "the shared state" in record.__dict__["reason"]
    assert "hunter2" not in str(record.__dict__)


@pytest.mark.parametrize(
    ("version", "way_out"),
    [("0001", "has schema 0001, not 0003; run 'fairlead migrate'"), ("9999", "was made by a newer Fairlead")],
)
async def test_a_database_with_the_tables_of_another_version_ends_the_start(
    tmp_path: Path, version: str, way_out: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(Place(data=tmp_path))
    schema.prepare(database)
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
    database.close()
    with pytest.raises(SystemExit) as stop:
        await tenancy_of(tmp_path).start()
    assert stop.value.code == os.EX_CONFIG
    (reason,) = told(caplog, "database_unfit")
    assert way_out in reason


async def test_a_database_that_is_away_ends_no_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It comes to the state, which this test has broken."""
    with pytest.raises(SystemExit):
        await tenancy_of(tmp_path, "redis://127.0.0.1:1?odd=1", "postgresql://nobody@127.0.0.1:1/none").start()
    assert told(caplog, "database_unfit") == []
    assert len(told(caplog, "limits_unproven")) == 1
