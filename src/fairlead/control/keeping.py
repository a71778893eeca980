"""All that the control process runs for virtual keys: database, index, follower, admin entries.

It puts together what the modules beside it know apart. Only the control process imports it: the drivers come with it.
"""

import asyncio
import contextlib
import time

from fairlead.control.admin import Entry
from fairlead.control.desk import Desk
from fairlead.control.key_entries import KeyEntries
from fairlead.control.key_post import KeyPost
from fairlead.control.keyring import Keyring
from fairlead.control.keys import Follower
from fairlead.database.engine import Database
from fairlead.state.board import Board
from fairlead.state.keys import KeyWriter


class Keeping:
    """From the first look at the database to the last."""

    def __init__(self, post: KeyPost, board: Board) -> None:
        self._database = Database(post.place)
        self._index = KeyWriter(post.index)
        self._desk = Desk("admin")
        self._follower = Follower(self._database, self._index, board)
        self._keyring = Keyring(self._database, post.pepper, terms=post.terms, clock=time.time)
        self._following: asyncio.Task[None] | None = None

    def entries(self) -> tuple[Entry, ...]:
        """What the admin port answers about keys."""
        return KeyEntries(self._keyring, self._desk, self._follower.nudge).entries()

    async def start(self) -> None:
        """Catches up, so that the first worker finds every key, and follows from then on."""
        await self._follower.catch_up()
        self._following = asyncio.create_task(self._follower.run())

    async def close(self) -> None:
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
        await self._follower.close()
        await asyncio.to_thread(self._desk.close)
        self._index.close()
        self._database.close()
