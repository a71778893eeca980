"""Keeps the audit trail going: requests, changes, configurations, refusals, checkpoints and their witnesses.

It puts together what the modules beside it know apart. It must not know keys or the admin port's answers.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from fairlead.audit.entry import Entry
from fairlead.audit.note import NoteError, seed_of
from fairlead.audit.opening import Terms
from fairlead.config.load import Loaded
from fairlead.config.records import Audit
from fairlead.control.admin import Entry as AdminEntry
from fairlead.control.audit_entries import AuditEntries, Witnessed
from fairlead.control.audit_post import AuditPost
from fairlead.control.audit_records import AuditRecords
from fairlead.control.custodian import Custodian
from fairlead.control.desk import Desk
from fairlead.control.projector import ProjectionError, Projector
from fairlead.control.wishes import RefusedError
from fairlead.control.witnesses import Witness, witness_of
from fairlead.http.client import Client
from fairlead.journal.reader import Reader
from fairlead.telemetry.exposition import Gauges
from fairlead.telemetry.metrics import Labels

log = logging.getLogger("fairlead.control")

TICK = 0.5
"""Seconds between two looks at what is to be signed and copied."""
MOST_WAITING = 10_000
"""Entries that wait in memory while the trail cannot be written; after these, refusals are counted only."""
LAST_COPY = 3.0
"""Seconds that witnesses have for the last checkpoint when the process ends."""


class Auditing:
    """The audit trail of this machine from the first configuration to the end of the process."""

    def __init__(self, post: AuditPost, reader: Reader, client: Client, recovered: Callable[[], None]) -> None:
        """`recovered` is called when the trail can be written again."""
        self._post = post
        self._recovered = recovered
        self._client = client
        self._settings: Audit | None = None
        self._seeds: tuple[str | None, str | None] = (None, None)
        self._told: tuple[str, ...] = ()
        self.custodian = Custodian(self._terms, time.time)
        self.records = Projector(reader, AuditRecords(self.custodian, reader.folder))
        self.witnesses: list[Witness] = []
        self._desk = Desk("audit")
        self._waiting: list[Entry] = []
        self._dropped = 0
        self._signed_at = time.monotonic()

    @property
    def trouble(self) -> str:
        """Why nothing can be appended; empty: it can."""
        return self.custodian.trouble

    def gauges(self) -> Gauges:
        """How the trail stands. What is not open has no entries to tell of."""
        told: dict[str, list[tuple[Labels, float]]] = {"fairlead_audit_alarm": [((), self.custodian.is_alarmed)]}
        if (sizes := self.custodian.sizes) is not None:
            size, signed = sizes
            told["fairlead_audit_entries"] = [((), size)]
            told["fairlead_audit_unsigned_entries"] = [((), size - signed)]
        return told

    def entries(self) -> tuple[AdminEntry, ...]:
        """What the admin port answers about the trail."""
        return AuditEntries(self._post.folder, self.custodian, self._desk, self._witnessed).entries()

    async def start(self) -> None:
        """Opens the trail, once it was asked of the witnesses, and takes in what is there."""
        if self._settings is not None:
            asked = [witness.newest(self._origin(self._settings)) for witness in self.witnesses]
            self._told = sum(await asyncio.gather(*asked), ())
        await self.records.catch_up()
        await self._flush()

    async def run(self) -> None:
        """Follows the journals, signs and copies until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.records.run())
            group.create_task(self._tick())
            group.create_task(self._copy())

    async def close(self) -> None:
        """Takes in what is there, signs it, and has it copied."""
        await self.records.catch_up()
        await self._flush()
        await self.records.close()
        latest = await self._desk.do(self._sign)
        await asyncio.gather(*(witness.last(latest, LAST_COPY) for witness in self.witnesses))
        await asyncio.gather(*(witness.close() for witness in self.witnesses))
        await self._desk.do(self.custodian.close)
        await asyncio.to_thread(self._desk.close)

    def may_change(self) -> None:
        """Raises RefusedError unless the entry of an administrative change could be written now."""
        try:
            self.custodian.check()
        except ProjectionError as error:
            raise RefusedError("audit_unavailable", f"nothing can be changed now: {error}") from None

    async def hindrance(self) -> str:
        """Why no other configuration can be published now; empty: it can."""
        try:
            await self._desk.do(self.custodian.check)
        except ProjectionError as error:
            return f"nothing can be changed now: {error}"
        return ""

    def configured(self, loaded: Loaded) -> None:
        """The configuration that holds. The trail keeps the settings that it was opened with."""
        if loaded.config is None or loaded.audit_keys is None:
            return
        if self._settings is None:
            self._settings = loaded.config.audit
            self.witnesses = [witness_of(text, self._client) for text in loaded.config.audit.witnesses]
        self._seeds = loaded.audit_keys

    def published(self, version: str, generation: int) -> None:
        """Workers are told of this configuration."""
        self.tell(Entry(at=_now(), action="config.publish", actor="file", object=version, detail={"n": generation}))

    def rejected(self, version: str, problems: str) -> None:
        """The file has changed, and this version stays for its problems."""
        detail = {"problems": problems.splitlines()}
        told = Entry(at=_now(), action="config.reject", actor="file", object=version, outcome="denied", detail=detail)
        self.tell(told)

    def refused(self, method: str, path: str, code: str) -> None:
        """The admin port has refused a change."""
        detail = {"method": method, "path": path[:200], "code": code}
        actor = "nobody" if code in ("invalid_api_key", "cross_origin") else "admin"
        self.tell(Entry(at=_now(), action="admin.refused", actor=actor, outcome="denied", detail=detail))

    def tell(self, entry: Entry) -> None:
        """Has an entry appended within a moment, or as soon as that can be done."""
        if len(self._waiting) >= MOST_WAITING:
            self._dropped += 1
            return
        self._waiting.append(entry)

    async def _tick(self) -> None:
        while True:
            hindered = bool(self.trouble)
            await self._flush()
            if hindered and not self.trouble:
                self._recovered()
            every = self._settings.sign_every if self._settings is not None else Audit().sign_every
            if time.monotonic() - self._signed_at >= every:
                await self._desk.do(self._sign)
            await asyncio.sleep(TICK)

    async def _flush(self) -> None:
        # What is told or dropped while this is being written is the next turn's.
        waited, dropped = len(self._waiting), self._dropped
        batch = list(self._waiting)
        if dropped:
            batch.append(Entry(at=_now(), action="audit.dropped", outcome="failed", detail={"entries": dropped}))
        try:
            # Also with nothing to append: that is how an alarm that was acknowledged ends.
            await self._desk.do(lambda: self.custodian.use(lambda trail: trail.append(batch) if batch else None))
        except ProjectionError:
            return
        del self._waiting[:waited]
        self._dropped -= dropped

    def _sign(self) -> str:
        """Signs what is not signed; the newest note."""
        self._signed_at = time.monotonic()
        try:
            self.custodian.use(lambda trail: trail.sign())
            return self.latest
        except ProjectionError:
            return ""

    @property
    def latest(self) -> str:
        """The newest note; empty: the trail is not open."""
        try:
            return "" if self.custodian.trouble else self.custodian.use(lambda trail: trail.latest)
        except ProjectionError:
            return ""

    async def _copy(self) -> None:
        while True:
            if latest := await self._desk.do(lambda: self.latest):
                await asyncio.gather(*(witness.keep_up(latest) for witness in self.witnesses))
            await asyncio.sleep(TICK)

    def _witnessed(self) -> list[Witnessed]:
        return [
            Witnessed(witness=one.name, size=one.size, failures=one.failures, trouble=one.trouble)
            for one in self.witnesses
        ]

    def _origin(self, settings: Audit) -> str:
        return settings.origin or f"fairlead/{self._post.machine}"

    def _terms(self) -> Terms:
        settings = self._settings
        if settings is None:
            raise ProjectionError("no configuration holds yet that says how the audit trail is kept")
        current, old = self._seeds
        if settings.signing_key is not None and current is None:
            raise ProjectionError("audit.signing_key has no value yet; see the log")
        try:
            seeds = [seed_of(text) if text is not None else None for text in (current, old)]
        except NoteError as error:
            raise ProjectionError(f"audit.signing_key or audit.old_signing_key: {error}") from None
        return Terms(
            folder=self._post.folder,
            private=self._post.private,
            origin=self._origin(settings),
            seed=seeds[0],
            old_seed=seeds[1],
            witnesses=tuple(witness.folder for witness in self.witnesses if witness.folder is not None),
            told=self._told,
        )


def _now() -> int:
    return time.time_ns() // 1000
