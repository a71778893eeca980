"""Every secret that comes over the network: asked for on an interval and on demand, and kept while its store is away.

It must not know what a secret is for, nor wait for a store longer than it was told. A value that was good once is kept
until the store gives another one; an empty one is never good.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Literal

import msgspec

from fairlead.config import vaults
from fairlead.config.secrets import Fetched, UnresolvedError, one_line
from fairlead.control.secrets.store import OF_THE_STORE, Machine, Store, StoreError
from fairlead.control.secrets.table import STORES, Row

log = logging.getLogger("fairlead.secrets")

READ_WITHIN = 10.0
"""Seconds that one read may take; it goes on after whoever waited for it has given up."""
ASK_AGAIN = 5.0
"""Seconds between two reads of one reference on demand."""
FIRST_RETRY, LAST_RETRY = 1.0, 30.0
"""Seconds until a read that failed is tried again: twice as long each time."""

State = Literal["current", "stale", "missing", "waiting"]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """How one reference is doing. `reason` is empty while it is current."""

    reference: str
    state: State
    reason: str = ""


class _Entry:
    """One reference: what it last gave, and when it is due."""

    def __init__(self, reference: str) -> None:
        self.reference = reference
        self.scheme, _, self.rest = reference.partition("://")
        self.value: str | None = None
        self.reason: str | None = None
        self.failures = 0
        self.asked_at = float("-inf")
        self.due_at = float("-inf")
        self.reading: asyncio.Task[None] | None = None

    @property
    def never_asked(self) -> bool:
        return self.asked_at == float("-inf")

    @property
    def state(self) -> State:
        if self.reason is None:
            return "waiting" if self.value is None else "current"
        return "missing" if self.value is None else "stale"


class Safe:
    """Belongs to one event loop. `changed` is called when a reference got a value, another value, or another reason."""

    def __init__(
        self,
        machine: Machine,
        changed: Callable[[], None],
        *,
        stores: dict[str, Row] = STORES,
        chance: Random | None = None,
    ) -> None:
        self._machine = machine
        self._changed = changed
        self._rows = stores
        self._chance = chance or Random()
        self._settings = vaults.Secrets()
        self._entries: dict[str, _Entry] = {}
        self._stores: dict[str, Store] = {}
        self._down: set[str] = set()
        self._wake = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def fetched(self) -> Fetched:
        """What is known now."""
        entries = self._entries.values()
        return Fetched(
            {entry.reference: entry.value for entry in entries if entry.value is not None},
            {entry.reference: entry.reason for entry in entries if entry.reason is not None},
        )

    def report(self) -> list[Told]:
        """How each reference is doing, in the order of their names."""
        entries = sorted(self._entries.values(), key=lambda entry: entry.reference)
        return [Told(reference=e.reference, state=e.state, reason=e.reason or "") for e in entries]

    def follow(self, settings: vaults.Secrets, references: Iterable[str]) -> bool:
        """From now on these references, and these ways to the stores; whether there is one never asked for."""
        wanted = set(references)
        for name in [name for name in self._entries if name not in wanted]:
            self._forget(self._entries.pop(name))
        for scheme, row in self._rows.items():
            if row.settings(settings) != row.settings(self._settings):
                self._reopen(scheme)
        self._settings = settings
        for name in sorted(wanted - self._entries.keys()):
            self._entries[name] = _Entry(name)
        self._wake.set()
        return any(entry.never_asked for entry in self._entries.values())

    def refresh(self, reference: str) -> None:
        """Ask for it soon: at once, or as soon as the last time is long enough ago."""
        entry = self._entries.get(reference)
        if entry is not None:
            entry.due_at = min(entry.due_at, entry.asked_at + ASK_AGAIN)
            self._wake.set()

    def restore(self, values: Mapping[str, str]) -> None:
        """What was known before this process: it holds until a store gives something else."""
        for reference, value in values.items():
            entry = self._entries[reference] = _Entry(reference)
            entry.value, entry.reason = value, "it has not been asked for since the restart"

    async def gather(self, within: float) -> None:
        """Waits until every reference has been asked for once, but no longer than `within` seconds."""
        tasks = [self._begin(entry) for entry in self._entries.values() if entry.never_asked]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=within)
        for entry in self._entries.values():
            if entry.reading in late and entry.state == "waiting":
                entry.reason = f"its store has not answered within {within:g} s"

    async def run(self) -> None:
        """Keeps every reference fresh, for ever."""
        while True:
            self._wake.clear()
            now = asyncio.get_running_loop().time()
            idle = [entry for entry in self._entries.values() if entry.reading is None]
            for entry in idle:
                if entry.due_at <= now:
                    self._begin(entry)
            due = min((entry.due_at for entry in idle if entry.due_at > now), default=now + 3600.0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(due - now):
                    await self._wake.wait()

    async def close(self) -> None:
        """Stops asking and closes every store."""
        for entry in self._entries.values():
            self._forget(entry)
        for scheme in list(self._stores):
            self._reopen(scheme)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _begin(self, entry: _Entry) -> "asyncio.Task[None]":
        if entry.reading is None:
            entry.asked_at = asyncio.get_running_loop().time()
            entry.reading = asyncio.create_task(self._read(entry))
        return entry.reading

    def _forget(self, entry: _Entry) -> None:
        if entry.reading is not None:
            entry.reading.cancel()

    def _reopen(self, scheme: str) -> None:
        """The store is opened anew by the next read, which is due now."""
        store = self._stores.pop(scheme, None)
        if store is not None:
            task = asyncio.create_task(store.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        for entry in self._entries.values():
            if entry.scheme == scheme:
                entry.due_at = float("-inf")

    async def _read(self, entry: _Entry) -> None:
        try:
            value, error = await self._asked(entry), None
        except StoreError as failed:
            value, error = None, failed
        except asyncio.CancelledError:
            raise
        except Exception as failed:  # a store is not trusted to say what went wrong: it may hold the value
            value, error = None, StoreError("unreachable", f"reading it failed: {type(failed).__name__}")
        entry.reading = None
        self._settle(entry, value, error)
        self._wake.set()

    async def _asked(self, entry: _Entry) -> str:
        try:
            async with asyncio.timeout(READ_WITHIN):
                if entry.scheme not in self._stores:
                    self._stores[entry.scheme] = self._rows[entry.scheme].open(self._settings, self._machine)
                text = await self._stores[entry.scheme].read(entry.rest)
        except TimeoutError:
            raise StoreError("unreachable", f"its store has not answered within {READ_WITHIN:g} s") from None
        try:
            return one_line(entry.reference, text)
        except UnresolvedError as error:
            raise StoreError("unusable", str(error)) from None

    def _settle(self, entry: _Entry, value: str | None, error: StoreError | None) -> None:
        before = (entry.value, entry.reason)
        now = asyncio.get_running_loop().time()
        if error is None:
            entry.value, entry.reason, entry.failures = value, None, 0
            entry.due_at = now + self._settings.refresh * self._chance.uniform(0.9, 1.0)
        else:
            entry.reason = error.reason
            wait = min(FIRST_RETRY * 2.0 ** min(entry.failures, 10), LAST_RETRY)
            entry.due_at = now + min(wait, self._settings.refresh)
            entry.failures += 1
        self._tell(entry, before, error)
        if (entry.value, entry.reason) != before:
            self._changed()

    def _tell(self, entry: _Entry, before: tuple[str | None, str | None], error: StoreError | None) -> None:
        """One line per change of state: of a store, or of a reference whose store is well."""
        facts = {"store": entry.scheme, "reference": entry.reference}
        store_fails = error is not None and error.trouble in OF_THE_STORE
        if store_fails and entry.scheme not in self._down:
            self._down.add(entry.scheme)
            log.warning("secret_store_down", extra={**facts, "reason": entry.reason, "kept": entry.value is not None})
        elif not store_fails and entry.scheme in self._down:
            self._down.discard(entry.scheme)
            log.info("secret_store_up", extra=facts)
        if error is not None and not store_fails and before[1] != entry.reason:
            log.warning("secret_missing", extra={**facts, "reason": entry.reason, "kept": entry.value is not None})
        elif error is None and before[0] is not None and before[0] != entry.value:
            log.info("secret_changed", extra=facts)
