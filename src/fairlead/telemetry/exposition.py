"""Figures in the words of Prometheus: its text format, or OpenMetrics where a scraper asks for that.

It knows the formats by a library. It must not know where figures come from.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from fairlead.telemetry.families import RECORDED, STANDING
from fairlead.telemetry.metrics import Labels, Spread, Totals

Gauges = Mapping[str, Iterable[tuple[Labels, float]]]
"""Figures that are looked up, by metric: each with its labels."""


class Exposition:
    """The metrics as a scraper gets them. `look` tells how things stand now."""

    def __init__(self, totals: Totals, look: Callable[[], Gauges]) -> None:
        self._totals = totals
        self._look = look
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self, accept: str) -> tuple[str, bytes]:
        """The content type and the text, as an Accept header wants it."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)

    def describe(self) -> Iterator[Metric]:
        """Nothing before somebody asks: what the registry calls at registration."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Every family, also those that have counted nothing yet."""
        yield from map(self._recorded, RECORDED)
        gauges = self._look()
        for name in STANDING:
            yield _gauge(name, gauges.get(name, ()))

    def _recorded(self, name: str) -> Metric:
        if RECORDED[name].kind == "counter":
            return _counter(name, self._totals.counters.get(name, {}))
        return _histogram(name, self._totals.spreads.get(name, {}))


def _counter(name: str, found: Mapping[str, int]) -> Metric:
    row = RECORDED[name]
    family = CounterMetricFamily(name, row.help, labels=row.labels)
    for key in sorted(found):
        family.add_metric(key.split("\0"), found[key] / row.scale)
    return family


def _histogram(name: str, found: Mapping[str, Spread]) -> Metric:
    row = RECORDED[name]
    family = HistogramMetricFamily(name, row.help, labels=row.labels)
    for key in sorted(found):
        spread, below = found[key], 0
        buckets = []
        for bound, count in zip((*map(str, row.buckets), "+Inf"), spread.counts, strict=True):
            below += count
            buckets.append((bound, below))
        family.add_metric(key.split("\0"), buckets, spread.nanos / 1e9)
    return family


def _gauge(name: str, values: Iterable[tuple[Labels, float]]) -> Metric:
    row = STANDING[name]
    family = GaugeMetricFamily(name, row.help, labels=row.labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family
