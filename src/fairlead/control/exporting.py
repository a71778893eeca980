"""Traces and OTLP metrics: projections that send what records tell to a collector.

The journal is the queue: a collector that is away delays nobody else, and gets what it missed when it is back, unless
that is too old to be worth sending. It must not know spans or protocols (telemetry).
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec

from fairlead.canonical.routing import RequestRecord
from fairlead.config.otlp import EXTRAS, Collector, Otlp, is_installed
from fairlead.control.projector import ProjectionError
from fairlead.journal.positions import Positions
from fairlead.journal.reader import Batch, Reader
from fairlead.telemetry.sampling import sampler_of
from fairlead.telemetry.spans import Span, spans_of

if TYPE_CHECKING:
    from fairlead.telemetry import otlp

log = logging.getLogger("fairlead.control")

AT_ONCE = 512
"""Spans that are sent together."""
TEXT_AT_ONCE = 1024 * 1024
"""Characters of prompts and answers that are sent together: collectors refuse what is too large, for good."""
TOO_OLD = 3600.0
"""Seconds after which a request is no longer worth a span."""

Wanted = Callable[[], Otlp]
"""What is sent, and where to, now."""


class Parcel(msgspec.Struct, frozen=True):
    """What is sent together."""

    spans: list[Span]
    end: int
    """The record of the batch that comes next."""
    skipped: int
    """Requests before `end` that are too old to be told."""


class Traces:
    """The projection `traces`: the spans of every request that has a trace, in order."""

    name = "traces"

    def __init__(
        self, positions: Positions, wanted: Wanted, machine: str, wall: Callable[[], float] = time.time
    ) -> None:
        self._positions = positions
        self._wanted = wanted
        self._wall = wall
        self._is_sampled = sampler_of(os.environ)
        self._line: Line[otlp.Spans] = Line(_spans, machine)
        self._sent: tuple[str, int, int] = ("", 0, 0)
        """Of which batch how many records are told, so that they are not told twice when the rest was not taken."""
        self.skipped = 0
        """Requests whose spans were too old when the collector was back."""

    def positions(self) -> Mapping[str, int]:
        return self._positions.ends

    def take(self, batch: Batch) -> None:
        collector = self._wanted().traces
        if collector is None:
            self._line.hang_up()
        else:
            self._send(batch, collector)
        try:
            self._positions.reached(batch)
        except OSError as error:
            raise ProjectionError(f"how far traces were sent cannot be kept: {error.strerror}") from None

    def close(self) -> None:
        self._line.close()

    def _send(self, batch: Batch, collector: Collector) -> None:
        file, start, told = self._sent
        begin = told if (file, start) == (batch.file, batch.start) else 0
        for parcel in self._parcels(batch.records, begin):
            if parcel.spans and not self._line.to(collector).send(parcel.spans):
                raise ProjectionError(f"the collector of traces at {_place(collector)} does not take them")
            self._sent = (batch.file, batch.start, parcel.end)
            self._skip(parcel.skipped)

    def _parcels(self, records: Sequence[RequestRecord], begin: int) -> Iterator[Parcel]:
        """The records from `begin` on. One record's spans stay together."""
        spans: list[Span] = []
        size = skipped = 0
        for number, record in enumerate(records[begin:], begin):
            if record.trace is None or not self._is_sampled(record.trace):
                continue
            if record.answered_at <= self._wall() - TOO_OLD:
                skipped += 1
                continue
            more, length = spans_of(record), _length(record)
            if spans and (len(spans) + len(more) > AT_ONCE or size + length > TEXT_AT_ONCE):
                yield Parcel(spans, number, skipped)
                spans, size, skipped = [], 0, 0
            spans += more
            size += length
        yield Parcel(spans, len(records), skipped)

    def _skip(self, requests: int) -> None:
        if requests:
            self.skipped += requests
            log.warning("traces_skipped", extra={"requests": requests})


class Meters:
    """The projection `otlp_metrics`: the GenAI metrics. They begin anew with each control process."""

    name = "otlp_metrics"

    def __init__(self, reader: Reader, wanted: Wanted, machine: str) -> None:
        self._positions = reader.sizes()
        self._wanted = wanted
        self._line: Line[otlp.Meters] = Line(_meters, machine)

    def positions(self) -> Mapping[str, int]:
        return self._positions

    def take(self, batch: Batch) -> None:
        collector = self._wanted().metrics
        if collector is None:
            self._line.hang_up()
        else:
            meters = self._line.to(collector)
            for record in batch.records:
                meters.take(record)
        self._positions[batch.file] = batch.end

    def close(self) -> None:
        self._line.close()


class _Closing(Protocol):
    def close(self) -> None: ...


End = TypeVar("End", bound=_Closing)


class Line(Generic[End]):
    """A sender that is made when it is first needed, and anew when it shall go elsewhere."""

    def __init__(self, make: "Callable[[Collector, str], End]", machine: str) -> None:
        """`make` raises ProjectionError where the SDK is not installed."""
        self._make = make
        self._machine = machine
        self._there: Collector | None = None
        self._end: End | None = None
        self._closed = False

    def to(self, collector: Collector) -> End:
        """The sender. Raises ProjectionError where there is none, or none any more."""
        if self._closed:
            raise ProjectionError("nothing more is sent")
        if self._end is None or collector != self._there:
            self.hang_up()
            self._end, self._there = self._make(collector, self._machine), collector
        return self._end

    def hang_up(self) -> None:
        """The sender ends; another is made when one is needed."""
        end, self._end = self._end, None
        if end is not None:
            end.close()

    def close(self) -> None:
        """The sender ends, and whatever it waits for, and no other is made."""
        self._closed = True
        self.hang_up()


def _length(record: RequestRecord) -> int:
    content = record.content
    return 0 if content is None else len(content.prompt) + len(content.answer)


def _place(collector: Collector) -> str:
    """Where a collector is, without what its URL may have of a name and a password."""
    if not collector.url:
        return "the place that OTEL_EXPORTER_OTLP_… name"
    at = urlsplit(collector.url)
    return urlunsplit((at.scheme, at.netloc.rpartition("@")[2], at.path, "", ""))


def _destination(collector: Collector) -> "otlp.Destination":
    if not is_installed(collector.protocol):
        extra = EXTRAS[collector.protocol]
        raise ProjectionError(f"the extra {extra!r} is missing; in a clone of Fairlead: pip install '.[{extra}]'")
    from fairlead.telemetry.otlp import Destination

    return Destination(url=collector.url, grpc=collector.protocol == "grpc", headers=collector.headers)


def _spans(collector: Collector, machine: str) -> "otlp.Spans":
    destination = _destination(collector)
    from fairlead.telemetry.otlp import Spans

    return Spans(destination, machine)


def _meters(collector: Collector, machine: str) -> "otlp.Meters":
    destination = _destination(collector)
    from fairlead.telemetry.otlp import Meters

    return Meters(destination, machine)
