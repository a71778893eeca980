"""The admin port's answers about health: which workers serve, what they have under way, which configuration holds."""

import hmac
import time
from collections.abc import Awaitable

import msgspec

from fairlead.control.secrets.keyring import Told
from fairlead.http.server import Exchange
from fairlead.state.board import Board, Figures, is_ready

JSON = b"content-type: application/json\r\ncache-control: no-store\r\n"
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
    lost_records: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `GET /healthz` on the admin port."""

    status: str
    config_version: str
    config_error: str | None
    secrets: list[Told]
    """References that come over the network; values are never among them."""
    workers: list[WorkerHealth]


class Health:
    """The handler of every exchange on the admin port."""

    def __init__(self, board: Board, key: str | None, *, guarded: bool | None = None) -> None:
        """`guarded`: a key is wanted, also while none is known (`key` None), when nobody is let in."""
        self._board = board
        self._key = key
        self._guarded = key is not None if guarded is None else guarded
        self._version = ""
        self._error: str | None = None
        self._secrets: list[Told] = []

    def accepted(self, version: str) -> None:
        self._version, self._error = version, None

    def guard(self, key: str | None) -> None:
        """The key has this value now; None: the last one stays."""
        if key is not None:
            self._key, self._guarded = key, True

    def secrets(self, told: list[Told]) -> None:
        """How the secrets that come over the network are doing."""
        self._secrets = told

    def rejected(self, problems: str) -> None:
        self._error = problems

    def __call__(self, exchange: Exchange) -> Awaitable[None]:
        return self._answer(exchange)

    async def _answer(self, exchange: Exchange) -> None:
        if exchange.method not in {"GET", "HEAD"}:
            exchange.send(405, JSON + b"allow: GET, HEAD\r\n", b'{"error":"only GET is answered here"}\n')
        elif exchange.path == "/livez":
            exchange.send(200, JSON, b'{"status":"ok"}\n')
        elif not self._is_admin(exchange.headers.get(b"authorization", b"")):
            exchange.send(401, JSON, b'{"error":"the admin port wants its key: Authorization: Bearer <admin.key>"}\n')
        elif exchange.path in {"/readyz", "/healthz"}:
            report = self.report()
            exchange.send(200 if report.status == "ok" else 503, JSON, msgspec.json.encode(report) + b"\n")
        else:
            exchange.send(404, JSON, b'{"error":"nothing is here; try /healthz"}\n')

    def _is_admin(self, authorization: bytes) -> bool:
        if self._key is None:
            return not self._guarded
        return hmac.compare_digest(authorization, f"Bearer {self._key}".encode())

    def report(self) -> Report:
        """How the family is doing now; `ok` only when every worker is ready and gives signs of life."""
        now = time.monotonic()
        workers = [_health(number, figures, now) for number, figures in enumerate(self._board.all())]
        well = all(worker.ready and worker.silent_s < SILENT_AFTER for worker in workers)
        return Report(
            status="ok" if well else "degraded",
            config_version=self._version,
            config_error=self._error,
            secrets=self._secrets,
            workers=workers,
        )


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
        lost_records=figures.lost_records,
    )
