"""The entries in files of lines, `entries-<number of the first>.jsonl`, which only ever grow.

It knows lines. It must not know what is in one, nor hashes.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

LENGTH = 16_384
"""Entries of a file before the next one is begun, at the end of a batch."""
AT_ONCE = 8 * 1024 * 1024
"""Bytes that are written together."""
_NAME = re.compile(r"entries-([0-9]{12})\.jsonl")


class Segment(msgspec.Struct, frozen=True, order=True):
    """One file and the number of its first entry."""

    first: int
    path: Path


def segments_of(folder: Path) -> list[Segment]:
    """The files of entries, in their order."""
    found = [(_NAME.fullmatch(path.name), path) for path in folder.iterdir()]
    return sorted(Segment(int(match.group(1)), path) for match, path in found if match)


def lines_of(folder: Path, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Every entry from number `start` on, as it is counted by the files' names: its number and its bytes.

    A line that does not end in a newline is given with all that it has; the last one may be torn.
    """
    segments = segments_of(folder)
    for place, segment in enumerate(segments):
        if place + 1 < len(segments) and segments[place + 1].first <= start:
            continue
        with segment.path.open("rb") as stream:
            for number, line in enumerate(stream, segment.first):
                if number >= start:
                    yield number, line


def size_of(folder: Path) -> int:
    """The number of entries, as it is counted by the files' names; what is torn at the end is none."""
    segments = segments_of(folder)
    if not segments:
        return 0
    with segments[-1].path.open("rb") as stream:
        return segments[-1].first + sum(line.endswith(b"\n") for line in stream)


def name_of(first: int) -> str:
    return f"entries-{first:012d}.jsonl"


class Writer:
    """Appends to the last file of a folder, whose entries are whole. Raises OSError."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._size = size
        segments = segments_of(folder)
        self._first = segments[-1].first if segments else 0
        self._file = -1
        self._length = 0
        self._begin(self._first)

    def append(self, lines: Sequence[bytes]) -> None:
        """Writes these lines and forces them to the disk, all or none."""
        if self._size - self._first >= LENGTH:
            os.close(self._file)
            self._begin(self._size)
        data = b"".join(lines)
        try:
            for start in range(0, len(data), AT_ONCE):
                part = data[start : start + AT_ONCE]
                if os.write(self._file, part) < len(part):
                    raise OSError(f"{name_of(self._first)} was written in part; is the disk full?")
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self._length)
            raise
        self._length += len(data)
        self._size += len(lines)

    def close(self) -> None:
        os.close(self._file)

    def _begin(self, first: int) -> None:
        self._first = first
        path = self._folder / name_of(first)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._length = os.fstat(self._file).st_size
        sync_folder(self._folder)


def sync_folder(folder: Path) -> None:
    """Has the disk remember which files there are."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def cut(folder: Path, size: int) -> int:
    """Takes everything behind the first `size` entries off the files and puts it into `torn-<size>`; its bytes.

    Raises OSError.
    """
    taken = b""
    for segment in segments_of(folder):
        data = segment.path.read_bytes()
        keep = 0
        for _ in range(max(size - segment.first, 0)):
            end = data.find(b"\n", keep)
            if end < 0:
                break
            keep = end + 1
        if keep < len(data):
            taken += data[keep:]
            with (folder / f"torn-{size:012d}").open("wb") as stream:
                stream.write(taken)
                stream.flush()
                os.fsync(stream.fileno())
            os.truncate(segment.path, keep)
        if segment.first > size:
            segment.path.unlink()
    sync_folder(folder)
    return len(taken)
