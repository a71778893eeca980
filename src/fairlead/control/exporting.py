"""Traces and OTLP metrics: projections that send what records tell to a collector.

The journal is the queue: a collector that is away delays nobody else, and gets what it missed when it is back, unless
that is too old to be worth sending. It must not know spans or protocols (telemetry).
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from fairlead.canonical.routing import RequestRecord
from fairlead.config.otlp import EXTRAS, Otlp, is_installed
from fairlead.control.projector import ProjectionError
from fairlead.journal.bookmark import Bookmark
from fairlead.journal.reader import Batch, Reader
from fairlead.telemetry.sampling import sampler_of
from fairlead.telemetry.spans import Span, spans_of

if TYPE_CHECKING:
    from fairlead.telemetry import otlp

log = logging.getLogger("fairlead.control")

AT_ONCE = 512
"""Spans that are sent together."""
TOO_OLD = 3600.0
"""Seconds after which a request is no longer worth a span."""

Wanted = Callable[[], Otlp]
"""What is sent, and where to, now."""


class Traces:
    """The projection `traces`: the spans of every request that has a trace, in order."""

    name = "traces"

    def __init__(self, file: Path, wanted: Wanted, machine: str, wall: Callable[[], float] = time.time) -> None:
        self._bookmark = Bookmark(file, dict[str, int])
        self._positions = self._bookmark.read() or {}
        self._wanted = wanted
        self._wall = wall
        self._is_sampled = sampler_of(os.environ)
        self._line: Line[otlp.Spans] = Line(_spans, machine)
        self._sent: tuple[str, int, int] = ("", 0, 0)
        """Of which batch how many spans were taken, so that they are not sent twice when the rest was not."""

    def positions(self) -> Mapping[str, int]:
        return self._positions

    def take(self, batch: Batch) -> None:
        wanted = self._wanted()
        if wanted.traces:
            self._send(batch, wanted)
        self._positions[batch.file] = batch.end
        try:
            self._bookmark.write(self._positions)
        except OSError as error:
            raise ProjectionError(f"how far traces were sent cannot be kept: {error.strerror}") from None

    def close(self) -> None:
        self._line.close()

    def _send(self, batch: Batch, wanted: Otlp) -> None:
        spans = self._spans(batch.records)
        file, start, sent = self._sent
        if (file, start) != (batch.file, batch.start):
            sent = 0
        for begin in range(sent, len(spans), AT_ONCE):
            if not self._line.to(wanted).send(spans[begin : begin + AT_ONCE]):
                raise ProjectionError("the collector of traces does not take them")
            self._sent = (batch.file, batch.start, begin + AT_ONCE)

    def _spans(self, records: Iterable[RequestRecord]) -> list[Span]:
        told = [one for one in records if one.trace is not None and self._is_sampled(one.trace)]
        fresh = [one for one in told if one.answered_at > self._wall() - TOO_OLD]
        if len(fresh) < len(told):
            log.warning("traces_skipped", extra={"requests": len(told) - len(fresh)})
        return [span for record in fresh for span in spans_of(record)]


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
        wanted = self._wanted()
        if wanted.metrics:
            meters = self._line.to(wanted)
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

    def __init__(self, make: "Callable[[otlp.Destination, str], End]", machine: str) -> None:
        self._make = make
        self._machine = machine
        self._wanted: Otlp | None = None
        self._end: End | None = None

    def to(self, wanted: Otlp) -> End:
        """The sender. Raises ProjectionError where the SDK is not installed."""
        if self._end is None or wanted != self._wanted:
            self.close()
            self._end, self._wanted = self._make(_destination(wanted), self._machine), wanted
        return self._end

    def close(self) -> None:
        if self._end is not None:
            self._end.close()


def _destination(wanted: Otlp) -> "otlp.Destination":
    if not is_installed(wanted.protocol):
        extra = EXTRAS[wanted.protocol]
        raise ProjectionError(f"the extra {extra!r} is missing; in a clone of Fairlead: pip install '.[{extra}]'")
    from fairlead.telemetry.otlp import Destination

    return Destination(url=wanted.url, grpc=wanted.protocol == "grpc", headers=wanted.headers)


def _spans(destination: "otlp.Destination", machine: str) -> "otlp.Spans":
    from fairlead.telemetry.otlp import Spans

    return Spans(destination, machine)


def _meters(destination: "otlp.Destination", machine: str) -> "otlp.Meters":
    from fairlead.telemetry.otlp import Meters

    return Meters(destination, machine)
