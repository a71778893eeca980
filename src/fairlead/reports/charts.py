"""A report as charts: what is drawn, and in which units. The page, the pictures and the terminal draw the same.

Shares are percent here and infinite intervals are none. It must not know what a chart is drawn on.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from fairlead.reports.readings import (
    ADDED,
    ATTEMPTS,
    COST,
    FIRST_TOKEN,
    LATENCY,
    PARTS,
    PERCENT,
    RATES,
    WASTED,
    Reading,
    is_known,
    lost,
)
from fairlead.reports.side_by_side import side_by_side
from fairlead.simulator.report import Curve, Report, Run
from fairlead.simulator.statistics import Interval
from fairlead.simulator.summary import Series, Summary

Form = Literal["time", "bars", "curve"]
VARIED = (*RATES, ATTEMPTS, LATENCY[1], LATENCY[-1], FIRST_TOKEN[-1], COST, WASTED)
"""What is drawn over a setting that is varied."""
SHARE = "The share of the time."
TIME_LINES = {
    "failing": ("Attempts that failed", ""),
    "resting": ("Left alone: cooldown or open breaker", f"{SHARE} Also while a credential was refused."),
    "open": ("Breaker open", SHARE),
    "half_open": ("Breaker half open: a few probes", SHARE),
}
"""Shares by time that a deployment has: their name in the summary, title and note."""
Span = tuple[float, float]
SHADED = "Shaded: times of trouble at the provider."
TOTAL = -1
DIGITS = 6


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """`values` at the places `at`: of a time chart, the bins' edges, one more than values; of bars, the category."""

    name: str
    hue: int
    """Which colour: one and the same thing has one in all charts. TOTAL is the sum of the others."""
    at: list[float]
    values: list[float]
    low: list[float | None] = []
    """The interval of each value; none: nothing is known of it."""
    high: list[float | None] = []
    shaded: list[Span] = []
    """Times of trouble, in seconds."""


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """`across` is what the horizontal axis is: seconds (of form time), the setting (curve), or none (bars)."""

    key: str
    """What it shows: `load`, `failing`, …; several runs have one each."""
    title: str
    run: str = ""
    """The run that it is of; none: all of them."""
    form: Form
    unit: str
    across: str = ""
    categories: list[str] = []
    note: str = ""
    lines: list[Line]


def charts(report: Report) -> list[Chart]:
    """All charts of a report, in the order in which they are read."""
    report = side_by_side(report)
    found = [*compared(report.runs), *(chart for run in report.runs for chart in of_run(run))]
    for setting in dict.fromkeys(curve.setting for curve in report.curves):
        found += varied(setting, report.curves)
    return found


def compared(runs: Sequence[Run]) -> list[Chart]:
    """What is told of all runs side by side."""
    return _telling(_compared(runs)) if runs else []


def of_run(run: Run) -> list[Chart]:
    """What happened in one run, over time, and who was refused."""
    return _telling(_of_run(run))


def varied(setting: str, curves: Sequence[Curve]) -> list[Chart]:
    """The curves over one setting."""
    return _telling(_varied([curve for curve in curves if curve.setting == setting]))


def axis(curve: Curve) -> str:
    """What is varied, with its unit."""
    return f"{curve.setting}, {curve.unit}" if curve.unit else curve.setting


def mean_between(line: Line, begin: float, end: float) -> float | None:
    """The mean of a time line between two instants; none where it says nothing of them."""
    total = lasting = 0.0
    for left, right, value in zip(line.at, line.at[1:], line.values, strict=False):
        overlap = min(right, end) - max(left, begin)
        if overlap > 0:
            total += value * overlap
            lasting += overlap
    return total / lasting if lasting else None


def _telling(found: Iterator[Chart]) -> list[Chart]:
    """Those that say something: nothing is drawn of what never happened."""
    return [chart for chart in found if any(any(line.values) for line in chart.lines)]


def _compared(runs: Sequence[Run]) -> Iterator[Chart]:
    def bars(key: str, title: str, unit: str, figures: Mapping[str, Callable[[Summary], Interval]]) -> Chart:
        places = range(len(figures))
        lines = [
            _line(run.name, hue, places, [of(run.summary) for of in figures.values()]) for hue, run in enumerate(runs)
        ]
        return Chart(key=key, title=title, form="bars", unit=unit, categories=list(figures), lines=lines)

    def parts(readings: Sequence[Reading]) -> dict[str, Callable[[Summary], Interval]]:
        return {part: reading.of for part, reading in zip(PARTS, readings, strict=True)}

    ends = {"lost": lost, **{reading.name: reading.of for reading in RATES[1:]}}
    yield bars("ends", "What requests came to (lost: no whole answer)", "%", ends)
    yield bars("latency", "Latency", "ms", parts(LATENCY))
    yield bars("first_token", "Time to first token", "ms", parts(FIRST_TOKEN))
    yield bars("added", "Latency that failed attempts added", "ms", parts(ADDED))
    yield bars("cost", "Cost per 1000 requests", "$", {"cost": COST.of, "of it wasted": WASTED.of})


def _of_run(run: Run) -> Iterator[Chart]:
    summary = run.summary
    until, sides = summary.duration, list(enumerate(summary.deployments))
    arriving = _rates(summary.arrivals, until, name="requests", hue=TOTAL)
    loads = [_rates(one.load, until, name=one.name, hue=hue, shaded=one.outages) for hue, one in sides]
    note = SHADED if any(one.outages for one in summary.deployments) else ""

    def drawn(key: str, title: str, unit: str, lines: list[Line], note: str = "") -> Chart:
        return Chart(
            key=key, title=title, run=run.name, form="time", unit=unit, across="seconds", note=note, lines=lines
        )

    yield drawn("load", "Load: attempts per second", "/s", [arriving, *loads], note)
    for key, (title, about) in TIME_LINES.items():
        shares = [
            _shares(getattr(one, key), until, name=one.name, hue=hue, shaded=one.outages)
            for hue, one in sides
            if any(getattr(one, key).values)
        ]
        yield drawn(key, title, "%", shares, about)
    yield drawn("lost", "Lost requests", "%", [_shares(summary.lost, until, name="lost", hue=TOTAL)])
    if summary.refusals:
        yield _refused(run.name, summary)


def _refused(run: str, summary: Summary) -> Chart:
    senders = [sender.name for sender in summary.senders]
    shares = {(one.sender, one.limit): one.share.value * PERCENT for one in summary.refusals}
    return Chart(
        key="refusals",
        title="Refused requests, by sender and limit",
        run=run,
        form="bars",
        unit="%",
        categories=senders,
        note="The share of the sender's requests.",
        lines=[
            Line(
                name=limit,
                hue=hue,
                at=[float(place) for place in range(len(senders))],
                values=[_rounded(shares.get((sender, limit), 0.0)) for sender in senders],
            )
            for hue, limit in enumerate(dict.fromkeys(one.limit for one in summary.refusals))
        ],
    )


def _varied(curves: Sequence[Curve]) -> Iterator[Chart]:
    for reading in VARIED:
        yield Chart(
            key=reading.name.replace(" ", "_"),
            title=f"{reading.name[0].upper()}{reading.name[1:]}",
            form="curve",
            unit=reading.unit,
            across=axis(curves[0]),
            note="The band is the 95 % confidence interval.",
            lines=[
                _line(
                    curve.name,
                    hue,
                    [point.value for point in curve.points],
                    [reading.of(point.summary) for point in curve.points],
                )
                for hue, curve in enumerate(curves)
            ],
        )


def _line(name: str, hue: int, places: Iterable[float], intervals: Sequence[Interval]) -> Line:
    """Figures at places; those that are nothing, because there was nothing to measure, are left out."""
    known = [(place, one) for place, one in zip(places, intervals, strict=True) if one.value or is_known(one)]
    return Line(
        name=name,
        hue=hue,
        at=[float(place) for place, _ in known],
        values=[one.value for _, one in known],
        low=[one.low if is_known(one) else None for _, one in known],
        high=[one.high if is_known(one) else None for _, one in known],
    )


def _shares(series: Series, until: float, *, name: str, hue: int, shaded: Sequence[Span] = ()) -> Line:
    """In percent."""
    edges, values = _bins(series, until)
    return _over_time(edges, [value * PERCENT for value in values], name=name, hue=hue, shaded=shaded)


def _rates(series: Series, until: float, *, name: str, hue: int, shaded: Sequence[Span] = ()) -> Line:
    """Per second; what came in the bin that the end cuts off came in as much of it as there was."""
    edges, values = _bins(series, until)
    whole = [series.width / (end - begin) if end == until else 1.0 for begin, end in pairwise(edges)]
    rates = [value * times for value, times in zip(values, whole, strict=True)]
    return _over_time(edges, rates, name=name, hue=hue, shaded=shaded)


def _bins(series: Series, until: float) -> tuple[list[float], list[float]]:
    """The edges of all bins up to the end, and their values; nothing more happened after the last bin."""
    edges = [place * series.width for place in range(len(series.values) + 1)]
    values = series.values[: bisect_left(edges, until)]
    edges = [*edges[: len(values)], min(edges[len(values)], until)]
    if edges[-1] < until:
        return [*edges, until], [*values, 0.0]
    return edges, values


def _over_time(edges: list[float], values: list[float], *, name: str, hue: int, shaded: Sequence[Span]) -> Line:
    return Line(
        name=name,
        hue=hue,
        at=[_rounded(edge) for edge in edges],
        values=[_rounded(value) for value in values],
        shaded=list(shaded),
    )


def _rounded(value: float) -> float:
    """As much as can be seen of the many values over time: a report is to be small."""
    return float(f"{value:.{DIGITS}g}")
