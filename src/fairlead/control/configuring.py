"""The configuration that holds: compiled anew whenever its file or a secret changes, and published.

It knows the configuration's file only by its time stamp; compiling is a function that it is given. A configuration
that does not compile never replaces one that did. Secrets are fetched here and nowhere else.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from fairlead.canonical.routing import Snapshot
from fairlead.config.compile import with_secrets
from fairlead.config.load import Loaded
from fairlead.config.model import Config
from fairlead.config.otlp import Otlp
from fairlead.config.references import files, remote, remote_credentials
from fairlead.config.secrets import Fetched
from fairlead.control.health import Health
from fairlead.control.probe import probe
from fairlead.control.rotation import Rotation
from fairlead.control.secrets.safe import Safe
from fairlead.control.secrets.store import Machine
from fairlead.state.board import Board
from fairlead.state.keepsake import Keepsake

log = logging.getLogger("fairlead.control")

LOOK_EVERY = 0.25
"""Seconds between two looks at the configuration file and the files of secrets."""
GATHER = 5.0
"""Seconds for which new references may hold up a configuration."""
AT_START = ("host", "port", "workers", "drain", "tls_cert", "tls_key")
"""Settings of the server that only a start takes up."""


class ConfigRejectedError(Exception):
    """The configuration does not compile; the message holds every problem, one on a line."""


class ConfigPost(msgspec.Struct, frozen=True, kw_only=True):
    """What keeping the configuration takes."""

    watched: tuple[Path, ...]
    """Files whose change asks for a new compilation."""
    compile: Callable[[Fetched], Loaded]
    """What the configuration is with these secrets. Raises ConfigRejectedError."""
    first: Snapshot
    """What the family was started with: served when the file is bad at a time when nothing else is known."""
    machine: Machine
    keepsake: Keepsake
    told: frozenset[str] = frozenset()
    """Warnings that the operator has seen already."""

    def __repr__(self) -> str:
        return f"ConfigPost({self.first.version})"


class Kept(msgspec.Struct, frozen=True):
    """What a control process leaves to the next one."""

    snapshot: Snapshot
    values: dict[str, str]
    """Secrets that came over the network, by reference."""

    def __repr__(self) -> str:
        return f"Kept({self.snapshot.version})"


class Registrar(Protocol):
    """Who writes down what becomes of configurations."""

    def configured(self, loaded: Loaded) -> None:
        """This one compiles."""
        ...

    async def hindrance(self) -> str:
        """Why none can be published that is another than the one before; empty: it can."""
        ...

    def published(self, version: str, generation: int) -> None: ...

    def rejected(self, version: str, problems: str) -> None:
        """The one of this version stays, for these problems of another."""
        ...


class Unregistered:
    """Nobody does."""

    def configured(self, loaded: Loaded) -> None:
        pass

    async def hindrance(self) -> str:
        return ""

    def published(self, version: str, generation: int) -> None:
        pass

    def rejected(self, version: str, problems: str) -> None:
        pass


class Configuring:
    """From the first compilation to the last. `publish` sends a snapshot to the workers and gives its generation."""

    def __init__(
        self,
        post: ConfigPost,
        board: Board,
        health: Health,
        *,
        publish: Callable[[Snapshot], int],
        guard: Callable[[str | None], None],
        registrar: Registrar | None = None,
    ) -> None:
        """`guard` is told the admin key of each configuration that holds."""
        self._post = post
        self._board = board
        self._health = health
        self._publish_with = publish
        self._guard = guard
        self._registrar: Registrar = registrar or Unregistered()
        self._changed = asyncio.Event()
        self._safe = Safe(post.machine, self._changed.set)
        self._rotation = Rotation(probe, self._changed.set, time.monotonic)
        self._serving: Snapshot | None = None
        self._sharing = post.first.sharing
        self._rejected: str | None = None
        self._references: dict[str, str] = {}
        self._watched = post.watched
        self._told = post.told
        self._stamped: tuple[object, ...] = ()
        """What the files were when they were last taken up."""
        self._seen: tuple[object, ...] = ()
        """What they were at the last look."""
        self.config: Config | None = None
        """The newest configuration that could be read; None: there was none yet."""
        self.otlp = Otlp()
        """What it sends by OTLP, and where to."""

    @property
    def serving(self) -> Snapshot:
        """What the workers have."""
        return self._serving or self._post.first

    async def start(self) -> None:
        """Publishes the first snapshot, once its secrets were asked for."""
        self._stamped = self._seen = self._stamp()
        self._restore()
        await self._reload()
        if self._serving is None:
            self._publish(self._post.first)

    async def run(self) -> None:
        """Follows the file and the secrets until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for work in (self._watch(), self._reload_when_asked(), self._safe.run()):
                group.create_task(work)

    def reload(self) -> None:
        """Has the configuration compiled anew."""
        self._changed.set()

    async def close(self) -> None:
        await self._rotation.close()
        await self._safe.close()

    def refresh_credential(self, provider: str) -> None:
        """A worker says that this provider refuses its credential: look for another one, at most every few seconds."""
        value = self._serving.secrets.get(provider) if self._serving is not None else None
        if value is None:
            return
        self._rotation.refused(provider, value)
        if provider in self._references:
            self._safe.refresh(self._references[provider])
        if self._rotation.has_trial(provider):
            self._changed.set()

    def _restore(self) -> None:
        """Goes on where a control process that died left off: what it published holds until there is a newer one."""
        content = self._post.keepsake.read()
        if content is not None:
            kept = msgspec.msgpack.decode(content, type=Kept)
            self._safe.restore(kept.values)
            self._publish(kept.snapshot)

    async def _reload(self) -> None:
        try:
            loaded = self._post.compile(self._safe.fetched)
            if self._follow(loaded):
                await self._safe.gather(GATHER)
                loaded = self._post.compile(self._safe.fetched)
        except ConfigRejectedError as rejected:
            self._reject(str(rejected))
        except Exception as error:  # the next change of the file must find this process alive
            self._reject(f"the configuration could not be compiled: {type(error).__name__}")
        else:
            await self._accept(loaded)
        self._health.secrets(self._safe.report())

    def _follow(self, loaded: Loaded) -> bool:
        """Takes up the references of a configuration; whether one of them has never been asked for."""
        if loaded.config is None:
            return False
        self.config = loaded.config
        self.otlp = loaded.otlp
        self._watched = (*self._post.watched, *map(Path, files(loaded.config)))
        self._references = remote_credentials(loaded.config)
        return self._safe.follow(loaded.config.secrets, remote(loaded.config))

    async def _accept(self, loaded: Loaded) -> None:
        if loaded.snapshot is None:
            return
        self._registrar.configured(loaded)
        # A change that cannot be written down must not be made. What is served at the start is no change.
        is_change = self._serving is not None and loaded.snapshot.version != self._serving.version
        if is_change and (hindrance := await self._registrar.hindrance()):
            self._reject(hindrance)
            return
        self._health.accepted(loaded.snapshot.version)
        self._guard(loaded.admin_key)
        warnings = [str(problem) for problem in loaded.problems]
        if fresh := [warning for warning in warnings if warning not in self._told]:
            log.warning("config_warnings", extra={"problems": fresh})
        self._told = frozenset(warnings)
        self._rejected = None
        if snapshot := self._admitted(loaded.snapshot):
            self._publish(snapshot)

    def _admitted(self, snapshot: Snapshot) -> Snapshot | None:
        """`snapshot` with credentials that may go out; None where it is served already."""
        admitted = self._rotation.admit(snapshot, self._serving)
        return None if self._serving is not None and admitted.version == self._serving.version else admitted

    def _reject(self, problems: str) -> None:
        if problems != self._rejected:
            log.error("config_rejected", extra={"problems": problems.splitlines()})
            self._registrar.rejected(self.serving.version, problems)
        self._rejected = problems
        self._health.rejected(problems)
        self._turn()

    def _turn(self) -> None:
        """While the file is bad, the credentials of the last good configuration still change."""
        serving = self._serving
        if serving is None:
            return
        needed = {choice.deployment.credential for route in serving.routes for choice in route.choices}
        values = self._safe.fetched.values
        fresh = {name: values[text] for name, text in self._references.items() if text in values and name in needed}
        if snapshot := self._admitted(with_secrets(serving, {**serving.secrets, **fresh})):
            self._publish(snapshot)

    def _publish(self, snapshot: Snapshot) -> None:
        generation = self._publish_with(snapshot)
        log.info("config_published", extra={"version": snapshot.version, "generation": generation})
        self._registrar.published(snapshot.version, generation)
        fixed = [name for name in AT_START if getattr(snapshot.server, name) != getattr(self._post.first.server, name)]
        changed = [f"server.{name}" for name in fixed]
        if self._serving is None:
            self._sharing = snapshot.sharing
        elif snapshot.sharing != self._sharing:
            changed.append("state")
        if changed:
            log.warning("restart_needed", extra={"changed": changed})
        self._rotation.published(snapshot, self._serving, generation)
        self._serving = snapshot
        kept = Kept(snapshot, dict(self._safe.fetched.values))
        if not self._post.keepsake.write(msgspec.msgpack.encode(kept)):
            log.warning(
                "keepsake_full", extra={"means": "a restarted control process begins with what stores say then"}
            )

    async def _reload_when_asked(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._reload()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self.look()
            if self._rotation.is_retiring:
                self._rotation.retire(
                    min((figures.generation for figures in self._board.all() if figures.pid), default=0)
                )

    def look(self) -> None:
        """Asks for a reload where a watched file has changed, once it rests for as long as between two looks: what is
        being written may be a good configuration as far as it goes.
        """
        seen, self._seen = self._seen, self._stamp()
        if self._seen == seen and seen != self._stamped:
            self._stamped = seen
            self.reload()

    def _stamp(self) -> tuple[object, ...]:
        """What changes when a watched file does; a file that is away for a moment keeps its place."""
        stamps: list[object] = []
        for path in self._watched:
            with contextlib.suppress(OSError):
                status = path.stat()
                stamps.append((str(path), status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(stamps)
