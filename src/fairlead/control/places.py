"""How far a projection is that has no other place to keep that in: one file, written after every batch.

A crash between the batch and the writing has the batch told again.
"""

from collections.abc import Mapping
from pathlib import Path

from fairlead.control.projector import ProjectionError
from fairlead.journal.bookmark import Bookmark
from fairlead.journal.reader import Batch, Reader


class Places:
    """The positions that `file` keeps. `reader` tells which journals are gone, and can be forgotten."""

    def __init__(self, file: Path, reader: Reader) -> None:
        self._bookmark = Bookmark(file, dict[str, int])
        self._reader = reader
        self._positions = self._bookmark.read() or {}

    @property
    def positions(self) -> Mapping[str, int]:
        return self._positions

    def reached(self, batch: Batch) -> None:
        """The batch was taken in. Raises ProjectionError where that cannot be kept."""
        self._positions[batch.file] = batch.end
        for name in self._reader.gone(self._positions):
            del self._positions[name]
        try:
            self._bookmark.write(self._positions)
        except OSError as error:
            raise ProjectionError(f"the position in the journals cannot be kept: {error.strerror}") from None
