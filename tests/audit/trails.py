"""Trails for tests: opened in a folder, filled with entries, and copied away."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from fairlead.audit.entry import Entry, Read
from fairlead.audit.opening import Terms, open_trail
from fairlead.audit.trail import Trail

ORIGIN = "fairlead.test/m1"
NOW = 1_790_000_000.0


def terms_at(data: Path, *witnesses: Path) -> Terms:
    return Terms(folder=data / "audit", private=data / "audit-private", origin=ORIGIN, witnesses=witnesses)


@contextmanager
def trail_at(data: Path, *witnesses: Path, terms: Terms | None = None) -> Iterator[Trail]:
    trail = open_trail(terms or terms_at(data, *witnesses), lambda: NOW)
    try:
        yield trail
    finally:
        trail.close()


def admin(number: int) -> Entry:
    return Entry(at=number, action="key.create", actor="admin", object=f"k{number}", detail={"name": f"n{number}"})


def batch(start: int, count: int, file: str = "w.journal") -> list[Entry]:
    """The entries of requests that a journal has from `start` to `start + count`."""
    entries = [
        Entry(at=number, action="request", tenant="acme", request=f"r{number}", detail={"status": 200})
        for number in range(start, start + count)
    ]
    entries[-1] = msgspec.structs.replace(entries[-1], journal=Read(file, start, start + count))
    return entries


def filled(data: Path, sizes: tuple[int, ...] = (5, 5, 5)) -> None:
    """A trail with an opening entry and a checkpoint behind each batch."""
    with trail_at(data) as trail:
        start = trail.journals.get("w.journal", 0)
        for size in sizes:
            trail.append(batch(start, size))
            trail.sign()
            start += size


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to
