"""Drives one projection: brings it what the journals have beyond its position, for ever.

Each projection has a thread and a position of its own, so one that is stuck (a database that is down, an exporter that
hangs) delays no other, and what it missed waits in the journal. It must not know what a projection makes of a record.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Protocol

from fairlead.control.desk import Desk
from fairlead.journal.reader import Batch, Reader

log = logging.getLogger("fairlead.control")

LOOK_EVERY = 0.5
"""Seconds between two looks at the journals."""


LAST_LOOK = 2.0
"""Seconds that a projection has at the end for what the journals still hold."""


class ProjectionError(Exception):
    """The projection cannot take more for now; nothing is lost. The message says why, without a secret."""


class Projection(Protocol):
    """What is made of the records. All calls come from one thread."""

    name: str
    """As logs and metrics have it."""

    def positions(self) -> Mapping[str, int]:
        """Up to where each journal file is in it. Asked at the start and after each error."""
        ...

    def take(self, batch: Batch) -> None:
        """Takes a batch in, position and all, or nothing of it. Raises ProjectionError."""
        ...


class Projector:
    """One projection's way through the journals."""

    def __init__(self, reader: Reader, projection: Projection) -> None:
        self._reader = reader
        self._projection = projection
        self._desk = Desk(projection.name)
        self._positions: dict[str, int] | None = None
        self._reached: Mapping[str, int] | None = None
        self._trouble = ""

    @property
    def name(self) -> str:
        return self._projection.name

    @property
    def positions(self) -> Mapping[str, int] | None:
        """Up to where each file was taken in; None: it is not known now."""
        return self._positions

    @property
    def reached(self) -> Mapping[str, int] | None:
        """Up to where each file was taken in, as far as that was known last; None: it never was."""
        return self._reached if self._positions is None else self._positions

    @property
    def trouble(self) -> str:
        """Why it cannot go on; empty: it can."""
        return self._trouble

    async def run(self) -> None:
        """Keeps the projection up to date until it is cancelled."""
        while True:
            await self._bring(at_ease=True)
            await asyncio.sleep(LOOK_EVERY)

    async def catch_up(self) -> bool:
        """Brings in everything that the journals have now. False: it could not be done; the next look goes on."""
        return await self._bring()

    async def _bring(self, *, at_ease: bool = False) -> bool:
        try:
            await self._desk.do(lambda: self._read_on(at_ease))
        except Exception as error:  # whatever it is, the next look may succeed, and no other projection minds
            known = isinstance(error, ProjectionError | OSError)
            reason = str(error) if known else type(error).__name__
            if not self._trouble:
                log.error("projection_down", extra={"projection": self.name, "reason": reason}, exc_info=not known)
            self._trouble, self._reached, self._positions = reason, self.reached, None
            return False
        if self._trouble:
            log.info("projection_up", extra={"projection": self.name})
        self._trouble = ""
        return True

    async def close(self, seconds: float = LAST_LOOK) -> None:
        """Brings in the last that there is, if that can be done in so many seconds, and ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.catch_up()
                await asyncio.to_thread(self._desk.close)

    def _read_on(self, at_ease: bool) -> None:
        positions = self._positions
        if positions is None:
            positions = self._reached = dict(self._projection.positions())
        for batch in self._reader.beyond(positions, at_ease=at_ease):
            self._projection.take(batch)
            positions[batch.file] = batch.end
        for name in self._reader.gone(positions):
            del positions[name]
        self._positions = positions
