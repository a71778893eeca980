"""What the control process must still know after it died: a page of memory that its parent keeps for it.

The memory is anonymous and shared by fork, is left out of core dumps, and never reaches a disk: secrets are in it.
It has one writer. A write that death cut short is not read.
"""

import contextlib
import hashlib
import mmap
from struct import Struct

_HEAD = Struct("<Q32s")
ROOM = 32 * 1024 * 1024
"""Bytes that fit; pages that were never written cost nothing."""


class Keepsake:
    """Bytes that outlive the process that wrote them, as long as its parent lives."""

    def __init__(self, room: int = ROOM) -> None:
        self._page = mmap.mmap(-1, room)
        if hasattr(mmap, "MADV_DONTDUMP"):
            with contextlib.suppress(OSError):
                self._page.madvise(mmap.MADV_DONTDUMP)

    def write(self, content: bytes) -> bool:
        """Keeps `content` in place of what was there; False: it is too large, and nothing is kept."""
        fits = _HEAD.size + len(content) <= len(self._page)
        self._page[: _HEAD.size] = bytes(_HEAD.size)
        if fits:
            self._page[_HEAD.size : _HEAD.size + len(content)] = content
            self._page[: _HEAD.size] = _HEAD.pack(len(content), hashlib.sha256(content).digest())
        return fits

    def read(self) -> bytes | None:
        """What was written last; None: nothing whole."""
        length, digest = _HEAD.unpack(self._page[: _HEAD.size])
        content = self._page[_HEAD.size : _HEAD.size + length]
        return content if length and hashlib.sha256(content).digest() == digest else None

    def close(self) -> None:
        """For a process that has no business with it: gives up its own view."""
        self._page.close()
