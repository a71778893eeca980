"""How far one reader has read the journals, in a file of its own: for who may read the last batch again after a crash.

It knows a file. It must not know what the reader makes of the records.
"""

from collections.abc import Mapping
from pathlib import Path

from fairlead.journal.bookmark import Bookmark
from fairlead.journal.reader import Batch, Reader


class Positions:
    """The offsets by file name; what they were when the file was written last."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self._bookmark = Bookmark(path, dict[str, int])
        self._reader = reader
        self._ends = self._bookmark.read() or {}

    @property
    def ends(self) -> Mapping[str, int]:
        return self._ends

    def reached(self, batch: Batch) -> None:
        """This batch is done with. Files that are gone are forgotten. Raises OSError."""
        self._ends[batch.file] = batch.end
        for name in self._reader.gone(self._ends):
            del self._ends[name]
        self._bookmark.write(self._ends)
