"""Figures in the words of Prometheus: its text format, or OpenMetrics where a scraper asks for that.

It knows the two formats, which differ in little. It must not know where figures come from. The lines are put together
here and not by a library because a full table has a hundred thousand of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate

from fairlead.telemetry.families import RECORDED, STANDING, Family
from fairlead.telemetry.metrics import Labels, Spread, Totals

Gauges = Mapping[str, Iterable[tuple[Labels, float]]]
"""Figures that are looked up, by metric: each with its labels."""

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Exposition:
    """The metrics as a scraper gets them. `look` tells how things stand now."""

    def __init__(self, totals: Totals, look: Callable[[], Gauges]) -> None:
        self._totals = totals
        self._look = look

    def text(self, accept: str) -> tuple[str, bytes]:
        """The content type and the text, as an Accept header wants it."""
        if "application/openmetrics-text" not in accept:
            return PLAIN, "".join(self._lines("_total")).encode()
        return OPEN_METRICS, "".join((*self._lines(""), "# EOF\n")).encode()

    def _lines(self, suffix: str) -> Iterator[str]:
        """Every family, also those that have counted nothing yet. `suffix` is what a counter's own name ends with."""
        for name, row in RECORDED.items():
            if row.kind == "counter":
                yield _head(name + suffix, row)
                yield from _counter(name, row, self._totals.counters.get(name, {}))
            else:
                yield _head(name, row)
                yield from _histogram(name, row, self._totals.spreads.get(name, {}))
        gauges = self._look()
        for name, row in STANDING.items():
            yield _head(name, row)
            for values, value in gauges.get(name, ()):
                yield f"{name}{_braced(_labels(row, values))} {float(value)!r}\n"


def _head(name: str, row: Family) -> str:
    return f"# HELP {name} {row.help}\n# TYPE {name} {row.kind}\n"


def _counter(name: str, row: Family, found: Mapping[str, int]) -> Iterator[str]:
    for key in sorted(found):
        labels = _labels(row, key.split("\0"))
        yield f"{name}_total{_braced(labels)} {found[key] / row.scale!r}\n"


def _histogram(name: str, row: Family, found: Mapping[str, Spread]) -> Iterator[str]:
    bounds = [f'le="{bound}"}} ' for bound in (*row.buckets, "+Inf")]
    for key in sorted(found):
        spread = found[key]
        labels = _labels(row, key.split("\0"))
        begin = f"{name}_bucket{{{labels}," if labels else f"{name}_bucket{{"
        counts = list(accumulate(spread.counts))
        yield "".join([f"{begin}{bound}{count}\n" for bound, count in zip(bounds, counts, strict=True)])
        braced = _braced(labels)
        yield f"{name}_count{braced} {counts[-1]}\n{name}_sum{braced} {spread.nanos / 1e9!r}\n"


def _labels(row: Family, values: Iterable[str]) -> str:
    return ",".join([f'{name}="{_escaped(value)}"' for name, value in zip(row.labels, values, strict=True)])


def _braced(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _escaped(value: str) -> str:
    """A label's value between quotes, so that it cannot break out of them."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value
