"""What is told of requests: metrics, log lines, traces. Each is a projection with a thread of its own.

It puts together what the modules beside it know apart.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from fairlead.config.records import Observability
from fairlead.control.admin import Entry
from fairlead.control.configuring import Configuring
from fairlead.control.exporting import Meters, Traces
from fairlead.control.gauges import Standing
from fairlead.control.metrics import Keeper, Metrics
from fairlead.control.projector import Projector
from fairlead.control.request_lines import RequestLines
from fairlead.control.unpriced import Unpriced
from fairlead.journal.positions import Positions
from fairlead.journal.reader import Reader
from fairlead.telemetry.exposition import Gauges

LAST_WORDS = 2.0
"""Seconds in which what was sent last has to arrive."""


class Telling:
    """From the first record to the last."""

    def __init__(
        self,
        places: Path,
        reader: Reader,
        config: Configuring,
        *,
        standing: Standing,
        machine: str,
    ) -> None:
        """`places` is a folder where each projection keeps how far it is, `machine` what names this one."""
        self._config = config
        self._metrics = Metrics(places / "metrics", reader, standing.look)
        self.keeper = Keeper(self._metrics)
        """What must not miss a record, unlike the others: no journal is deleted before it."""
        lines = RequestLines(
            Positions(places / "request_lines", reader),
            lambda: self._settings().request_lines == "on",
            Unpriced(),
        )
        self._traces = Traces(Positions(places / "traces", reader), lambda: config.otlp, machine)
        self._meters = Meters(reader, lambda: config.otlp, machine)
        projections = (self._metrics, lines, self._traces, self._meters)
        self.projectors: Sequence[Projector] = [Projector(reader, projection) for projection in projections]

    def gauges(self) -> Gauges:
        """What the metrics tell of all this itself."""
        return {"fairlead_traces_skipped": [((), self._traces.skipped)]}

    def entries(self) -> tuple[Entry, ...]:
        """What the admin port answers."""
        return self._metrics.entries()

    async def run(self) -> None:
        """Tells until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for projector in self.projectors:
                group.create_task(projector.run())
            group.create_task(self._metrics.run())

    async def close(self) -> None:
        """Tells the last that there is, as far as there is somebody to listen."""
        await asyncio.gather(*(projector.close() for projector in self.projectors))
        await asyncio.to_thread(self._metrics.close)
        for last in (self._traces.close, self._meters.close):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS):
                    await asyncio.to_thread(last)

    def _settings(self) -> Observability:
        config = self._config.config
        return Observability() if config is None else config.observability
