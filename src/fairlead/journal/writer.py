"""Appends records to one file, all that one turn of the event loop made in one write.

It knows a file and the loop. A record is in the kernel's hands at the end of the turn in which its request closed, so
it survives the death of the process.
"""

import asyncio
import os
from pathlib import Path

from fairlead.canonical.routing import RequestRecord
from fairlead.journal.frames import encode


class Journal:
    """A journal file of this process alone: `path` must not be written by another one."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size
        self._loop = loop
        self._waiting: list[RequestRecord] = []
        self.written = 0
        """Records handed to the kernel."""
        self.lost = 0
        """Records that the disk refused."""

    def append(self, record: RequestRecord) -> None:
        """Takes a record; it is written at the end of this turn of the loop."""
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting.append(record)

    def flush(self) -> None:
        """Writes what is waiting, whole or not at all: a part that did not fit is cut off again."""
        batch, self._waiting = self._waiting, []
        if not batch:
            return
        data = b"".join(map(encode, batch))
        try:
            written = os.write(self._file, data)
            if written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            written = 0
        if written < len(data):
            os.ftruncate(self._file, self._size)
            self.lost += len(batch)
            return
        self._size += written
        self.written += len(batch)

    def close(self) -> None:
        self.flush()
        os.close(self._file)
