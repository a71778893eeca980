"""A line for every request: none is lost while somebody reads, and nobody waits long for somebody who does not."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.telemetry.a_record import record

from fairlead.control import request_lines
from fairlead.control.request_lines import RequestLines
from fairlead.control.unpriced import Unpriced
from fairlead.journal.positions import Positions
from fairlead.journal.reader import Batch, Reader

ROOM = 25


class FakeLog(logging.Handler):
    """A FAKE of the log of `serve`: it drops what comes while ROOM lines wait, and writes when it is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0
        self.written = 0
        self.dropped = 0
        self.flushes = 0
        self.clock = 0.0
        self.slow = 0.0
        """Seconds that a wait takes."""

    def emit(self, record: logging.LogRecord) -> None:
        if self.waiting < ROOM:
            self.waiting += 1
        else:
            self.dropped += 1

    def flush(self) -> None:
        self.flushes += 1
        self.clock += self.slow
        if not self.slow:
            self.written += self.waiting
            self.waiting = 0


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLog]:
    made = FakeLog()
    monkeypatch.setattr(request_lines, "SLICE", 20)
    monkeypatch.setattr("fairlead.control.request_lines.time.monotonic", lambda: made.clock)
    root = logging.getLogger()
    level = root.level
    root.addHandler(made)
    root.setLevel(logging.INFO)
    yield made
    root.removeHandler(made)
    root.setLevel(level)


def lines(tmp_path: Path) -> RequestLines:
    (tmp_path / "a.journal").touch()
    return RequestLines(Positions(tmp_path / "lines", Reader(tmp_path)), lambda: True, Unpriced())


def batches(count: int, each: int) -> list[Batch]:
    records = tuple(record(id=f"r{number}") for number in range(each))
    return [Batch("a.journal", number * 100, number * 100 + 100, records) for number in range(count)]


@pytest.mark.parametrize(("count", "each"), [(1, 510), (170, 3)])
def test_a_catch_up_loses_no_line_while_somebody_reads(tmp_path: Path, fake: FakeLog, count: int, each: int) -> None:
    some = lines(tmp_path)
    for batch in batches(count, each):
        some.take(batch)
    assert fake.dropped == 0
    assert fake.written + fake.waiting == 510


def test_where_nobody_reads_it_goes_on(tmp_path: Path, fake: FakeLog) -> None:
    fake.slow = 2.0
    some = lines(tmp_path)
    (batch,) = batches(1, 510)
    some.take(batch)
    assert (fake.flushes, fake.waiting + fake.dropped) == (1, 510)
    fake.clock += request_lines.IMPATIENT
    some.take(batch)
    assert fake.flushes == 2
