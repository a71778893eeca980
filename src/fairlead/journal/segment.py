"""One journal file while it is written: locked, so that everybody can tell; with room ahead; forced when told.

It knows a file. It must not know records, nor when a file is full. Any OSError means that nothing more may be written.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fairlead.journal import room
from fairlead.journal.frames import HEADER, header, new_salt

PATTERN = "*.journal"


class Segment:
    """A new file of this process alone. Raises OSError, and leaves nothing, where it cannot have `size` bytes."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.salt = new_salt()
        self.position = 0
        """The offset behind what was written."""
        self.room = HEADER + size
        """The offset behind what may be written."""
        self._folder_is_forced = False
        self._file = _created(path)
        try:
            room.reserve(self._file, 0, self.room)
            self.write(header(self.salt))
        except OSError:
            path.unlink()
            os.close(self._file)
            raise

    @property
    def holds_frames(self) -> bool:
        return self.position > HEADER

    def reserve(self, size: int) -> None:
        """Makes room for another `size` bytes. Raises OSError; what there is stays."""
        room.reserve(self._file, self.room, size)
        self.room += size

    def write(self, data: bytes) -> None:
        """Hands `data` to the kernel."""
        rest = memoryview(data)
        while rest:
            done = os.pwrite(self._file, rest, self.position)
            self.position += done
            rest = rest[done:]

    def force(self) -> None:
        """Everything that was written before is on the disk when this returns. It may be called by another thread."""
        os.fdatasync(self._file)
        if not self._folder_is_forced:
            _force_folder(self.path.parent)
            self._folder_is_forced = True

    def finish(self) -> None:
        """Forces it, gives back the room that was not used, and lets go of the file: it is nobody's from now on."""
        try:
            if not self.holds_frames:
                self.path.unlink(missing_ok=True)
                return
            self.force()
            os.ftruncate(self._file, self.position)
        finally:
            os.close(self._file)


@contextmanager
def claimed(path: Path) -> Iterator[int | None]:
    """The open file, which nobody begins to write meanwhile; None: somebody is writing it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    except BlockingIOError:
        yield None
    finally:
        os.close(descriptor)


def used(folder: Path) -> int:
    """Bytes of the disk that the journals of a folder take, room ahead included."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(PATTERN[1:]):
                try:
                    stat = entry.stat()
                except FileNotFoundError:
                    continue
                total += max(stat.st_size, stat.st_blocks * 512)
    return total


def _created(path: Path) -> int:
    """A new file that is locked. One that was cleaned away as nobody's before it was locked is made again."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)


def _force_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
