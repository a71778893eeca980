"""What the control process does for tenants: how it begins."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fairlead.canonical.routing import Sharing
from fairlead.control.health import Health
from fairlead.control.tenancy import Tenancy
from fairlead.control.tenancy_post import TenancyPost
from fairlead.database.place import Place
from fairlead.state.board import Board


@pytest.mark.parametrize("url", ["rediss://:hunter2@127.0.0.1:1?ca=/nowhere", "redis://:hunter2@127.0.0.1:1?odd=1"])
async def test_a_state_that_cannot_be_opened_ends_the_start_with_a_word_and_no_secret(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    post = TenancyPost(
        place=Place(data=tmp_path, url=None),
        index=tmp_path / "keys",
        limits=tmp_path / "limits",
        journals=tmp_path / "journal",
        machine="m",
    )
    auditing: Any = SimpleNamespace(custodian=None, may_change=lambda: None)
    config: Any = SimpleNamespace(serving=SimpleNamespace(sharing=Sharing(state=url)))
    board = Board(1)
    tenancy = Tenancy(post, board, config, Health(board), auditing)
    with pytest.raises(SystemExit) as stop:
        await tenancy.start()
    assert stop.value.code == os.EX_CONFIG
    (record,) = [record for record in caplog.records if record.message == "limits_unproven"]
    assert "the shared state" in record.__dict__["reason"]
    assert "hunter2" not in str(record.__dict__)
