"""A log line for every request, written here and not where traffic is: a projection of the journals.

Lines are the one thing that may be lost: whoever reads them too slowly for too long misses some, and is told how many.
"""

import logging
from collections.abc import Callable, Mapping

from fairlead.control.projector import ProjectionError
from fairlead.control.unpriced import Unpriced
from fairlead.journal.positions import Positions
from fairlead.journal.reader import Batch
from fairlead.telemetry.lines import fields

log = logging.getLogger("fairlead.requests")


class RequestLines:
    """The projection `request_lines`. `wanted` tells whether lines are to be written.

    `unpriced` says what has no known price in any case.
    """

    name = "request_lines"

    def __init__(self, positions: Positions, wanted: Callable[[], bool], unpriced: Unpriced) -> None:
        self._positions = positions
        self._wanted = wanted
        self._unpriced = unpriced

    def positions(self) -> Mapping[str, int]:
        return self._positions.ends

    def take(self, batch: Batch) -> None:
        """Writes the lines of a batch, and notes that they are written. A crash in between writes them again."""
        if self._wanted():
            for record in batch.records:
                log.info("request", extra=fields(record))
        self._unpriced.tell(batch.records)
        try:
            self._positions.reached(batch)
        except OSError as error:
            raise ProjectionError(f"how far requests were logged cannot be kept: {error.strerror}") from None
