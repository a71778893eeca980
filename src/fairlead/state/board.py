"""A page of memory on which each worker writes its figures and anyone in the process family reads them.

The page is anonymous and shared by fork. A row has one writer; a reader may see a row half written, which is harmless
for figures and the reason why nothing is decided by them. Behind the rows is one word more: the generation of the
index of keys, which control alone writes, so that workers know when to forget what they remembered of it.
"""

import mmap
from struct import Struct

import msgspec

_ROW = Struct("<QdQQQQQQQQ")
_WORD = 8


class Figures(msgspec.Struct, frozen=True):
    """What one worker says of itself. `seen_at` is monotonic time in seconds; `generation` counts snapshots."""

    pid: int = 0
    seen_at: float = 0.0
    generation: int = 0
    """The snapshot that it serves; 0: none yet, so it is not ready."""
    connections: int = 0
    in_flight: int = 0
    requests: int = 0
    records: int = 0
    unrecorded: int = 0
    """Requests that were refused because there was no room for a record, so that none tells of them."""
    full: int = 0
    """1: there is no room now."""
    resting: int = 0
    """Deployments that are left alone, as far as it has asked them."""


class Board:
    """One row of `Figures` per worker."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._page = mmap.mmap(-1, rows * _ROW.size + _WORD)
        self._words = memoryview(self._page)[rows * _ROW.size :].cast("Q")

    def write(self, row: int, figures: Figures) -> None:
        _ROW.pack_into(self._page, row * _ROW.size, *msgspec.structs.astuple(figures))

    def read(self, row: int) -> Figures:
        return Figures(*_ROW.unpack_from(self._page, row * _ROW.size))

    def clear(self, row: int) -> None:
        """The worker of this row is gone."""
        self.write(row, Figures())

    def all(self) -> list[Figures]:
        return [self.read(row) for row in range(self.rows)]

    @property
    def keys_generation(self) -> int:
        """Another number than before: keys have changed."""
        return self._words[0]

    def bump_keys(self) -> None:
        """Tells every worker that keys have changed."""
        self._words[0] += 1


def is_ready(figures: Figures) -> bool:
    """The worker lives and serves a configuration."""
    return figures.generation > 0 and figures.pid > 0
