"""A report of simulations or a replay in a terminal: tables of its width, and small plots where they say something.

Colour only emphasises; everything can be read without it. It must not know how a simulation came to its figures.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from textwrap import wrap

from fairlead.cli.sparks import lane, whisker
from fairlead.reports.charts import TIME_LINES, Chart, Line, charts, mean_between
from fairlead.reports.imprint import imprint
from fairlead.reports.readings import duration, number, span, visible
from fairlead.reports.table import Table
from fairlead.reports.tables import tables
from fairlead.simulator.report import Judged, Origin, Report, Suggestion
from fairlead.simulator.statistics import Interval

WIDTH = 80
"""Where nobody says how wide the terminal is."""
NARROWEST = 40
MOST_ROWS = 20
"""Of a table whose first rows say the most."""
LANE = 2
"""Rows of a plot over time, for each line."""
LONGEST_NAME = 28
GAP = "  "
STYLES = {"title": "1", "differs": "1;33", "note": "2", "failing": "31", "met": "32", "missed": "31", "load": "36"}
"""ANSI's codes."""
Ink = Callable[[str, str], str]
"""A style's name and a text; the text in that style."""


def print_report(report: Report) -> None:
    """On stdout, as wide as that is; in colour where it is a terminal and NO_COLOR is not set."""
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((WIDTH, 24)).columns if terminal else WIDTH
    told = text(report, width=width, color=terminal and not os.environ.get("NO_COLOR"))
    encoding = sys.stdout.encoding or "utf-8"
    print(told.encode(encoding, "replace").decode(encoding))


def text(report: Report, *, width: int = WIDTH, color: bool = False) -> str:
    """The whole report, in lines no longer than `width` wherever its names let it."""
    ink: Ink = _coloured if color else _plain
    width = max(width, NARROWEST)
    blocks = [[ink("title", visible(report.title)), *_origin(report.origin, width, ink)]]
    blocks += [list(_table(table, width, ink)) for table in tables(report)]
    blocks += [list(_PLOTS[chart.form](chart, width, ink)) for chart in _plotted(report)]
    blocks.append([*_assumed(report.assumed, width, ink)])
    blocks.append([*_judged(report.targets, width, ink)])
    blocks.append([*_suggested(report.suggestion, width, ink)])
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _plain(_: str, told: str) -> str:
    return told


def _coloured(style: str, told: str) -> str:
    return f"\x1b[{STYLES[style]}m{told}\x1b[0m" if style in STYLES and told.strip() else told


def _origin(origin: Origin, width: int, ink: Ink) -> Iterator[str]:
    for told in (imprint(origin), visible(origin.command)):
        yield from (ink("note", line) for line in wrap(told, width, subsequent_indent="  ", break_on_hyphens=False))


def _item(sentence: str, width: int) -> list[str]:
    return wrap(visible(sentence), width, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)


def _assumed(sentences: Sequence[str], width: int, ink: Ink) -> Iterator[str]:
    if sentences:
        yield ink("title", "Assumed, because nobody said it")
    for sentence in sentences:
        yield from (ink("note", line) for line in _item(sentence, width))


def _judged(targets: Sequence[Judged], width: int, ink: Ink) -> Iterator[str]:
    if targets:
        yield ink("title", "Targets")
    for one in targets:
        yield from (ink("met" if one.met else "missed", line) for line in _item(one.told, width))


def _suggested(found: Suggestion | None, width: int, ink: Ink) -> Iterator[str]:
    if found is None:
        return
    yield ink("title", "Suggestion")
    for sentence in found.told:
        yield from _item(sentence, width)
    if found.lines:
        yield ""
    yield from (f"    {visible(line)}" for line in found.lines)


def _table(table: Table, width: int, ink: Ink) -> Iterator[str]:
    yield from (ink("title", line) for line in wrap(visible(table.title), width))
    shown = table.rows[:MOST_ROWS] if table.ranked else table.rows
    lines = [[visible(cell) for cell in line] for line in (table.heads, *shown)]
    differing = {(row + 1, column) for row, column in table.differing}
    for row, column in differing:
        lines[row][column] += " ≠"
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.heads))]
    for part, columns in enumerate(_fitting(widths, table.abouts, width)):
        if part:
            yield ""
        for row, line in enumerate(lines):
            cells = [line[column].ljust(widths[column]) for column in range(table.abouts)]
            for column in columns:
                cell = line[column].rjust(widths[column])
                cells.append(ink("differs", cell) if (row, column) in differing else cell)
            yield GAP.join(cells).rstrip()
    if len(shown) < len(table.rows):
        yield f"… and {len(table.rows) - len(shown):,} more, with --json"
    for note in table.notes:
        yield from (ink("note", line) for line in wrap(visible(note), width))


def _fitting(widths: Sequence[int], abouts: int, width: int) -> list[list[int]]:
    """The columns after those that say what rows are about, in as many parts as it takes; each has at least one."""
    if len(widths) <= abouts:
        return []
    parts: list[list[int]] = [[]]
    begin = used = sum(widths[:abouts]) + len(GAP) * (abouts - 1)
    for column, wide in enumerate(widths[abouts:], abouts):
        if parts[-1] and used + len(GAP) + wide > width:
            parts.append([])
            used = begin
        parts[-1].append(column)
        used += len(GAP) + wide
    return parts


def _plotted(report: Report) -> list[Chart]:
    """Time lines of one run, latencies of several side by side, and what a sweep is for. Of a suggestion the table says
    it all.
    """
    if report.suggestion:
        return []
    keys = {"success_rate", "latency_p99"} if report.curves else set()
    keys |= {"load", *TIME_LINES} if len(report.runs) == 1 else {"latency", "cost"}
    return [chart for chart in charts(report) if chart.key in keys]


def _over_time(chart: Chart, width: int, ink: Ink) -> Iterator[str]:
    """A lane for each line, all on one scale; the highest value at the end of each. Below them is the time."""
    until = max(line.at[-1] for line in chart.lines)
    top = max(max(line.values, default=0.0) for line in chart.lines)
    yield ink("title", f"{chart.title} ({_range((0.0, top), chart.unit)})")
    names = _names([line.name for line in chart.lines])
    peaks = [number(max(line.values, default=0.0)) for line in chart.lines]
    wide = max(map(len, peaks))
    columns = max(width - len(names[0]) - wide - 2 * len(GAP), 10)
    for name, line, peak in zip(names, chart.lines, peaks, strict=True):
        rows = lane(_columns(line, until, columns), top, LANE)
        for place, row in enumerate(rows):
            is_last = place == len(rows) - 1
            if is_last:
                yield GAP.join((name, ink(chart.key, row), peak.rjust(wide)))
            elif row.strip():
                yield " " * len(name) + GAP + ink(chart.key, row.rstrip())
    end = duration(until)
    yield " " * len(names[0]) + GAP + ink("note", f"0 {'─' * (columns - len(end) - 3)} {end}")


def _columns(line: Line, until: float, columns: int) -> list[float | None]:
    edges = [until * place / columns for place in range(columns + 1)]
    return [mean_between(line, begin, end) for begin, end in pairwise(edges)]


def _figures(chart: Chart, width: int, ink: Ink) -> Iterator[str]:
    """A row for each figure: what it is of, its value, and where that and its interval are on a common scale."""
    rows = [
        (place, line.name, _interval(line, line.at.index(place)))
        for place in sorted({at for line in chart.lines for at in line.at})
        for line in chart.lines
        if place in line.at
    ]
    intervals = [interval for *_, interval in rows]
    begin = 0.0 if chart.form == "bars" else min(interval.low for interval in intervals)
    scale = (begin, max(interval.high for interval in intervals))
    across = f" by {visible(chart.across)}" if chart.across else ""
    yield ink("title", f"{chart.title}{across} ({_range(scale, chart.unit)})")
    abouts = _names([chart.categories[int(place)] if chart.categories else f"{place:g}" for place, *_ in rows])
    names = _names([name if len(chart.lines) > 1 else "" for _, name, _ in rows])
    values = [number(interval.value, interval) for interval in intervals]
    wide = max(map(len, values))
    columns = max(width - len(abouts[0]) - len(names[0]) - wide - 3 * len(GAP), 10)
    for about, name, value, interval in zip(abouts, names, values, intervals, strict=True):
        row = whisker(interval.value, interval.low, interval.high, scale, columns)
        yield GAP.join((about, name, value.rjust(wide), row)).rstrip()


def _interval(line: Line, place: int) -> Interval:
    """A figure and its interval; the figure alone, where nothing is known of that."""
    value, low, high = line.values[place], line.low[place], line.high[place]
    return Interval(value, value if low is None else low, value if high is None else high)


def _range(scale: tuple[float, float], unit: str) -> str:
    begin, end = span(*scale)
    return f"{begin} to {end}{unit}" if unit in {"/s", ""} else f"{begin} to {end} {unit}"


def _names(names: Sequence[str]) -> list[str]:
    """Names in a column that is not too wide. Of long ones the end is kept: names are told apart by that."""
    short = [name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}" for name in map(visible, names)]
    wide = max(map(len, short), default=0)
    return [name.ljust(wide) for name in short]


_PLOTS: dict[str, Callable[[Chart, int, Ink], Iterator[str]]] = {
    "time": _over_time,
    "bars": _figures,
    "curve": _figures,
}
