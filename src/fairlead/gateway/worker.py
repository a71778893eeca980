"""A worker process: one event loop that serves the proxy port until it is told to stop.

It knows the sockets, the snapshots that come in, and the board. It must not know the configuration file.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import ssl
import time
from pathlib import Path
from random import Random

import msgspec

from fairlead.canonical.errors import GatewayError
from fairlead.canonical.routing import Server as Settings
from fairlead.canonical.routing import Snapshot
from fairlead.dialects import openai_chat
from fairlead.gateway.answers import code_of, error_fields, refused_by
from fairlead.gateway.callers import Callers
from fairlead.gateway.holds import Holds
from fairlead.gateway.port import Port
from fairlead.gateway.world import World
from fairlead.http import loop
from fairlead.http.client import Client
from fairlead.http.outbox import outbox_of
from fairlead.http.server import Limits, Server
from fairlead.journal import Journal
from fairlead.state.board import Board, Figures
from fairlead.state.channel import Notice, Published, Subscriber
from fairlead.state.choice import open_state
from fairlead.state.keys import KeyIndex

log = logging.getLogger("fairlead.gateway")

BOARD_EVERY = 0.2
"""Seconds between two writings of this worker's figures."""


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is started with."""

    number: int
    """Its row on the board."""
    host: str
    port: int
    socket: Path
    """Where the control process publishes snapshots."""
    journals: Path
    state: Path
    """Where this machine's own counts are kept."""
    keys: Path
    """The index of keys that were made at run time; control has made it before the first snapshot comes."""
    machine: str
    """What names this machine among those that share its state."""
    lifeline: int
    """A pipe whose writing end the supervisor holds: its end means that the supervisor is gone."""


class Worker:
    """One worker from start to end."""

    def __init__(self, post: Post, board: Board) -> None:
        self._post = post
        self._board = board
        self._generation = 0
        self._arrived = asyncio.Event()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        running = asyncio.get_running_loop()
        self._journal = Journal(post.journals, "requests", running)
        outbox_of(running).before = self._journal.flush  # no answer leaves before its record is in the kernel
        self._client = Client()
        self._subscriber = Subscriber(post.socket, self._take_up)
        self._holds = Holds(
            f"{post.machine}-{os.getpid():x}-{time.time_ns() // 1_000_000:x}",
            tell=self._subscriber.tell,
            written=self._journal.flush,
        )
        self._callers = Callers(
            generation=lambda: board.keys_generation,
            clock=time.monotonic,
            wall=time.time,
            wanted=lambda issuer: self._subscriber.tell(Notice("issuer", issuer)),
        )
        self._world = World(self._client, self._journal, self._callers, self._holds, Random())
        self._world.tell = self._subscriber.tell
        self._server: Server | None = None

    async def run(self) -> None:
        """Serves until SIGTERM or the supervisor's end; then drains. A second SIGTERM ends the draining."""
        running = asyncio.get_running_loop()
        running.add_signal_handler(signal.SIGTERM, self._told_to_stop)
        running.add_reader(self._post.lifeline, self._told_to_stop)
        background = [asyncio.create_task(self._subscriber.run()), asyncio.create_task(self._holds.renew())]
        try:
            await self._until(self._arrived, self._stop, *background)
            for task in background:
                if task.done():
                    task.result()  # a snapshot that cannot be used must not leave a worker that waits for ever
            if not self._stop.is_set():
                await self._serve(self._world.snapshot, background)
        finally:
            for task in background:
                task.cancel()
            await self._client.close()
            self._world.counter.close()
            if self._arrived.is_set():
                await self._holds.settled()
                await self._holds.state.close()
            self._journal.close()

    async def _serve(self, snapshot: Snapshot, background: "list[asyncio.Task[None]]") -> None:
        settings = snapshot.server
        port = Port(self._world, lambda: not self._stop.is_set())
        self._server = server = Server(port, limits_of(settings), refuse=self._worded)
        await server.listen(self._post.host, self._post.port, reuse_port=True, tls=_tls(settings))
        figures = asyncio.create_task(self._keep_board(server))
        _settle_memory()
        await self._until(self._stop, *background)
        self._stop.set()  # also where one of them has ended: without snapshots or leases a worker does not go on
        log.info("draining", extra={"worker": self._post.number, "in_flight": server.in_flight})
        draining = asyncio.create_task(server.drain(self._world.snapshot.server.drain))
        await self._until(self._hurry, draining)
        if not draining.done():
            draining.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await draining
            await server.drain(0.0)
        figures.cancel()
        self._board.clear(self._post.number)
        for task in background:
            if task.done():
                task.result()

    def _take_up(self, published: Published) -> None:
        """A snapshot that cannot be used leaves the one before it, and later ones are looked at all the same."""
        try:
            self._adopt(published)
        except Exception as error:
            if not self._arrived.is_set():
                raise
            log.error("snapshot_unusable", extra={"generation": published.generation, "error": type(error).__name__})

    def _adopt(self, published: Published) -> None:
        if self._callers.index is None:
            self._callers.index = KeyIndex(self._post.keys)
            self._holds.state = open_state(published.snapshot.sharing, self._post.state)
        self._world.adopt(published.snapshot)
        self._journal.adopt(published.snapshot.journal)
        if self._arrived.is_set():
            self._world.counter.prepare(self._world.demands.vocabularies)
        else:  # loading holds the interpreter for a moment, and nobody is served yet
            self._world.counter.load(self._world.demands.vocabularies)
        self._generation = published.generation
        self._arrived.set()
        if self._server is not None:
            self._server.limits = limits_of(published.snapshot.server)
            self._write_board(self._server)

    def _worded(self, status: int, reason: str) -> tuple[bytes, bytes]:
        """A refusal of the HTTP layer, in the words of the proxy port."""
        error = GatewayError(code_of(status), reason, status=status)
        refused = refused_by(self._world.request_id({}), error)
        return error_fields(refused), openai_chat.encode_error(refused)

    def _told_to_stop(self) -> None:
        (self._hurry if self._stop.is_set() else self._stop).set()
        with contextlib.suppress(ValueError, OSError):
            asyncio.get_running_loop().remove_reader(self._post.lifeline)

    async def _keep_board(self, server: Server) -> None:
        while True:
            self._write_board(server)
            await asyncio.sleep(BOARD_EVERY)

    def _write_board(self, server: Server) -> None:
        figures = Figures(
            pid=os.getpid(),
            seen_at=time.monotonic(),
            generation=0 if self._stop.is_set() else self._generation,
            connections=server.open_connections,
            in_flight=server.in_flight,
            requests=server.requests,
            records=self._journal.written,
            unrecorded=self._journal.refused,
            full=int(bool(self._journal.trouble)),
            resting=self._world.fleet.resting(time.monotonic()),
        )
        self._board.write(self._post.number, figures)

    @staticmethod
    async def _until(*events: "asyncio.Event | asyncio.Task[None]") -> None:
        """Waits for the first of several."""
        tasks = [e if isinstance(e, asyncio.Task) else asyncio.ensure_future(e.wait()) for e in events]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for event, task in zip(events, tasks, strict=True):
                if task is not event:
                    task.cancel()


def work(post: Post, board: Board) -> None:
    """Runs a worker in this process until it ends."""

    loop.run(lambda: _main(post, board))


async def _main(post: Post, board: Board) -> None:
    await Worker(post, board).run()


def _settle_memory() -> None:
    """What is loaded by now stays for good, so the collector need not look at it again, nor look as often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def limits_of(settings: Settings) -> Limits:
    """The server's limits for these settings."""
    return Limits(
        body=settings.max_body,
        head_timeout=settings.header_timeout,
        body_timeout=settings.body_timeout,
        idle_timeout=settings.keep_alive,
    )


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    return context
