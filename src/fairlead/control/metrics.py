"""The metrics: a projection that adds records up, and what `GET /metrics` on the admin port answers.

Totals and the position in the journals lie in one file, so that a control process that is killed counts nothing twice
and nothing too little, as long as the journals beyond that position are there. It must not know what is counted
(telemetry).
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from fairlead.control.admin import Answer, Call, Entry
from fairlead.control.desk import Desk
from fairlead.journal.bookmark import Bookmark
from fairlead.journal.reader import Batch, Reader
from fairlead.telemetry.exposition import Exposition, Gauges
from fairlead.telemetry.metrics import SHAPE, Totals

log = logging.getLogger("fairlead.control")

KEEP_EVERY = 5.0
"""Seconds between two writings of the file. What was counted since is counted again by the next control process."""


class Kept(msgspec.Struct):
    """What the file holds."""

    shape: str = SHAPE
    """What the totals are made for; those of another version's metrics are of no use."""
    positions: dict[str, int] = {}
    totals: Totals = msgspec.field(default_factory=Totals)


class Metrics:
    """The projection `metrics`, and its answer."""

    name = "metrics"

    def __init__(self, file: Path, reader: Reader, look: Callable[[], Gauges]) -> None:
        self._bookmark = Bookmark(file, Kept)
        self._reader = reader
        kept = self._bookmark.read()
        self._kept = kept if kept and kept.shape == SHAPE else Kept()
        self._safe: Mapping[str, int] = dict(self._kept.positions)
        self._trouble = False
        self._exposition = Exposition(self._kept.totals, look)
        self._desk = Desk("exposition")
        self._lock = threading.Lock()
        """Whoever counts and whoever tells or keeps are two threads."""

    def positions(self) -> Mapping[str, int]:
        return self._kept.positions

    def take(self, batch: Batch) -> None:
        with self._lock:
            self._kept.totals.take(batch.records)
            self._kept.positions[batch.file] = batch.end

    @property
    def safe(self) -> Mapping[str, int]:
        """Up to where each journal is of no use to it any more: the next control process will not need it.

        Where the file cannot be written, up to where each was counted: a full disk must not keep the journals full.
        """
        return self._safe

    async def run(self) -> None:
        """Writes the file every few seconds until it is cancelled."""
        while True:
            await asyncio.sleep(KEEP_EVERY)
            await self._desk.do(self.keep)

    def keep(self) -> None:
        """Writes the file, unless nothing was counted since. What cannot be written now is written later."""
        with self._lock:
            for name in self._reader.gone(self._kept.positions):
                del self._kept.positions[name]
            positions = dict(self._kept.positions)
            if positions != self._safe or self._trouble:
                self._write()
                self._safe = positions

    def _write(self) -> None:
        try:
            self._bookmark.write(self._kept)
        except OSError as error:
            if not self._trouble:
                log.error("metrics_not_kept", extra={"reason": error.strerror})
            self._trouble = True
            return
        if self._trouble:
            log.info("metrics_kept")
        self._trouble = False

    def entries(self) -> tuple[Entry, ...]:
        return (Entry(method="GET", path="/metrics", run=self._tell),)

    def close(self) -> None:
        """Writes the file for the last time, as far as that can be done."""
        self._desk.close()
        self.keep()

    async def _tell(self, call: Call) -> Answer:
        accept = call.exchange.headers.get(b"accept", b"").decode("latin-1")
        content_type, text = await self._desk.do(lambda: self._text(accept))
        return Answer(text, content_type=content_type)

    def _text(self, accept: str) -> tuple[str, bytes]:
        with self._lock:
            return self._exposition.text(accept)


class Keeper:
    """The metrics as whoever deletes journals sees them."""

    name = Metrics.name

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    @property
    def positions(self) -> Mapping[str, int]:
        return self._metrics.safe

    def hurry(self) -> None:
        """Does now what otherwise comes within KEEP_EVERY, as room is short. On any thread."""
        self._metrics.keep()
