"""Looks through a journal file that nobody writes any more, and cuts off a tail that was torn.

It knows files and frames. Nothing is lost by it: what is cut off is kept, and so is every file that is damaged
elsewhere. It must not know who reads journals.
"""

import os
from pathlib import Path

import msgspec

from fairlead.journal.frames import HEAD, HEADER, LARGEST, salt_of
from fairlead.journal.reader import batches
from fairlead.journal.segment import claimed

EVIDENCE = "damaged"
"""The folder beside the journals in which that is kept."""


class Inspected(msgspec.Struct, frozen=True, kw_only=True):
    """What a file turned out to be."""

    end: int
    """The offset behind its last record."""
    empty: bool
    """Whether there is no record in it."""
    written_at: float
    """Unix seconds."""
    cut: int = 0
    """Bytes that were cut off behind `end`."""
    damage: tuple[tuple[int, int], ...] = ()
    """Ranges that cannot be read."""


def inspect(path: Path) -> Inspected | None:
    """Looks through the file and repairs its tail. None: it is being written. Raises OSError."""
    with claimed(path) as descriptor:
        return None if descriptor is None else _inspected(path, descriptor)


def _inspected(path: Path, descriptor: int) -> Inspected:
    stat = os.fstat(descriptor)
    has_header = salt_of(os.pread(descriptor, HEADER, 0)) is not None
    begin = min(HEADER, stat.st_size) if has_header else 0
    end = begin
    damage: list[tuple[int, int]] = []
    for batch in batches(path):
        end = batch.end
        damage += batch.damage
    if not _is_tail(descriptor, end, stat.st_size):
        damage.append((end, stat.st_size))
        cut = 0
    else:
        cut = stat.st_size - end
        _keep_tail(path, descriptor, end, cut)
        os.ftruncate(descriptor, end)  # also where nothing is cut: it gives back the room behind the end
        os.utime(descriptor, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    if damage:
        _keep(path)
    return Inspected(end=end, empty=end == begin, written_at=stat.st_mtime, cut=cut, damage=tuple(damage))


def _is_tail(descriptor: int, end: int, size: int) -> bool:
    """Whether what follows the last record is at most a write that was torn, or zeros."""
    if size - end < HEAD + LARGEST:
        return True
    return all(not any(os.pread(descriptor, LARGEST, at)) for at in range(end, size, LARGEST))


def _keep_tail(path: Path, descriptor: int, end: int, size: int) -> None:
    tail = os.pread(descriptor, min(size, LARGEST + HEAD), end)
    if any(tail):
        (folder := path.parent / EVIDENCE).mkdir(exist_ok=True)
        (folder / f"{path.name}.{end}").write_bytes(tail)


def _keep(path: Path) -> None:
    """A second name for the file, which stays when the first is deleted."""
    (folder := path.parent / EVIDENCE).mkdir(exist_ok=True)
    if not (folder / path.name).exists():
        os.link(path, folder / path.name)
