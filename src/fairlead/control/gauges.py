"""How things stand now, as figures for the metrics: workers, configuration, secrets, journals and who reads them.

It knows the names of the gauges and where each figure is. It must not know how they are told.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from fairlead import __version__
from fairlead.control.health import Health
from fairlead.control.projector import Projector
from fairlead.journal.reader import Reader
from fairlead.state.board import Board, is_ready
from fairlead.telemetry.exposition import Gauges
from fairlead.telemetry.metrics import Labels

Figures = list[tuple[Labels, float]]


class Standing:
    """Looks things up when somebody asks. `projectors` are all there are, wherever they were made.

    Each of `others` tells gauges of its own, from any thread.
    """

    def __init__(
        self,
        board: Board,
        health: Health,
        reader: Reader,
        projectors: Callable[[], Sequence[Projector]],
        others: Sequence[Callable[[], Gauges]] = (),
    ) -> None:
        self._board = board
        self._health = health
        self._reader = reader
        self._projectors = projectors
        self._others = others

    def look(self) -> Gauges:
        """Every gauge with its figures."""
        told: dict[str, Iterable[tuple[Labels, float]]] = {**dict(self._family()), **dict(self._journals())}
        for other in self._others:
            told.update(other())
        return told

    def _family(self) -> Iterator[tuple[str, Figures]]:
        rows = self._board.all()
        ready = sum(map(is_ready, rows))
        report = self._health.report()
        failing = sum(told.state in {"stale", "missing"} for told in report.secrets)
        yield "fairlead_build_info", [((__version__,), 1)]
        yield "fairlead_workers", [(("ready",), ready), (("not_ready",), len(rows) - ready)]
        yield "fairlead_connections", [((), sum(row.connections for row in rows))]
        yield "fairlead_in_flight_requests", [((), sum(row.in_flight for row in rows))]
        yield "fairlead_resting_deployments", [((), max((row.resting for row in rows), default=0))]
        yield "fairlead_config_generation", [((), max((row.generation for row in rows), default=0))]
        yield "fairlead_config_rejected", [((), float(report.config_error is not None))]
        yield "fairlead_secrets_failing", [((), failing)]
        yield "fairlead_limits_alone", [((), float(report.limits != "ok"))]
        yield "fairlead_journal_unrecorded", [((), sum(row.unrecorded for row in rows))]
        yield "fairlead_journal_full", [((), max((row.full for row in rows), default=0))]

    def _journals(self) -> Iterator[tuple[str, Figures]]:
        yield "fairlead_journal_bytes", [((), self._reader.used())]
        projectors = self._projectors()
        yield "fairlead_projection_up", [((one.name,), float(not one.trouble)) for one in projectors]
        yield (
            "fairlead_projection_lag_bytes",
            [((one.name,), self._reader.behind(one.reached or {})) for one in projectors],
        )
