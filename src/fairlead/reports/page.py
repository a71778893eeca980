"""A report as one page: a file that a browser opens from the disk, without any other file and without the network.

Tables are in the page as it is; page.js draws the charts. Every text of a user is escaped, and the page's policy lets
no other script run than that one. It must not know how a simulation came to its figures.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from itertools import pairwise
from string import Template

import msgspec

from fairlead.reports.charts import Chart, compared, mean_between, of_run, varied
from fairlead.reports.imprint import imprint
from fairlead.reports.readings import NOTHING, duration, number
from fairlead.reports.replay_tables import replay_tables
from fairlead.reports.side_by_side import side_by_side
from fairlead.reports.table import Table
from fairlead.reports.tables import changes, curve_table, main_figures, run_tables
from fairlead.simulator.report import Report

HINT = (
    "To read values move over a chart, or focus it and use the arrow keys. Drag, or press + and −, to see a part; "
    "Escape or a double click shows the whole. A name in a legend hides and shows its line."
)
ROWS = 24
"""The most rows of a table of values over time."""


def page(report: Report) -> str:
    """The whole page, as HTML."""
    drawn: list[Chart] = []
    body = "\n".join(_body(side_by_side(report), drawn))
    style, script = _file("page.css"), _file("page.js")
    policy = f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; base-uri 'none'"
    return Template(_file("page.html")).substitute(
        policy=policy,
        title=escape(report.title),
        style=style,
        body=body,
        charts=_embedded(drawn),
        script=script,
    )


def _file(name: str) -> str:
    return (files("fairlead.reports") / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """How a policy names the one script or style that it allows."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _embedded(drawn: Sequence[Chart]) -> str:
    """JSON in which nothing can end the script element or begin a comment."""
    return msgspec.json.encode(drawn).decode().replace("<", "\\u003c")


def _body(report: Report, drawn: list[Chart]) -> Iterator[str]:
    """What is between header and scripts; charts that have their place there are added to `drawn`."""
    yield f"<h1>{escape(report.title)}</h1>"
    yield f'<p class="note">{escape(imprint(report.origin))}</p><pre>{escape(report.origin.command)}</pre>'
    yield from _list("Suggestion", report.suggestion.told if report.suggestion else ())
    if report.suggestion and report.suggestion.lines:
        yield f"<pre>{escape(chr(10).join(report.suggestion.lines))}</pre>"
    yield from _list("Targets", [one.told for one in report.targets])
    yield from _list("Assumed, because nobody said it", report.assumed)
    yield f'<p class="note hint">{HINT}</p>'
    yield '<noscript><p class="note">Charts need JavaScript; their values are in the tables.</p></noscript>'
    if report.replay:
        for table in replay_tables(report.replay):
            yield from _table(table)
    if report.runs:
        yield from _table(main_figures(report.runs, report.comparisons))
        for comparison in report.comparisons:
            yield from _table(changes(comparison))
        yield from _charts(compared(report.runs), drawn)
    for run in report.runs:
        yield f"<h2>{escape(run.name)}</h2>"
        yield from _charts(of_run(run), drawn)
        for table in run_tables(run):
            yield from _table(table)
    for setting in dict.fromkeys(curve.setting for curve in report.curves):
        yield f"<h2>{escape(setting)}</h2>"
        yield from _charts(varied(setting, report.curves), drawn)
    for curve in report.curves:
        yield from _table(curve_table(curve))


def _list(title: str, sentences: Sequence[str]) -> Iterator[str]:
    if sentences:
        items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
        yield f"<h3>{title}</h3><ul>{items}</ul>"


def _charts(charts: Sequence[Chart], drawn: list[Chart]) -> Iterator[str]:
    yield '<div class="charts">'
    for place, chart in enumerate(charts, len(drawn)):
        note = f' <span class="note">{escape(chart.note)}</span>' if chart.note else ""
        yield f"<figure><figcaption>{escape(_caption(chart))}{note}</figcaption>"
        yield f'<div class="plot" data-chart="{place}"></div>'
        yield "<details><summary>Values</summary>"
        yield from _grid(*_values(chart))
        yield "</details></figure>"
    yield "</div>"
    drawn += charts


def _caption(chart: Chart) -> str:
    return f"{chart.title}, {chart.unit}" if chart.unit and chart.unit != "/s" else chart.title


def _table(table: Table) -> Iterator[str]:
    yield f"<h3>{escape(table.title)}</h3>"
    if table.rows:
        yield from _grid(table.heads, table.rows, table.differing)
    yield from (f'<p class="note">{escape(note)}</p>' for note in table.notes)


def _grid(
    heads: Sequence[str], rows: Sequence[Sequence[str]], differing: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[str]:
    yield '<div class="table"><table><thead><tr>'
    yield "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    yield "</tr></thead><tbody>"
    for place, (about, *cells) in enumerate(rows):
        marks = [' class="differs"' if (place, column) in differing else "" for column in range(1, len(cells) + 1)]
        told = "".join(f"<td{mark}>{escape(cell)}</td>" for mark, cell in zip(marks, cells, strict=True))
        yield f'<tr><th scope="row">{escape(about)}</th>{told}</tr>'
    yield "</tbody></table></div>"


def _values(chart: Chart) -> tuple[list[str], list[list[str]]]:
    """The heads and rows of a chart's values; those over time are means of longer times."""
    heads = [{"time": "from", "curve": chart.across, "bars": ""}[chart.form], *(line.name for line in chart.lines)]
    if chart.form == "time":
        until = max(line.at[-1] for line in chart.lines)
        edges = [until * place / ROWS for place in range(ROWS + 1)]
        means = [[mean_between(line, begin, end) for line in chart.lines] for begin, end in pairwise(edges)]
        return heads, [[duration(edge), *map(_cell, row)] for edge, row in zip(edges, means, strict=False)]
    places = sorted({at for line in chart.lines for at in line.at})
    abouts = [chart.categories[int(at)] if chart.categories else f"{at:g}" for at in places]
    known = [dict(zip(line.at, line.values, strict=True)) for line in chart.lines]
    return heads, [[about, *(_cell(line.get(at)) for line in known)] for about, at in zip(abouts, places, strict=True)]


def _cell(value: float | None) -> str:
    return NOTHING if value is None else number(value)
