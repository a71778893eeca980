"""Which journals stay: repairs what a dead worker left, and deletes what everyone has read and nobody needs.

It knows files and how far each follower has read. It must not know what followers make of records. A file that one of
them has not read to its end stays, whatever the settings say: then requests are refused before anything is lost.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec.structs import replace

from fairlead.config.records import Journal as Settings
from fairlead.control.desk import Desk
from fairlead.journal.bookmark import Bookmark
from fairlead.journal.repair import EVIDENCE, Inspected, inspect
from fairlead.journal.segment import PATTERN, used

log = logging.getLogger("fairlead.control")

SWEEP_EVERY = 2.0
"""Seconds between two looks at the files."""
EASE = 8
"""One part in so many of `journal.max_size` is kept free, as far as files can go, so that workers find room."""


class Follower(Protocol):
    """Who reads the journals."""

    @property
    def name(self) -> str: ...
    @property
    def positions(self) -> Mapping[str, int] | None:
        """Up to where it has taken in each file; None: it cannot be told now."""
        ...


class _File(msgspec.Struct, frozen=True):
    """A file that nobody writes any more."""

    what: Inspected
    done_at: float | None = None
    """Unix seconds at which everyone was seen to have read it."""


class Retention:
    """The journals of one machine. `is_short` tells whether a worker refuses requests for want of room."""

    def __init__(
        self,
        folder: Path,
        followers: Sequence[Follower],
        settings: Callable[[], Settings],
        is_short: Callable[[], bool],
        hurry: Callable[[], None] = lambda: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`hurry` asks followers that take their time to be done with what they have read, as room is short."""
        self._folder = folder
        self._followers = followers
        self._settings = settings
        self._is_short = is_short
        self._hurry = hurry
        self._wall = wall
        self._desk = Desk("retention")
        self._bookmark = Bookmark(folder / "files", dict[str, _File])
        self._files = self._bookmark.read() or {}
        self._held: list[str] = []
        self._unrepaired: set[str] = set()
        """Files that could not be looked through, which was said."""

    @property
    def damage(self) -> str:
        """Which files are damaged, in words; empty: none is."""
        names = sorted(name for name, file in self._files.items() if file.what.damage)
        return f"damaged: {', '.join(names)}; see {EVIDENCE}/" if names else ""

    async def run(self) -> None:
        """Looks after the files until it is cancelled."""
        while True:
            await self.sweep()
            await asyncio.sleep(SWEEP_EVERY)

    async def repair(self) -> None:
        """Repairs what was left, before anyone reads it. What cannot be done now is done later."""
        with contextlib.suppress(OSError):
            await self._desk.do(self._look)

    async def sweep(self) -> None:
        """Repairs and deletes what there is to repair and to delete now. What cannot be done now is done later."""
        with contextlib.suppress(OSError):
            await self._desk.do(self._sweep)

    async def close(self) -> None:
        await asyncio.to_thread(self._desk.close)

    def _sweep(self) -> None:
        before = dict(self._files)
        self._look()
        if self._is_short():
            self._hurry()
        self._mark(self._wall())
        self._delete_old(self._wall())
        self._delete_for_room()
        if self._files != before:
            self._bookmark.write(self._files)

    def _look(self) -> None:
        """Inspects every file that has come to its end since the last look."""
        there = {path.name: path for path in self._folder.glob(PATTERN)}
        self._files = {name: file for name, file in self._files.items() if name in there}
        self._unrepaired &= there.keys()
        for name in sorted(there.keys() - self._files.keys()):
            try:
                what = inspect(there[name])
            except FileNotFoundError:  # its worker has ended and left nothing in it
                continue
            except OSError as error:  # a full disk, say, that cannot keep what is cut off; other files can go meanwhile
                self._tell_unrepaired(name, error)
                continue
            if what is not None:
                self._found(name, what)

    def _found(self, name: str, what: Inspected) -> None:
        self._files[name] = _File(what)
        self._unrepaired.discard(name)
        if what.cut:
            log.warning("journal_repaired", extra={"file": name, "offset": what.end, "bytes": what.cut})
        for first, last in what.damage:
            log.error("journal_damaged", extra={"file": name, "offset": first, "bytes": last - first})

    def _tell_unrepaired(self, name: str, error: OSError) -> None:
        if name not in self._unrepaired:
            self._unrepaired.add(name)
            log.error("journal_unrepaired", extra={"file": name, "reason": error.strerror})

    def _mark(self, now: float) -> None:
        """Notes since when everyone has been done with each file. That stays so, as nobody writes it any more."""
        told = [follower.positions for follower in self._followers]
        for name, file in self._files.items():
            if file.done_at is not None:
                continue
            if file.what.empty or all(_is_beyond(positions, name, file.what.end) for positions in told):
                self._files[name] = replace(file, done_at=now)

    def _delete_old(self, now: float) -> None:
        keep = self._settings().keep
        for name, file in list(self._files.items()):
            if file.done_at is not None and (file.what.empty or file.done_at + keep <= now):
                self._delete(name)

    def _delete_for_room(self) -> None:
        """Deletes the oldest files that are done with, as long as there is too little room."""
        most = self._settings().max_size * (EASE - 1) // EASE
        is_short = self._is_short()
        done = sorted((file.what.written_at, name) for name, file in self._files.items() if file.done_at is not None)
        for _, name in done:
            if used(self._folder) <= most and not is_short:
                break
            self._delete(name)
            is_short = False
        self._tell_who_holds(is_short)

    def _delete(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)
        del self._files[name]
        log.info("journal_deleted", extra={"file": name})

    def _tell_who_holds(self, is_short: bool) -> None:
        """Says once for whom files are kept although there is no room left."""
        held = []
        if is_short:
            for follower in self._followers:
                positions = follower.positions
                if any(not _is_beyond(positions, name, file.what.end) for name, file in self._files.items()):
                    held.append(follower.name)
        if held and held != self._held:
            log.error("journal_held", extra={"by": held})
        self._held = held


def _is_beyond(positions: Mapping[str, int] | None, name: str, end: int) -> bool:
    return positions is not None and positions.get(name, 0) >= end
