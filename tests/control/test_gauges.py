"""What the gauges tell of the journals and of who reads them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from tests.journal.journal_records import numbered

from fairlead.control.gauges import Standing
from fairlead.control.health import Health
from fairlead.control.projector import ProjectionError, Projector
from fairlead.journal import Journal, Reader
from fairlead.journal.reader import Batch
from fairlead.journal.segment import used
from fairlead.state.board import Board


class Down:
    """A projection whose database is away since the start."""

    name = "down"

    def positions(self) -> Mapping[str, int]:
        raise ProjectionError("away")

    def take(self, batch: Batch) -> None:
        raise AssertionError(batch)


async def test_one_that_was_never_up_lags_by_everything_there_is(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "requests", asyncio.get_running_loop())
    assert journal.promise()
    journal.append(numbered(1))
    journal.flush()
    reader, board = Reader(tmp_path), Board(0)
    projector = Projector(reader, Down())
    assert not await projector.catch_up()
    told = Standing(board, Health(board), reader, lambda: [projector]).look()
    assert list(told["fairlead_projection_lag_bytes"]) == [(("down",), reader.behind({}))]
    assert reader.behind({}) > 0
    assert list(told["fairlead_journal_bytes"]) == [((), used(tmp_path))]
    assert used(tmp_path) > sum(reader.sizes().values())  # room ahead counts, as it does for `journal.max_size`
    journal.close()
    await projector.close()
