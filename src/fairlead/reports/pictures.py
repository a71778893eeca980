"""The charts of a report as one picture, PNG or SVG, drawn by matplotlib, which the extra `plots` brings.

Import it only where a picture is wanted. It must not know what the charts are about: charts.py says what is drawn.
"""

from io import BytesIO
from warnings import catch_warnings, simplefilter

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fairlead.reports.charts import TOTAL, Chart, Line, charts
from fairlead.reports.readings import duration, visible
from fairlead.simulator.report import Report

COLUMNS = 2
WIDTH, HEIGHT = 7.0, 3.2
"""Of one chart, in inches."""
DPI = 110
HUES = ("#1f6fb4", "#c4570a", "#0c8a63", "#a8327f", "#7a6a00", "#5b4bc4", "#b3261e", "#4a5568")
GREY = "#5c6670"
MOST_NAMES = 12
"""In a legend."""


def picture(report: Report, form: str) -> bytes:
    """The file, in the form `png` or `svg`."""
    found = charts(report)
    rows = max(-(-len(found) // COLUMNS), 1)
    # Dollars are dollars and no formulas; equal reports give equal files.
    style = mpl.rc_context({"text.parse_math": False, "svg.hashsalt": "fairlead", "font.size": 9, "axes.titlesize": 10})
    with style, catch_warnings():
        simplefilter("ignore")  # what a font does not have it draws as a box
        figure = Figure(figsize=(COLUMNS * WIDTH, rows * HEIGHT + 0.6), layout="constrained")
        figure.suptitle(visible(report.title))
        several = len(report.runs) > 1
        for place, chart in enumerate(found, 1):
            _draw(figure.add_subplot(rows, COLUMNS, place), chart, f" – {chart.run}" if several and chart.run else "")
        file = BytesIO()
        figure.savefig(file, format=form, dpi=DPI, metadata={"Date": None} if form == "svg" else None)
    return file.getvalue()


def _draw(axes: Axes, chart: Chart, suffix: str) -> None:
    axes.set_title(visible(chart.title + suffix), loc="left")
    axes.set_ylabel(chart.unit)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    for order, line in enumerate(chart.lines):
        _LINES[chart.form](axes, chart, line, order)
    if chart.form != "curve":
        axes.set_ylim(bottom=0)
    axes.set_xlabel("" if chart.form == "time" else visible(chart.across))
    if chart.form == "bars":
        axes.set_xticks(range(len(chart.categories)), [visible(name) for name in chart.categories])
    if chart.form == "time":
        axes.margins(x=0)
        axes.xaxis.set_major_formatter(lambda seconds, _: duration(seconds))
    if 1 < len(chart.lines) <= MOST_NAMES:
        axes.legend(fontsize=7, framealpha=0.6)


def _steps(axes: Axes, _: Chart, line: Line, __: int) -> None:
    for begin, end in line.shaded:
        axes.axvspan(begin, end, color=_hue(line), alpha=0.12, linewidth=0)
    width, alpha = (4.0, 0.5) if line.hue == TOTAL else (1.5, 1.0)  # the others are seen upon it
    axes.stairs(
        line.values, line.at, color=_hue(line), label=visible(line.name), baseline=None, linewidth=width, alpha=alpha
    )


def _curve(axes: Axes, _: Chart, line: Line, __: int) -> None:
    axes.plot(line.at, line.values, color=_hue(line), label=visible(line.name), marker=".")
    known = [(at, low, high) for at, low, high in zip(line.at, line.low, line.high, strict=True) if low is not None]
    if known:
        at, low, high = zip(*known, strict=True)
        axes.fill_between(at, low, high, color=_hue(line), alpha=0.18, linewidth=0)


def _bars(axes: Axes, chart: Chart, line: Line, order: int) -> None:
    width = 0.8 / len(chart.lines)
    at = [place - 0.4 + (order + 0.5) * width for place in line.at]
    axes.bar(at, line.values, width * 0.94, color=_hue(line), alpha=0.75, label=visible(line.name))
    for middle, low, high in zip(at, line.low, line.high, strict=False):
        if low is not None and high is not None:
            axes.plot([middle, middle], [low, high], color="black", linewidth=1, marker="_")


def _hue(line: Line) -> str:
    return GREY if line.hue == TOTAL else HUES[line.hue % len(HUES)]


_LINES = {"time": _steps, "curve": _curve, "bars": _bars}
