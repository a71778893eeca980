"""Traces wait in the journal for a collector that is away; what is too old is skipped, and nothing is sent twice."""

from pathlib import Path

import pytest
from tests.telemetry.a_record import attempt, record

from fairlead.canonical.routing import Content, RequestRecord, Trace
from fairlead.config.otlp import Collector, Otlp
from fairlead.control import exporting
from fairlead.control.exporting import AT_ONCE, TEXT_AT_ONCE, TOO_OLD, Line, Meters, Traces
from fairlead.control.projector import ProjectionError
from fairlead.journal.positions import Positions
from fairlead.journal.reader import Batch, Reader
from fairlead.telemetry.spans import Span

WANTED = Otlp(traces=Collector(url="http://127.0.0.1:1"))
NOW = 1_795_000_002.0


class FakeSender:
    """In the place of `telemetry.otlp.Spans`: takes spans, or does not."""

    def __init__(self) -> None:
        self.taken: list[Span] = []
        self.parcels: list[int] = []
        """How many spans came together."""
        self.closed = False
        self.takes = 1_000_000
        """Batches that it still takes."""

    def send(self, spans: list[Span]) -> bool:
        self.takes -= 1
        if self.takes >= 0:
            self.taken += spans
            self.parcels.append(len(spans))
        return self.takes >= 0

    def close(self) -> None:
        self.closed = True


class Clock:
    """The wall clock, which a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def places(tmp_path: Path) -> Positions:
    (tmp_path / "a.journal").touch()
    return Positions(tmp_path / "traces", Reader(tmp_path))


def traces(tmp_path: Path, sender: FakeSender, wanted: Otlp = WANTED, clock: Clock | None = None) -> Traces:
    made = Traces(places(tmp_path), lambda: wanted, "m", wall=clock or Clock())
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


def test_a_collector_that_does_not_take_them_is_named_without_its_password(tmp_path: Path) -> None:
    for url, place in (
        ("http://me:hunter22@otel.example:4318/x?token=hunter22", "at http://otel.example:4318/x does not"),
        ("", "OTEL_EXPORTER_OTLP_"),
    ):
        sender = FakeSender()
        sender.takes = 0
        with pytest.raises(ProjectionError, match=place) as refused:
            traces(tmp_path, sender, Otlp(traces=Collector(url=url))).take(batch(record()))
        assert "hunter22" not in str(refused.value)


def test_what_is_too_old_is_skipped_and_that_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sender = FakeSender()
    traces(tmp_path, sender).take(batch(record(), record(at=NOW - TOO_OLD - 5, duration=1.0)))
    assert len(sender.taken) == 1
    assert [(line.message, line.__dict__["requests"]) for line in caplog.records] == [("traces_skipped", 1)]


def test_nothing_that_is_young_enough_is_left_out_when_others_grew_too_old_meanwhile(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sender, clock = FakeSender(), Clock()
    sender.takes = 1
    one = traces(tmp_path, sender, clock=clock)
    tried = (attempt(span_id="a" * 16),)
    old = [record(id=f"old_{number}", attempts=tried) for number in range(AT_ONCE // 2 + 10)]
    young = [record(id=f"young_{number}", at=NOW + 600, attempts=tried) for number in range(10)]
    full = batch(*old, *young)
    for _ in range(2):
        with pytest.raises(ProjectionError, match="collector"):
            one.take(full)
    clock.now = NOW + TOO_OLD + 300
    sender.takes = 100
    one.take(full)
    ids = [span.attributes["fairlead.request"] for span in sender.taken if span.kind == "server"]
    assert ids == [one.id for one in (*old[: AT_ONCE // 2], *young)]
    assert [(line.message, line.__dict__["requests"]) for line in caplog.records] == [("traces_skipped", 10)]
    assert one.skipped == 10


def test_a_batch_that_has_grown_meanwhile_goes_on_where_it_was(tmp_path: Path) -> None:
    sender = FakeSender()
    sender.takes = 1
    one = traces(tmp_path, sender)
    first = [record(id=f"req_{number}") for number in range(AT_ONCE + 1)]
    with pytest.raises(ProjectionError):
        one.take(batch(*first))
    sender.takes = 100
    one.take(Batch("a.journal", 0, 300, (*first, record(id="later"))))
    assert [span.attributes["fairlead.request"] for span in sender.taken] == [one.id for one in first] + ["later"]


def test_a_requests_spans_stay_together_and_no_parcel_is_too_large(tmp_path: Path) -> None:
    sender = FakeSender()
    tried = tuple(attempt(span_id=f"{number:016x}") for number in range(1, 4))
    traces(tmp_path, sender).take(batch(*(record(attempts=tried) for _ in range(200))))
    assert sender.parcels == [512, 288]


def test_long_texts_are_sent_in_smaller_parcels(tmp_path: Path) -> None:
    sender = FakeSender()
    long = record(content=Content(prompt="x" * 32_768, answer="y" * 32_768))
    traces(tmp_path, sender).take(batch(*(long for _ in range(100))))
    assert sum(sender.parcels) == 100
    assert max(sender.parcels) * 65_536 <= TEXT_AT_ONCE


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
        Traces(places(tmp_path), lambda: WANTED, "m", wall=lambda: NOW).take(batch(record()))


def test_a_sender_is_made_anew_when_it_shall_go_elsewhere_and_ends_when_nobody_wants_it(tmp_path: Path) -> None:
    made: list[tuple[str, FakeSender]] = []

    def make(collector: Collector, _machine: str) -> FakeSender:
        if collector.url == "bad":
            raise ProjectionError("the extra is missing")
        made.append((collector.url, FakeSender()))
        return made[-1][1]

    wanted = [Otlp(traces=Collector(url=url)) for url in ("a", "a", "bad", "a", "b")]
    one = Traces(places(tmp_path), lambda: wanted[0], "m", wall=lambda: NOW)
    one._line = Line(make, "m")  # type: ignore[arg-type]
    for start in (0, 100):
        one.take(batch(record(), start=start))
        wanted.pop(0)
    with pytest.raises(ProjectionError, match="extra"):
        one.take(batch(record(), start=200))
    for start in (200, 300):
        wanted.pop(0)
        one.take(batch(record(), start=start))
    assert [url for url, _ in made] == ["a", "a", "b"]
    assert [sender.closed for _, sender in made] == [True, True, False]
    wanted[0] = Otlp()
    one.take(batch(record(), start=400))
    assert made[-1][1].closed


def test_once_it_is_closed_nothing_is_sent(tmp_path: Path) -> None:
    sender = FakeSender()
    one = traces(tmp_path, sender)
    one.take(batch(record()))
    one.close()
    with pytest.raises(ProjectionError, match="nothing more"):
        one.take(batch(record(), start=100))
    assert (len(sender.taken), sender.closed) == (1, True)


class FakeMeters:
    """In the place of `telemetry.otlp.Meters`."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.closed = False

    def take(self, record: RequestRecord) -> None:
        self.taken.append(record.id)

    def close(self) -> None:
        self.closed = True


def test_metrics_begin_with_what_comes_and_end_when_nobody_wants_them(tmp_path: Path) -> None:
    (tmp_path / "a.journal").write_bytes(bytes(70))
    wanted, fake = Otlp(metrics=Collector(url="http://127.0.0.1:1")), FakeMeters()
    one = Meters(Reader(tmp_path), lambda: wanted, "m")
    one._line = Line(lambda *_: fake, "m")  # type: ignore[arg-type]
    assert one.positions() == {"a.journal": 70}
    one.take(batch(record(id="req_1"), record(id="req_2"), start=70))
    assert one.positions() == {"a.journal": 170}
    assert (fake.taken, fake.closed) == (["req_1", "req_2"], False)
    wanted = Otlp()
    one.take(batch(record(id="req_3"), start=170))
    assert (fake.taken, fake.closed) == (["req_1", "req_2"], True)
    assert one.positions() == {"a.journal": 270}
