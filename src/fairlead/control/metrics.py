"""The metrics: a projection that adds records up, and what `GET /metrics` on the admin port answers.

Totals and the position in the journals lie in one file, so that a control process that is killed counts nothing twice
and nothing too little. It must not know what is counted (telemetry).
"""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from fairlead.control.admin import Answer, Call, Entry
from fairlead.control.desk import Desk
from fairlead.control.projector import ProjectionError
from fairlead.journal.bookmark import Bookmark
from fairlead.journal.reader import Batch, Reader
from fairlead.telemetry.exposition import Exposition, Gauges
from fairlead.telemetry.metrics import Totals

KEEP_EVERY = 5.0
"""Seconds between two writings of the file. What was counted since is counted again by the next control process."""


class Kept(msgspec.Struct):
    """What the file holds."""

    positions: dict[str, int] = {}
    totals: Totals = msgspec.field(default_factory=Totals)


class Metrics:
    """The projection `metrics`, and its answer."""

    name = "metrics"

    def __init__(self, file: Path, reader: Reader, look: Callable[[], Gauges]) -> None:
        self._bookmark = Bookmark(file, Kept)
        self._reader = reader
        self._kept = self._bookmark.read() or Kept()
        self._kept_at = time.monotonic()
        self._exposition = Exposition(self._kept.totals, look)
        self._desk = Desk("exposition")
        self._lock = threading.Lock()
        """Whoever counts and whoever tells are two threads."""

    def positions(self) -> Mapping[str, int]:
        return self._kept.positions

    def take(self, batch: Batch) -> None:
        with self._lock:
            self._kept.totals.take(batch.records)
            self._kept.positions[batch.file] = batch.end
        if time.monotonic() - self._kept_at >= KEEP_EVERY:
            self.keep()

    def keep(self) -> None:
        """Writes the file. Raises ProjectionError; nothing is lost by that as long as this process lives."""
        self._kept_at = time.monotonic()
        for name in self._reader.gone(self._kept.positions):
            del self._kept.positions[name]
        try:
            self._bookmark.write(self._kept)
        except OSError as error:
            raise ProjectionError(f"the totals of metrics cannot be kept: {error.strerror}") from None

    def entries(self) -> tuple[Entry, ...]:
        return (Entry(method="GET", path="/metrics", run=self._tell),)

    def close(self) -> None:
        self._desk.close()
        self.keep()

    async def _tell(self, call: Call) -> Answer:
        accept = call.exchange.headers.get(b"accept", b"").decode("latin-1")
        content_type, text = await self._desk.do(lambda: self._text(accept))
        return Answer(text, content_type=content_type)

    def _text(self, accept: str) -> tuple[str, bytes]:
        with self._lock:
            return self._exposition.text(accept)
