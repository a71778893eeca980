"""A report as tables in words, for a terminal and for a page alike. It must not know the width of either."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

import msgspec

from fairlead.reports.charts import axis
from fairlead.reports.readings import (
    COST,
    FAIRNESS,
    LATENCY,
    PERCENT,
    RATES,
    READINGS,
    change,
    differ,
    duration,
    figure,
    number,
    percent,
)
from fairlead.reports.replay_tables import replay_tables
from fairlead.reports.side_by_side import side_by_side
from fairlead.reports.table import Table
from fairlead.simulator.report import Comparison, Curve, Difference, Report, Run
from fairlead.simulator.summary import ENOUGH_OUTAGES, Deployment, Summary

UNPRICED = "No price is known of {}: free of charge here."
RARE = (
    "Too few outages are to be expected to be sure of more: simulate a longer time (more --requests, or a lower --rps)."
)
DIFFERS = "≠ differs from the first by more than chance."
CHANCE = "Only what differs beyond chance. Each interval is of its own: of twenty figures that do not, one may seem to."
ALIKE = "Nothing differs by more than chance."
VARIED = (*RATES[:2], RATES[-1], LATENCY[-1], COST)
"""What is told of each point of a curve."""


def tables(report: Report) -> Iterator[Table]:
    """The tables of a report, the main figures first. Of a suggestion there are no others."""
    if report.replay:
        yield from replay_tables(report.replay)
    beside = side_by_side(report)
    if beside.runs:
        yield main_figures(beside.runs, beside.comparisons)
    for run in report.runs:
        yield from run_tables(run, f" – {run.name}" if len(report.runs) > 1 else "")
    yield from map(changes, report.comparisons)
    yield from map(curve_table, report.curves)


def main_figures(runs: Sequence[Run], comparisons: Sequence[Comparison] = ()) -> Table:
    """All runs side by side. `comparisons` are those of the first with each other one, in order. Figures that are
    nothing in all of them are left out.
    """
    compared = [None, *(comparison for _, comparison in zip_longest(runs[1:], comparisons))]
    rows = [
        ["requests", *(f"{run.summary.requests:,}" for run in runs)],
        ["simulated time", *(duration(run.summary.duration) for run in runs)],
        *_outages(runs),
    ]
    differing = set()
    shared = any(_is_shared(run.summary) for run in runs)
    for reading in READINGS if shared else READINGS[: READINGS.index(FAIRNESS)]:
        intervals = [reading.of(run.summary) for run in runs]
        if reading not in RATES[:1] and not any(interval.value for interval in intervals):
            continue
        differing |= {
            (len(rows), column)
            for column, (one, comparison) in enumerate(zip(intervals, compared, strict=True), 1)
            if (differ(intervals[0], one) if comparison is None else reading.place in _beyond_chance(comparison))
        }
        rows.append([reading.title, *(figure(interval) for interval in intervals)])
    unpriced = sorted({name for run in runs for name in run.summary.unpriced})
    return Table(
        title="Figures, with 95 % confidence intervals",
        heads=["", *(run.name for run in runs)],
        rows=rows,
        differing=frozenset(differing),
        notes=[
            *([DIFFERS] if differing else []),
            *([RARE] if any(_are_rare(run.summary) for run in runs) else []),
            *([UNPRICED.format(", ".join(unpriced))] if unpriced else []),
        ],
    )


def _outages(runs: Sequence[Run]) -> Iterator[list[str]]:
    """How many there were, how long they lasted together, and how many were to be expected. All runs have the same."""
    for place, outages in enumerate(runs[0].summary.outages):
        found = [run.summary.outages[place] for run in runs]
        yield [
            f"outages of {', '.join(outages.of)}",
            *(f"{one.seen:,} ({duration(one.lasting)}), {number(one.expected)} expected" for one in found),
        ]


def _are_rare(summary: Summary) -> bool:
    return any(outages.expected < ENOUGH_OUTAGES for outages in summary.outages)


def changes(comparison: Comparison) -> Table:
    """What differs beyond chance between two runs of the same requests."""
    beyond = _beyond_chance(comparison)
    title = f"From {comparison.before} to {comparison.after}, request by request"
    if not beyond:
        return Table(title=title, heads=[], rows=[], notes=[ALIKE])
    return Table(
        title=title,
        heads=["", "change"],
        rows=[
            [reading.title, change(beyond[reading.place].difference.scaled(reading.factor))]
            for reading in READINGS
            if reading.place in beyond
        ],
        notes=[CHANCE],
    )


def _beyond_chance(comparison: Comparison) -> dict[str, Difference]:
    return {one.figure: one for one in comparison.differences if one.beyond_chance}


def run_tables(run: Run, suffix: str = "") -> Iterator[Table]:
    """What there is of one run beside its main figures; `suffix` goes after titles."""
    summary = run.summary
    yield _told(
        Table(
            title=f"Deployments{suffix}",
            heads=[
                "",
                "attempts",
                "limited",
                "failed %",
                "broke off %",
                "queue ms",
                "openings",
                "resting %",
                "answers %",
            ],
            rows=[_deployment(one) for one in summary.deployments],
        )
    )
    failures = [
        [one.name, kind, f"{count:,}", percent(count / one.attempts)]
        for one in summary.deployments
        for kind, count in sorted(one.failures.items(), key=lambda item: -item[1])
    ]
    if failures:
        yield Table(
            title=f"Failures{suffix}", heads=["", "kind", "attempts", "of its %"], rows=failures, abouts=2, ranked=True
        )
    if _is_shared(summary):
        yield _senders(summary, suffix)
    if summary.refusals:
        yield Table(
            title=f"Refusals{suffix}",
            heads=["", "limit", "requests", "of its %"],
            rows=[
                [one.sender, one.limit, f"{one.requests:,}", figure(one.share.scaled(PERCENT))]
                for one in summary.refusals
            ],
            abouts=2,
            ranked=True,
        )


def curve_table(curve: Curve) -> Table:
    """The points of a curve."""
    return _told(
        Table(
            title=f"{curve.setting} – {curve.name}",
            heads=[axis(curve), *(reading.title for reading in VARIED)],
            rows=[
                [f"{point.value:g}", *(figure(reading.of(point.summary)) for reading in VARIED)]
                for point in curve.points
            ],
        )
    )


def _told(table: Table) -> Table:
    """Without the columns that say nothing, because nothing of the kind happened; the first figure is always told."""
    columns = [
        column
        for column in range(len(table.heads))
        if column <= 1 or any(row[column].partition(" ")[0].strip("0.,–") for row in table.rows)
    ]
    return msgspec.structs.replace(
        table,
        heads=[table.heads[column] for column in columns],
        rows=[[row[column] for column in columns] for row in table.rows],
    )


def _is_shared(summary: Summary) -> bool:
    return len(summary.senders) > 1 or bool(summary.refusals)


def _deployment(one: Deployment) -> list[str]:
    failed = sum(one.failures.values())
    return [
        one.name,
        f"{one.attempts:,}",
        f"{one.limited:,}",
        percent(failed / one.attempts) if one.attempts else "0.00",
        percent(one.broken / one.answered) if one.answered else "0.00",
        number(one.queue_ms.value),
        f"{one.breaker_openings:,}",
        percent(one.resting_share.value),
        percent(one.share_of_answers.value),
    ]


def _senders(summary: Summary, suffix: str) -> Table:
    return Table(
        title=f"Senders{suffix}",
        ranked=True,
        heads=["", "requests", "success %", "refused %", "tokens", "$ per 1000"],
        rows=[
            [
                one.name,
                f"{one.requests:,}",
                figure(one.success_rate.scaled(PERCENT)),
                figure(one.refusal_rate.scaled(PERCENT)),
                figure(one.tokens_per_request),
                figure(one.cost_per_1000),
            ]
            for one in summary.senders
        ],
    )
