"""The control process: one event loop beside the traffic, that puts together what the modules of this package do apart.

The configuration and its secrets, the keys of issuers, virtual keys and their database, the ledger, overdue holds, and
the admin port. Killing it stops no request: workers go on with what they have, and the next one goes on from there.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING

import msgspec

from fairlead.canonical.routing import Snapshot
from fairlead.config.records import Journal
from fairlead.control.admin import Admin, refuse
from fairlead.control.audit_post import AuditPost
from fairlead.control.configuring import ConfigPost, Configuring
from fairlead.control.gauges import Standing
from fairlead.control.health import Health
from fairlead.control.issuers import Issuers
from fairlead.control.projector import Projector
from fairlead.control.retention import Follower, Retention
from fairlead.control.telling import Telling
from fairlead.control.tenancy_post import TenancyPost
from fairlead.http import loop
from fairlead.http.client import Client
from fairlead.http.server import Limits, Server
from fairlead.journal.reader import Reader
from fairlead.state.board import Board
from fairlead.state.channel import Notice, Publisher
from fairlead.telemetry.exposition import Gauges

if TYPE_CHECKING:
    from pathlib import Path

    from fairlead.control.auditing import Auditing
    from fairlead.control.tenancy import Tenancy

FIRST_KEYS = 3.0
"""Seconds that the first snapshot may wait for the keys of issuers."""
LARGEST_BODY = 65536


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """What the control process is started with."""

    host: str
    port: int
    socket: "Path"
    """Where workers come for snapshots."""
    lifeline: int
    projections: "Path"
    """Where projections that have no other place keep how far they are."""
    admin_key: str | None = None
    admin_guarded: bool = False
    """Whether the admin port wants a key, also while none is known."""
    config: ConfigPost
    tenancy: TenancyPost
    audit: AuditPost

    def __repr__(self) -> str:
        return f"Post({self.host}:{self.port})"


class Control:
    """The control process from start to end."""

    def __init__(self, post: Post, board: Board) -> None:
        self._post = post
        self._board = board
        self._stop = asyncio.Event()
        self._client = Client()
        self._publisher = Publisher(self.heed)
        self._issuers = Issuers(self._client, self._publish_again)
        self._health = Health(board)
        reader = Reader(post.tenancy.journals)
        self._auditing = auditing = _auditing(post.audit, reader, self._client, self._recovered)
        self._health.audit(lambda: auditing.trouble)
        self.config = Configuring(
            post.config, board, self._health, publish=self._publish, guard=self._guard, registrar=auditing
        )
        self._tenancy = _tenancy(post.tenancy, board, self.config, self._health, auditing, reader)
        standing = Standing(board, self._health, reader, self._projectors, (self._gauges, auditing.gauges))
        self._telling = Telling(post.projections, reader, self.config, standing=standing, machine=post.tenancy.machine)
        # Log lines and traces may miss what they have not read in time; nobody else may.
        readers: Sequence[Follower] = (*self._tenancy.projectors, auditing.records, self._telling.keeper)
        is_short = lambda: any(row.full for row in board.all())  # noqa: E731
        hurry = self._telling.keeper.hurry
        self._retention = Retention(post.tenancy.journals, readers, self._journaling, is_short, hurry)
        self._health.journals(lambda: self._retention.damage)
        self._health.projections(lambda: {one.name: one.trouble for one in self._projectors()})
        entries = (*self._health.entries(), *self._tenancy.entries(), *auditing.entries(), *self._telling.entries())
        clock = asyncio.get_running_loop().time
        self._admin = Admin(entries, post.admin_key, clock, guarded=post.admin_guarded, refused=self._auditing.refused)

    async def run(self) -> None:
        """Publishes and answers until SIGTERM or the supervisor's end. SIGHUP compiles the configuration anew."""
        running = asyncio.get_running_loop()
        running.add_signal_handler(signal.SIGTERM, self._stop.set)
        running.add_signal_handler(signal.SIGHUP, self.config.reload)
        running.add_reader(self._post.lifeline, self._orphaned)
        self._publisher.generation = max((figures.generation for figures in self._board.all()), default=0)
        await self.config.start()
        await self._retention.repair()
        await self._auditing.start()
        await self._tenancy.start()
        await self._issuers.tried(FIRST_KEYS)
        await self._publisher.listen(self._post.socket)
        server = Server(self._admin, Limits(body=LARGEST_BODY), refuse=refuse)
        await server.listen(self._post.host, self._post.port, reuse_port=True)
        await self._until_told_to_stop()
        await server.drain(1.0)
        await self._telling.close()
        await self._tenancy.close()
        await self._auditing.close()
        await self._retention.close()
        await self.config.close()
        self._issuers.close()
        await self._client.close()
        await self._publisher.close()

    async def _until_told_to_stop(self) -> None:
        """Follows everything. What ends by itself ends by a fault: then the supervisor starts another process."""
        tasks = [asyncio.ensure_future(work) for work in self._works()]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    def _works(self) -> tuple[Coroutine[None, None, None], ...]:
        works = (self.config, self._tenancy, self._auditing, self._telling, self._retention)
        return *(work.run() for work in works), self._told()

    def _projectors(self) -> tuple[Projector, ...]:
        return (*self._tenancy.projectors, self._auditing.records, *self._telling.projectors)

    def _journaling(self) -> Journal:
        return Journal() if self.config.config is None else self.config.config.journal

    async def _told(self) -> None:
        await self._stop.wait()

    def _gauges(self) -> Gauges:
        return {
            **self._telling.gauges(),
            "fairlead_budget_alerts": [((), self._tenancy.budget_alerts)],
            "fairlead_journal_max_bytes": [((), self.config.serving.journal.max_size)],
        }

    def _publish(self, snapshot: Snapshot) -> int:
        self._issuers.watch(snapshot.issuers)
        return self._publisher.publish(self._issuers.filled(snapshot))

    def _publish_again(self) -> None:
        """The configuration that holds, with the keys that issuers have now."""
        self._publisher.publish(self._issuers.filled(self.config.serving))

    def _recovered(self) -> None:
        """The audit trail can be written again: a configuration may have waited for it."""
        self.config.reload()

    def _guard(self, key: str | None) -> None:
        self._admin.guard(key)

    def heed(self, notice: Notice) -> None:
        """What a worker has noticed."""
        match notice.kind:
            case "issuer":
                self._issuers.wanted(notice.name)
            case "credential":
                self.config.refresh_credential(notice.name)
            case "seed" | "alert":
                self._tenancy.heed(notice)

    def _orphaned(self) -> None:
        asyncio.get_running_loop().remove_reader(self._post.lifeline)
        self._stop.set()


def _tenancy(
    post: TenancyPost, board: Board, config: Configuring, health: Health, auditing: "Auditing", reader: Reader
) -> "Tenancy":
    """Imported here, in the control process alone: the workers are forked without the drivers of databases."""
    from fairlead.control.tenancy import Tenancy

    return Tenancy(post, board, config, health, auditing, reader=reader)


def _auditing(post: AuditPost, reader: Reader, client: Client, recovered: Callable[[], None]) -> "Auditing":
    """Imported here as well: the workers sign nothing."""
    from fairlead.control.auditing import Auditing

    return Auditing(post, reader, client, recovered)


def control(post: Post, board: Board) -> None:
    """Runs the control process in this process until it ends."""
    loop.run(lambda: _main(post, board))


async def _main(post: Post, board: Board) -> None:
    await Control(post, board).run()
