"""A log line for every request, written here and not where traffic is: a projection of the journals.

Lines are the one thing that may be lost: whoever reads them too slowly for too long misses some, and is told how many.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from fairlead.control.projector import ProjectionError
from fairlead.control.unpriced import Unpriced
from fairlead.journal.positions import Positions
from fairlead.journal.reader import Batch
from fairlead.telemetry.lines import fields

log = logging.getLogger("fairlead.requests")

SLICE = 1000
"""Lines after which it waits until they are written: no request waits here, and a catch-up would overrun the log."""
PATIENCE = 1.0
"""Seconds of a wait after which nobody seems to read the log."""
IMPATIENT = 30.0
"""Seconds in which it does not wait again where nobody reads: somebody may want control to end."""


class RequestLines:
    """The projection `request_lines`. `wanted` tells whether lines are to be written.

    `unpriced` says what has no known price in any case.
    """

    name = "request_lines"

    def __init__(self, positions: Positions, wanted: Callable[[], bool], unpriced: Unpriced) -> None:
        self._positions = positions
        self._wanted = wanted
        self._unpriced = unpriced
        self._unwritten = 0
        """Lines since it waited."""
        self._no_wait_until = 0.0

    def positions(self) -> Mapping[str, int]:
        return self._positions.ends

    def take(self, batch: Batch) -> None:
        """Writes the lines of a batch, and notes that they are written. A crash in between writes them again."""
        if self._wanted():
            for record in batch.records:
                log.handle(line(fields(record)))
                self._unwritten += 1
                if self._unwritten >= SLICE:
                    self._wait()
        self._unpriced.tell(batch.records)
        try:
            self._positions.reached(batch)
        except OSError as error:
            raise ProjectionError(f"how far requests were logged cannot be kept: {error.strerror}") from None

    def _wait(self) -> None:
        """Waits until the lines are written, as long as the log itself waits for whoever reads it."""
        self._unwritten = 0
        began = time.monotonic()
        if began < self._no_wait_until:
            return
        for handler in logging.getLogger().handlers:
            handler.flush()
        if time.monotonic() - began >= PATIENCE:
            self._no_wait_until = time.monotonic() + IMPATIENT


def line(told: dict[str, Any]) -> logging.LogRecord:
    """A record for the log, made without looking for who makes it; that would cost more than all the rest."""
    return logging.makeLogRecord(
        {"name": log.name, "levelno": logging.INFO, "levelname": "INFO", "msg": "request", "fields": told}
    )
