"""Traces wait in the journal for a collector that is away; what is too old is skipped, and nothing is sent twice."""

from pathlib import Path

import pytest
from tests.telemetry.a_record import attempt, record

from fairlead.canonical.routing import RequestRecord, Trace
from fairlead.config.otlp import Otlp
from fairlead.control import exporting
from fairlead.control.exporting import AT_ONCE, TOO_OLD, Line, Traces
from fairlead.control.projector import ProjectionError
from fairlead.journal.reader import Batch
from fairlead.telemetry.spans import Span

WANTED = Otlp(url="http://127.0.0.1:1", traces=True)
NOW = 1_795_000_002.0


class FakeSender:
    """In the place of `telemetry.otlp.Spans`: takes spans, or does not."""

    def __init__(self) -> None:
        self.taken: list[Span] = []
        self.takes = 1_000_000
        """Batches that it still takes."""

    def send(self, spans: list[Span]) -> bool:
        self.takes -= 1
        if self.takes >= 0:
            self.taken += spans
        return self.takes >= 0

    def close(self) -> None:
        pass


def traces(tmp_path: Path, sender: FakeSender, wanted: Otlp = WANTED) -> Traces:
    made = Traces(tmp_path / "traces", lambda: wanted, "m", wall=lambda: NOW)
    made._line = Line(lambda *_: sender, "m")  # type: ignore[arg-type]
    return made


def batch(*records: RequestRecord, start: int = 0) -> Batch:
    return Batch("a.journal", start, start + 100, records)


def test_spans_are_sent_and_the_place_is_kept(tmp_path: Path) -> None:
    sender = FakeSender()
    traces(tmp_path, sender).take(batch(record(attempts=(attempt(span_id="a" * 16),))))
    assert len(sender.taken) == 2
    assert traces(tmp_path, sender).positions() == {"a.journal": 100}


def test_a_collector_that_does_not_take_them_gets_each_once_when_it_is_back(tmp_path: Path) -> None:
    sender = FakeSender()
    sender.takes = 1
    one = traces(tmp_path, sender)
    full = batch(*(record(id=f"req_{number}") for number in range(AT_ONCE + 10)))
    with pytest.raises(ProjectionError, match="collector"):
        one.take(full)
    assert one.positions() == {}
    sender.takes = 100
    one.take(full)
    assert len(sender.taken) == AT_ONCE + 10
    assert one.positions() == {"a.journal": 100}


def test_what_is_too_old_is_skipped_and_that_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sender = FakeSender()
    traces(tmp_path, sender).take(batch(record(), record(at=NOW - TOO_OLD - 5, duration=1.0)))
    assert len(sender.taken) == 1
    assert [(line.message, line.__dict__["requests"]) for line in caplog.records] == [("traces_skipped", 1)]


def test_a_caller_that_does_not_sample_is_heeded(tmp_path: Path) -> None:
    sender = FakeSender()
    quiet = Trace(trace_id="1" * 32, span_id="2" * 16, parent_id="3" * 16, sampled=False)
    traces(tmp_path, sender).take(batch(record(trace=quiet)))
    assert sender.taken == []


def test_nothing_is_sent_where_nobody_takes_it(tmp_path: Path) -> None:
    sender = FakeSender()
    one = traces(tmp_path, sender, Otlp())
    one.take(batch(record()))
    assert (sender.taken, one.positions()) == ([], {"a.journal": 100})


def test_without_the_extra_the_log_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "is_installed", lambda _: False)
    with pytest.raises(ProjectionError, match=r"pip install '\.\[otel\]'"):
        Traces(tmp_path / "traces", lambda: WANTED, "m", wall=lambda: NOW).take(batch(record()))
