"""Reads what the journals of a folder have beyond a position, in batches; nobody waits for anybody else.

It knows files, offsets and frames. It must not know who reads, nor where a reader keeps its positions.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from fairlead.canonical.routing import RequestRecord
from fairlead.journal.frames import HEADER, Frames, salt_of
from fairlead.journal.segment import PATTERN, used

AT_ONCE = 8 * 1024 * 1024
"""Bytes of a journal that are read into memory together, if a record does not need more."""


class Batch(msgspec.Struct, frozen=True):
    """The records of one journal file from the offset `start` up to `end`; none where all of that is damaged."""

    file: str
    start: int
    end: int
    records: tuple[RequestRecord, ...]
    damage: tuple[tuple[int, int], ...] = ()
    """Ranges in between that could not be read."""


class Reader:
    """The journals of one folder. Several readers may read them at the same time, and while they are written.

    Any thread may use it. What was read last is kept, as all who follow the journals want it within a moment.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: dict[tuple[str, int], Batch] = {}
        """The newest batches by file and start, the oldest first; together no more than AT_ONCE, or a single one."""
        self._mutex = threading.Lock()

    def beyond(self, positions: Mapping[str, int], *, at_ease: bool = False) -> Iterator[Batch]:
        """What lies behind `positions` (offsets by file name; a file that is not in it is new), in files' order.

        A file's batches follow on each other. One whose end is torn or still being written ends at its last whole
        frame. What is written meanwhile may be left to the next look, so that each look ends, however much is written.
        Who is `at_ease` leaves a rest to it that is smaller than what came last: what others have read is at hand, and
        a small batch costs nearly as much as a large one. Raises OSError.
        """
        for name, size in sorted(self.sizes().items()):
            start = positions.get(name, 0)
            while start < size and (batch := self._batch(name, start)):
                yield batch
                start = batch.end
                if at_ease and size - start < start - batch.start:
                    break

    def behind(self, positions: Mapping[str, int]) -> int:
        """How many bytes of the journals lie behind `positions`."""
        return sum(max(size - positions.get(name, HEADER), 0) for name, size in self.sizes().items())

    def sizes(self) -> dict[str, int]:
        """Every file with the bytes that it has."""
        found = {}
        for path in self.folder.glob(PATTERN):
            with contextlib.suppress(FileNotFoundError):  # everyone was done with it
                found[path.name] = path.stat().st_size
        return found

    def used(self) -> int:
        """What all files take of the disk, as `journal.max_size` counts it."""
        return used(self.folder)

    def gone(self, positions: Mapping[str, int]) -> list[str]:
        """Files in `positions` that were deleted: they can be forgotten, for no name comes twice."""
        return sorted(positions.keys() - self.sizes().keys())

    def _batch(self, name: str, start: int) -> Batch | None:
        """The batch that begins there: the one that is kept, or up to where a kept one begins, or what there is."""
        with self._mutex:
            batch = self._kept.get((name, start))
            if batch is None:
                next_kept = min((known for file, known in self._kept if file == name and known > start), default=None)
                path = self.folder / name
                batch = _read(path, start, next_kept) or _read(path, start)
                if batch is not None:
                    self._keep(batch)
            return batch

    def _keep(self, batch: Batch) -> None:
        self._kept[batch.file, batch.start] = batch
        size = sum(kept.end - kept.start for kept in self._kept.values())
        while size > AT_ONCE and len(self._kept) > 1:
            oldest = self._kept.pop(next(iter(self._kept)))
            size -= oldest.end - oldest.start


def recent(folder: Path, seconds: float) -> list[Path]:
    """The files that were written in so many seconds before the newest was."""
    found = []
    for path in folder.glob(PATTERN):
        with contextlib.suppress(FileNotFoundError):
            found.append((path.stat().st_mtime, path))
    newest = max((at for at, _ in found), default=0.0)
    return [path for at, path in found if at >= newest - seconds]


def batches(path: Path, start: int = 0) -> Iterator[Batch]:
    """What a file has behind `start`. Nothing where it was deleted meanwhile. Raises OSError."""
    while batch := _read(path, start):
        yield batch
        start = batch.end


def records_of(path: Path) -> Iterator[RequestRecord]:
    """Every record of a file, which is never in memory as a whole."""
    for batch in batches(path):
        yield from batch.records


def _read(path: Path, start: int, until: int | None = None) -> Batch | None:
    """The next records, read on until there is a whole frame, the file ends, or `until`, where another frame begins."""
    try:
        with path.open("rb") as stream:
            salt = salt_of(stream.read(HEADER))
            begin = start if salt is None else max(start, HEADER)
            data = b""
            while True:
                position = begin + len(data)
                stream.seek(position)
                most = max(AT_ONCE, len(data))
                more = stream.read(most if until is None else min(most, max(until - position, 0)))
                data += more
                frames = Frames(data, salt or 0)
                records = tuple(frames)
                if frames.end or not more:
                    break
    except FileNotFoundError:
        return None
    damage = tuple([(begin + first, begin + last) for first, last in frames.damage])
    return Batch(path.name, start, begin + frames.end, records, damage) if frames.end else None
