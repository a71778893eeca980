"""Appends records to the files of one process, all that one turn of the event loop made in one write.

It knows files and the loop. Whoever wants a record written is promised the room for it beforehand, so that a full disk
refuses requests and never a record. A record is in the kernel's hands at the end of the turn in which its request
closed, so it survives the death of the process; it is forced to the disk as soon as the settings say, by a thread of
its own. What the disk fails to do is never tried again: nobody knows what it kept.
"""

import asyncio
import errno
import itertools
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

from fairlead.canonical.routing import Journaling, RequestRecord
from fairlead.journal.fit import PLAIN, fitted
from fairlead.journal.frames import frame
from fairlead.journal.segment import Segment, used

log = logging.getLogger("fairlead.journal")

AHEAD = 1024 * 1024
"""Bytes for which room is made at a time."""
LOOK_AGAIN = 0.25
"""Seconds after which it is worth asking again for room that there was not."""
BROKEN = frozenset({errno.EIO, errno.EROFS})
"""A disk that says this will not get better by waiting."""
_begun_here = itertools.count(1)
"""Numbers the files of this process: two that begin in one millisecond have two names."""


def end_process(error: OSError) -> None:
    """Nothing that this process does could be recorded any more: it ends here, and nothing more leaves it."""
    log.critical("journal_failed", extra={"reason": error.strerror or str(error)})
    logging.shutdown()  # lines are written by a thread, which ends here as well
    os._exit(os.EX_IOERR)


class Journal:
    """The journal of one process: files `kind-*.journal` in `folder`, one after the other.

    `failed` is told of the error after which nothing can be written; it should not return.
    """

    def __init__(
        self,
        folder: Path,
        kind: str,
        loop: asyncio.AbstractEventLoop,
        *,
        settings: Journaling | None = None,
        failed: Callable[[OSError], None] = end_process,
    ) -> None:
        self._folder = folder
        self._kind = kind
        self._loop = loop
        self._settings = settings or Journaling()
        self._failed = failed
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._waiting: list[tuple[RequestRecord, int]] = []
        self._segment: Segment | None = None
        self._room = 0
        """Bytes of the segment that are not written yet."""
        self._promised = 0
        self._opened_at = 0.0
        self._aging: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._forcing = self._unforced = False
        self.trouble = ""
        """Why there is no room; empty: there is."""
        self.written = 0
        """Records handed to the kernel."""
        self.refused = 0
        """Promises that could not be made."""

    def adopt(self, settings: Journaling) -> None:
        """Goes on by these settings. The first time a file is begun, so that a disk that fails is found out now."""
        self._settings = settings
        if self._segment is None:
            self._make_room(0)
        self._age()

    def promise(self, size: int = PLAIN) -> bool:
        """Promises room for a record; False: there is none. Each promise is kept by one `append` that names its size.

        A record with the texts of prompt and answer needs CONTENT more.
        """
        if size > self._room - self._promised and not self._make_room(size):
            self.refused += 1
            return False
        self._promised += size
        return True

    def append(self, record: RequestRecord, promised: int = PLAIN) -> None:
        """Takes the record that was promised so much room; it is written at the end of this turn of the loop."""
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting.append((record, promised))

    def flush(self) -> None:
        """Writes what is waiting. Raises OSError, after `failed` was told, where that cannot be done."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        segment = self._segment or self._begun(0)
        data = b"".join([frame(fitted(record, promised), segment.salt) for record, promised in waiting])
        try:
            segment.write(data)
            if not self._settings.sync:
                segment.force()
        except OSError as error:
            self._fail(error)
        self.written += len(waiting)
        self._room -= len(data)
        self._promised = max(self._promised - sum([promised for _, promised in waiting]), 0)
        if self._settings.sync:
            self._force_soon()
        if segment.position >= self._settings.segment:
            self._rotate()

    def close(self) -> None:
        """Writes and forces everything, and lets go of the file."""
        self.flush()
        for timer in (self._aging, self._looking):
            if timer is not None:
                timer.cancel()
        self._thread.shutdown()
        segment, self._segment = self._segment, None
        if segment is not None:
            try:
                segment.finish()
            except OSError as error:
                self._fail(error)

    # Room.

    def _make_room(self, size: int) -> bool:
        """Whether there is room for so many bytes more than were promised. Where there was none a moment ago, nobody
        asks the disk again for each request: `_look_again` finds out.
        """
        return not self.trouble and self._has_made_room(size)

    def _look_again(self) -> None:
        self._has_made_room(0)

    def _has_made_room(self, size: int) -> bool:
        try:
            self._grow(max(size, min(AHEAD, self._settings.max_size // 8)))
        except OSError as error:
            if error.errno in BROKEN:
                self._fail(error)
            self._looking = self._loop.call_later(LOOK_AGAIN, self._look_again)
            self._short(error.strerror or str(error))
            self._rotate()  # a file that is nobody's can be deleted once everyone has read it
            return False
        self._short("")
        return True

    def _grow(self, size: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if used(self._folder) + size > self._settings.max_size:
            raise OSError(errno.EDQUOT, "journal.max_size is used up")
        if self._segment is None:
            self._begin(size)
        else:
            self._segment.reserve(size)
            self._room += size

    def _short(self, reason: str) -> None:
        """Says once that there is no room, and once that there is again."""
        if reason and not self.trouble:
            log.error("journal_full", extra={"reason": reason})
        elif self.trouble and not reason:
            log.info("journal_has_room", extra={"refused": self.refused})
        self.trouble = reason

    # Files.

    def _begin(self, size: int) -> Segment:
        """A new file with room for `size` bytes. Raises OSError; then the one before stays."""
        name = f"{self._kind}-{time.time_ns() // 1_000_000}-{os.getpid()}-{next(_begun_here)}.journal"
        self._segment = segment = Segment(self._folder / name, size)
        self._room = size
        self._opened_at = self._loop.time()
        self._age()
        return segment

    def _begun(self, size: int) -> Segment:
        """The same for a record that nobody has promised anything; there is nothing before."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return self._begin(size)
        except OSError as error:
            self._fail(error)

    def _rotate(self) -> None:
        """Goes on in a new file, unless there is none to be had that holds what was promised."""
        old = self._segment
        if old is None or not old.holds_frames:
            return
        try:
            self._begin(self._promised)
        except OSError as error:
            if error.errno in BROKEN:
                self._fail(error)
            return
        self._in_thread(old.finish)

    def _age(self) -> None:
        """Has the file end when it is old enough."""
        if self._aging is not None:
            self._aging.cancel()
        if self._segment is not None:
            self._aging = self._loop.call_at(self._opened_at + self._settings.rotate, self._aged)

    def _aged(self) -> None:
        if self._segment is not None and self._loop.time() - self._opened_at >= self._settings.rotate:
            before = self._segment
            self._rotate()
            if self._segment is before:  # nothing in it, or no room for another
                self._opened_at = self._loop.time()
        self._age()

    # The disk.

    def _force_soon(self) -> None:
        self._unforced = True
        if not self._forcing:
            self._forcing = True
            self._loop.call_later(self._settings.sync, self._force)

    def _force(self) -> None:
        self._unforced = False
        if self._segment is None:
            self._forcing = False
            return
        self._in_thread(self._segment.force, self._forced)

    def _forced(self) -> None:
        self._forcing = False
        if self._unforced:
            self._force_soon()

    def _in_thread(self, work: Callable[[], None], then: Callable[[], None] = lambda: None) -> None:
        def done(future: "asyncio.Future[None]") -> None:
            if future.cancelled():
                return
            error = future.exception()
            if isinstance(error, OSError):
                self._fail(error)
            then()

        self._loop.run_in_executor(self._thread, work).add_done_callback(done)

    def _fail(self, error: OSError) -> NoReturn:
        self._failed(error)
        raise error
