"""Reads what the journals of a folder have beyond a position, in batches; nobody waits for anybody else.

It knows files, offsets and frames. It must not know who reads, nor where a reader keeps its positions.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from fairlead.canonical.routing import RequestRecord
from fairlead.journal.frames import Frames

AT_ONCE = 4 * 1024 * 1024
"""Bytes of a journal that are read into memory together."""
PATTERN = "*.journal"


class Batch(msgspec.Struct, frozen=True):
    """The records of one journal file from the offset `start` up to `end`."""

    file: str
    start: int
    end: int
    records: tuple[RequestRecord, ...]


class Reader:
    """The journals of one folder. Several readers may read them at the same time, and while they are written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def beyond(self, positions: Mapping[str, int]) -> Iterator[Batch]:
        """What lies behind `positions` (offsets by file name; a file that is not in it is new), in files' order.

        A file's batches follow on each other. One whose end is torn or still being written ends at its last whole
        frame. Raises OSError.
        """
        for path in sorted(self._folder.glob(PATTERN)):
            start = positions.get(path.name, 0)
            while batch := self._batch(path, start):
                yield batch
                start = batch.end

    def behind(self, positions: Mapping[str, int]) -> int:
        """How many bytes of the journals lie behind `positions`."""
        return sum(size - positions.get(name, 0) for name, size in self.sizes().items())

    def sizes(self) -> dict[str, int]:
        """Every file with the bytes that it has."""
        return {path.name: path.stat().st_size for path in self._folder.glob(PATTERN)}

    def _batch(self, path: Path, start: int) -> Batch | None:
        if path.stat().st_size <= start:
            return None
        with path.open("rb") as stream:
            stream.seek(start)
            frames = Frames(stream.read(AT_ONCE))
        records = tuple(frames)
        return Batch(path.name, start, start + frames.end, records) if records else None
