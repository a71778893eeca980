"""The follower: brings every change of a key from the database into this machine's index, within a second.

It knows both sides' shapes. It must not know who changes keys, nor how one is presented. While the database is away,
workers go on with what the index has.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator

from sqlalchemy import Connection

from fairlead.canonical.tenants import VirtualKey
from fairlead.control.desk import Desk
from fairlead.database import keys as rows
from fairlead.database.engine import Database
from fairlead.database.keys import Change
from fairlead.database.place import DatabaseError
from fairlead.state.board import Board
from fairlead.state.keys import Entry, KeyIndexError, KeyWriter, Standing

log = logging.getLogger("fairlead.control")

LOOK_EVERY = 0.25
"""Seconds between two looks at the database's newest version."""
TROUBLES: dict[type[Exception], str] = {DatabaseError: "database", KeyIndexError: "key_index"}
"""What is down when following fails with this; `<word>_down` and `<word>_up` are the log's events."""


class Follower:
    """Keeps one index at its database's newest version."""

    def __init__(self, database: Database, index: KeyWriter, board: Board) -> None:
        self._database = database
        self._index = index
        self._board = board
        self._desk = Desk("keys")
        self._nudged = asyncio.Event()
        self._trouble: str | None = None

    async def run(self) -> None:
        """Follows until it is cancelled."""
        while True:
            await self.catch_up()
            with contextlib.suppress(TimeoutError):
                # Not wait_for: in Python 3.11 that forgets a cancellation that comes together with the event.
                async with asyncio.timeout(LOOK_EVERY):
                    await self._nudged.wait()
            self._nudged.clear()

    def nudge(self) -> None:
        """A key was changed here: no need to wait for the next look."""
        self._nudged.set()

    async def catch_up(self) -> bool:
        """Brings the index to where the database is now. False: it could not be done."""
        try:
            changed = await self._desk.do(self._follow)
        except Exception as error:  # whatever it is, the next look may succeed
            self._tell(TROUBLES.get(type(error), "key_follower"), str(error))
            return False
        self._tell(None)
        if changed:
            self._board.bump_keys()
        return True

    async def close(self) -> None:
        """Ends after what is being done; the index and the database are the caller's to close."""
        await asyncio.to_thread(self._desk.close)

    def _tell(self, trouble: str | None, reason: str = "") -> None:
        """One line when something goes, one when it is back."""
        if trouble != self._trouble:
            if self._trouble is not None:
                log.info(f"{self._trouble}_up", extra={"database": self._database.place.name})  # noqa: G004
            if trouble is not None:
                log.error(f"{trouble}_down", extra={"database": self._database.place.name, "reason": reason})  # noqa: G004
        self._trouble = trouble

    def _follow(self) -> bool:
        """Whether anything was new."""
        at = self._index.standing()
        with self._database.reading() as connection:
            uid, version = rows.identity(connection)
            if (uid, version) == (at.uid, at.version):
                return False
            if uid != at.uid or version < at.version:
                # Another database, or this one from an older backup: nothing of the index holds any more.
                self._index.rebuild(entries(connection), Standing(uid, version))
                return True
        while changes := self._changes_since(at.version):
            at = Standing(uid, changes[-1].key.version)
            self._index.apply(map(entry_of, changes), at)
        if at.version < version:
            self._index.apply((), Standing(uid, version))  # a version that changed no key that is still there
        return True

    def _changes_since(self, version: int) -> list[Change]:
        """A page in a transaction of its own: a long one would be in the way of others."""
        with self._database.reading() as connection:
            return rows.changes_since(connection, version)


def entries(connection: Connection) -> Iterator[Entry]:
    """Every key."""
    at = 0
    while changes := rows.changes_since(connection, at):
        yield from map(entry_of, changes)
        at = changes[-1].key.version


def entry_of(change: Change) -> Entry:
    """What the index has of a key: nothing of one that is revoked, and the earlier end of key and secret."""
    if change.key.revoked_at is not None:
        return Entry(change.key.id)
    return Entry(
        change.key.id,
        tuple((secret.mac, _virtual(change, secret.expires_at)) for secret in change.secrets),
    )


def _virtual(change: Change, secret_ends: float | None) -> VirtualKey:
    key = change.key
    ends = [end for end in (key.expires_at, secret_ends) if end is not None]
    return VirtualKey(
        id=key.id,
        name=key.name,
        tenant=key.tenant,
        tier=key.tier,
        limits=key.limits,
        models=key.models,
        routes=key.routes,
        cidrs=key.cidrs,
        tags=key.tags,
        expires_at=min(ends, default=None),
    )
