"""The tree's hashes in files, so that neither a restart nor a proof has to read the entries again.

`hashes-0` has every leaf's hash, `hashes-8` that of every complete subtree of 256 leaves, `hashes-16` of 65 536, and so
on, 32 bytes each. All of it can be made again from the entries. It must not know what a leaf is.
"""

import contextlib
import os
from pathlib import Path

from fairlead.audit.tree import Frontier, node_hash, peaks_of

WIDTH = 32
STEP = 8
"""Levels of the tree between two that are kept."""
LEVELS = (0, 8, 16, 24)


class Hashes:
    """The hashes of one folder. With `writable` false nothing is made or changed."""

    def __init__(self, folder: Path, *, writable: bool) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND if writable else os.O_RDONLY
        self._files: dict[int, int] = {}
        for level in LEVELS:
            with contextlib.suppress(FileNotFoundError):
                self._files[level] = os.open(folder / f"hashes-{level}", flags | os.O_CLOEXEC, 0o600)
        self._waiting: dict[int, list[bytes]] = {level: [] for level in LEVELS}
        self.frontier = Frontier()

    @property
    def kept(self) -> int:
        """How many leaves' hashes are in the files."""
        return os.fstat(self._files[0]).st_size // WIDTH if 0 in self._files else 0

    def load(self, size: int) -> bytes:
        """Goes on from the first `size` leaves, as the files have them; their root. Raises OSError: it has fewer."""
        self.frontier = Frontier(size, peaks_of(0, size, self.subtree))
        return self.frontier.root()

    def cut(self, size: int) -> None:
        """Forgets what is behind the first `size` leaves."""
        for level, file in self._files.items():
            os.ftruncate(file, (size >> level) * WIDTH)

    def add(self, leaf: bytes) -> None:
        """Takes the next leaf's hash; it is in the files after `flush`."""
        done = self.frontier.add(leaf)
        waiting = self._waiting
        waiting[0].append(leaf)
        for level in LEVELS[1:]:
            if level >= len(done):
                break
            waiting[level].append(done[level])

    def flush(self) -> None:
        """Raises OSError; what is in the files then must be cut, and loaded again."""
        for level, hashes in self._waiting.items():
            if hashes:
                data = b"".join(hashes)
                hashes.clear()
                if os.write(self._files[level], data) < len(data):
                    raise OSError(f"the hashes of level {level} were written in part")

    def sync(self) -> None:
        for file in self._files.values():
            os.fdatasync(file)

    def drop(self) -> None:
        """Forgets what waits to be written."""
        for hashes in self._waiting.values():
            hashes.clear()

    def leaves(self, start: int, end: int) -> list[bytes]:
        """The hashes of these leaves. Raises OSError where the files have not got them."""
        return self._read(0, start, end - start)

    def subtree(self, height: int, place: int) -> bytes:
        """The hash of a complete subtree: `fairlead.audit.tree.Subtree`. Raises OSError where the files lack it."""
        level = min(height // STEP * STEP, LEVELS[-1])
        while level not in self._files:
            level -= STEP
            if level < 0:
                raise FileNotFoundError("there are no hashes")
        count = 1 << (height - level)
        hashes = self._read(level, place * count, count)
        while len(hashes) > 1:
            hashes = [node_hash(left, right) for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
        return hashes[0]

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def _read(self, level: int, start: int, count: int) -> list[bytes]:
        if level not in self._files:
            raise FileNotFoundError("there are no hashes")
        data = os.pread(self._files[level], count * WIDTH, start * WIDTH)
        if len(data) < count * WIDTH:
            raise OSError(f"the file hashes-{level} ends before hash {start + count}")
        return [data[at : at + WIDTH] for at in range(0, len(data), WIDTH)]
