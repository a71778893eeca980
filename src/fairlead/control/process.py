"""The control process: one event loop that publishes snapshots, follows the keys' database and answers the admin port.

It knows the configuration's file only by its time stamp; compiling is a function that it is given. A configuration
that does not compile never replaces one that did.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from fairlead.canonical.routing import Snapshot
from fairlead.control.admin import Admin, refuse
from fairlead.control.health import Health
from fairlead.control.issuers import Issuers
from fairlead.control.key_post import KeyPost
from fairlead.http import loop
from fairlead.http.client import Client
from fairlead.http.server import Limits, Server
from fairlead.state.board import Board
from fairlead.state.channel import Notice, Publisher

if TYPE_CHECKING:
    from fairlead.control.keeping import Keeping

log = logging.getLogger("fairlead.control")

LOOK_EVERY = 0.5
"""Seconds between two looks at the configuration file."""
FIRST_KEYS = 3.0
"""Seconds that the first snapshot may wait for the keys of issuers."""


AT_START = ("host", "port", "workers", "drain", "tls_cert", "tls_key")
"""Settings of the server that only a start takes up."""


class ConfigRejectedError(Exception):
    """The configuration does not compile; the message holds every problem, one on a line."""


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """What the control process is started with."""

    host: str
    port: int
    socket: Path
    """Where workers come for snapshots."""
    watched: tuple[Path, ...]
    """Files whose change asks for a new compilation."""
    lifeline: int
    compile: Callable[[], Snapshot]
    """Raises ConfigRejectedError."""
    first: Snapshot
    """What the family was started with: served when the file is bad at a time when nothing else is known."""
    admin_key: str | None = None
    keys: KeyPost | None = None
    """None: this gateway has the keys of its configuration only."""

    def __repr__(self) -> str:
        return f"Post({self.host}:{self.port})"


class Control:
    """The control process from start to end."""

    def __init__(self, post: Post, board: Board) -> None:
        self._post = post
        self._publisher = Publisher(self._heed)
        self._client = Client()
        self._issuers = Issuers(self._client, self._publish_keys)
        self._health = Health(board)
        self._keeping = _keeping(post.keys, board) if post.keys is not None else None
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()
        self._serving: Snapshot | None = None

    async def run(self) -> None:
        """Publishes and answers until SIGTERM or the supervisor's end. SIGHUP compiles the configuration anew."""
        running = asyncio.get_running_loop()
        running.add_signal_handler(signal.SIGTERM, self._stop.set)
        running.add_signal_handler(signal.SIGHUP, self._changed.set)
        running.add_reader(self._post.lifeline, self._orphaned)
        stamp = self._stamp()
        self._reload()
        if self._serving is None:
            self._publish(self._post.first)
        if self._keeping is not None:
            await self._keeping.start()
        await self._issuers.tried(FIRST_KEYS)
        await self._publisher.listen(self._post.socket)
        server = await self._admin_port()
        tasks = [asyncio.create_task(self._watch(stamp)), asyncio.create_task(self._reload_when_asked())]
        await self._stop.wait()
        for task in tasks:
            task.cancel()
        self._issuers.close()
        await self._client.close()
        await server.drain(1.0)
        if self._keeping is not None:
            await self._keeping.close()
        await self._publisher.close()

    async def _admin_port(self) -> Server:
        entries = self._health.entries() + (self._keeping.entries() if self._keeping is not None else ())
        admin = Admin(entries, self._post.admin_key, asyncio.get_running_loop().time)
        server = Server(admin, Limits(body=65536), refuse=refuse)
        await server.listen(self._post.host, self._post.port, reuse_port=True)
        return server

    def _reload(self) -> None:
        try:
            snapshot = self._post.compile()
        except ConfigRejectedError as rejected:
            self._reject(str(rejected))
        except Exception as error:  # the next change of the file must find this process alive
            self._reject(f"the configuration could not be compiled: {type(error).__name__}")
        else:
            self._health.accepted(snapshot.version)
            if self._serving is None or snapshot.version != self._serving.version:
                self._publish(snapshot)

    def _reject(self, problems: str) -> None:
        self._health.rejected(problems)
        log.error("config_rejected", extra={"problems": problems.splitlines()})

    def _publish(self, snapshot: Snapshot) -> None:
        self._issuers.watch(snapshot.issuers)
        generation = self._publisher.publish(self._issuers.filled(snapshot))
        log.info("config_published", extra={"version": snapshot.version, "generation": generation})
        fixed = [name for name in AT_START if getattr(snapshot.server, name) != getattr(self._post.first.server, name)]
        if fixed:
            log.warning("restart_needed", extra={"changed": [f"server.{name}" for name in fixed]})
        self._serving = snapshot

    def _heed(self, notice: Notice) -> None:
        """What a worker has noticed."""
        if notice.kind == "issuer":
            self._issuers.wanted(notice.name)

    def _publish_keys(self) -> None:
        """The configuration that holds, with the keys that issuers have now."""
        if self._serving is not None:
            self._publisher.publish(self._issuers.filled(self._serving))

    async def _reload_when_asked(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._reload()

    async def _watch(self, stamp: tuple[object, ...]) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if (now := self._stamp()) != stamp:
                stamp = now
                self._changed.set()

    def _stamp(self) -> tuple[object, ...]:
        """What changes when a watched file does; a file that is away for a moment keeps its place."""
        stamps: list[object] = []
        for path in self._post.watched:
            with contextlib.suppress(OSError):
                status = path.stat()
                stamps.append((str(path), status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(stamps)

    def _orphaned(self) -> None:
        asyncio.get_running_loop().remove_reader(self._post.lifeline)
        self._stop.set()


def _keeping(post: KeyPost, board: Board) -> "Keeping":
    """Imported here, in the control process alone: the workers are forked without the drivers of databases."""
    from fairlead.control.keeping import Keeping

    return Keeping(post, board)


def control(post: Post, board: Board) -> None:
    """Runs the control process in this process until it ends."""
    loop.run(lambda: _main(post, board))


async def _main(post: Post, board: Board) -> None:
    await Control(post, board).run()
