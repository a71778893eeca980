"""The admin port's answers about health: which workers serve, what they have under way, which configuration holds."""

import time
from collections.abc import Callable, Mapping

import msgspec
from msgspec.structs import replace

from fairlead.control.admin import Answer, Call, Entry
from fairlead.control.secrets.safe import Told
from fairlead.state.board import Board, Figures, is_ready

NO_ROOM = "full: requests are refused until there is room for their records"
NO_MISSING = ("database", "audit", "metrics")
"""Projections that must not miss a record: as long as they wait, no journal is deleted."""
SILENT_AFTER = 5.0
"""Seconds without a sign of life after which a worker counts as hung."""


class WorkerHealth(msgspec.Struct, frozen=True, kw_only=True):
    worker: int
    pid: int
    ready: bool
    silent_s: float
    generation: int
    connections: int
    in_flight: int
    requests: int
    records: int
    unrecorded: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `GET /healthz` on the admin port."""

    status: str
    config_version: str
    config_error: str | None
    limits: str
    """`ok`, or why limits are counted by this machine alone."""
    journal: str
    """`ok`, or what is wrong with the journals."""
    audit: str
    """`ok`, or why the audit trail cannot be written."""
    projections: str
    """`ok`, or which cannot go on, and why."""
    secrets: list[Told]
    """References that come over the network; values are never among them."""
    workers: list[WorkerHealth]


class Health:
    """How the process family is, as far as the board and the last compilation tell."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._version = ""
        self._error: str | None = None
        self._secrets: list[Told] = []
        self._trouble: Callable[[], str] = str
        self._damage: Callable[[], str] = str
        self._audit: Callable[[], str] = str
        self._projections: Callable[[], Mapping[str, str]] = dict

    def accepted(self, version: str) -> None:
        self._version, self._error = version, None

    def secrets(self, told: list[Told]) -> None:
        """How the secrets that come over the network are doing."""
        self._secrets = told

    def limits(self, trouble: Callable[[], str]) -> None:
        """Who tells why the shared state cannot be reached."""
        self._trouble = trouble

    def journals(self, damage: Callable[[], str]) -> None:
        """Who tells which journals are damaged."""
        self._damage = damage

    def audit(self, trouble: Callable[[], str]) -> None:
        """Who tells why the audit trail cannot be written."""
        self._audit = trouble

    def projections(self, troubles: Callable[[], Mapping[str, str]]) -> None:
        """Who tells why each projection cannot go on; empty: it can."""
        self._projections = troubles

    def rejected(self, problems: str) -> None:
        self._error = problems

    def entries(self) -> tuple[Entry, ...]:
        """What the admin port answers about health."""
        return (
            Entry(method="GET", path="/livez", run=self._live, open=True),
            Entry(method="GET", path="/readyz", run=self._ready),
            Entry(method="GET", path="/healthz", run=self._whole),
        )

    async def _live(self, _call: Call) -> Answer:
        return Answer({"status": "ok"})

    async def _whole(self, _call: Call) -> Answer:
        report = self.report()
        return Answer(report, 200 if report.status == "ok" else 503)

    async def _ready(self, _call: Call) -> Answer:
        """The same report, and whether requests are served: a database that is away turns no traffic away."""
        report = self.report()
        return Answer(report, 200 if _serves(report) else 503)

    def report(self) -> Report:
        """How the family is doing now.

        `ok` only when requests are served, the audit trail can be written and nothing that is made of the journals
        is in danger.
        """
        now = time.monotonic()
        rows = self._board.all()
        workers = [_health(number, figures, now) for number, figures in enumerate(rows)]
        full = any(figures.full for figures in rows)
        down = {name: trouble for name, trouble in self._projections().items() if trouble}
        report = Report(
            status="degraded",
            config_version=self._version,
            config_error=self._error,
            limits=self._trouble() or "ok",
            journal=NO_ROOM if full else self._damage() or "ok",
            audit=self._audit() or "ok",
            projections="; ".join(f"{name}: {trouble}" for name, trouble in down.items()) or "ok",
            secrets=self._secrets,
            workers=workers,
        )
        well = _serves(report) and report.audit == "ok" and not down.keys() & set(NO_MISSING)
        return replace(report, status="ok") if well else report


def _serves(report: Report) -> bool:
    """Whether every worker is ready and gives signs of life, and there is room for records."""
    ready = all(worker.ready and worker.silent_s < SILENT_AFTER for worker in report.workers)
    return ready and report.journal != NO_ROOM


def _health(number: int, figures: Figures, now: float) -> WorkerHealth:
    return WorkerHealth(
        worker=number,
        pid=figures.pid,
        ready=is_ready(figures),
        silent_s=round(now - figures.seen_at, 3) if figures.pid else 0.0,
        generation=figures.generation,
        connections=figures.connections,
        in_flight=figures.in_flight,
        requests=figures.requests,
        records=figures.records,
        unrecorded=figures.unrecorded,
    )
