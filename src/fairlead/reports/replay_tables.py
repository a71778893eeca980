"""What a replay came to, as tables. It must not know where its figures come from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from fairlead.control.instants import format_instant
from fairlead.reports.table import Table
from fairlead.simulator.replay_figures import Count, Figures, Replay

Row = tuple[str, Callable[[Figures], float], str]
"""What it is called, the figure, and how it is written."""
FIGURES: tuple[Row, ...] = (
    ("requests", lambda one: one.requests, ",d"),
    ("answered in full", lambda one: one.answered, ",d"),
    ("answers that broke off", lambda one: one.cut, ",d"),
    ("clients that left", lambda one: one.left, ",d"),
    ("failed", lambda one: one.failed, ",d"),
    ("refused", lambda one: one.refused, ",d"),
    ("retried", lambda one: one.retried, ",d"),
    ("fallback hits", lambda one: one.fallbacks, ",d"),
    ("attempts", lambda one: one.attempts, ",d"),
    ("cost, $", lambda one: one.cost, ",.6f"),
    ("of it wasted, $", lambda one: one.wasted, ",.6f"),
    ("latency p50, ms", lambda one: one.latency_ms.p50, ",.0f"),
    ("latency p95, ms", lambda one: one.latency_ms.p95, ",.0f"),
    ("latency p99, ms", lambda one: one.latency_ms.p99, ",.0f"),
    ("first token p50, ms", lambda one: one.first_token_ms.p50, ",.0f"),
    ("first token p95, ms", lambda one: one.first_token_ms.p95, ",.0f"),
    ("first token p99, ms", lambda one: one.first_token_ms.p99, ",.0f"),
)
AGAIN = (
    "A replay begins with fresh health, limits and budgets, and draws chance anew: old is close to what was recorded, "
    "not the same."
)
Named = Mapping[tuple[str, ...], Count]
"""Requests by what the first cells of their row say."""


def replay_tables(found: Replay) -> Iterator[Table]:
    """The figures as recorded and replayed, and whatever else there is, what changes most first."""
    counted = partial(_counted, ["recorded", *(["old"] if found.old else []), "new", "change"])
    yield _figures(found)
    yield from counted("Answers by deployment", [""], {(name,): count for name, count in found.deployments.items()})
    yield from counted("Answers by model", [""], {(name,): count for name, count in found.models.items()})
    served: Named = {(one.sender, one.asked, one.deployment): one.answers for one in found.served}
    yield from counted("Answers by who asked for what", ["who", "asked for", "served by"], served)
    refused: Named = {(one.sender, one.why): one.requests for one in found.refusals}
    yield from counted("Refusals", ["who", "refused by"], refused)
    if found.verdicts:
        yield Table(
            title="What guardrails said",
            heads=["guardrail", "stage", "action", "recorded"],
            rows=[[one.guardrail, one.stage, one.action, f"{one.requests:,d}"] for one in found.verdicts],
            abouts=3,
            ranked=True,
        )


def replay_notes(found: Replay) -> Iterator[str]:
    """What the tables leave out, in sentences."""
    if found.left_out:
        reasons = ", ".join(f"{count} {why}" for why, count in found.left_out.items())
        yield f"left out, because no configuration would have served them: {reasons}"
    if found.unpriced:
        yield f"without a known price, and counted as free: {', '.join(found.unpriced)}"


def _figures(found: Replay) -> Table:
    sides = [found.recorded, *([found.old] if found.old else []), found.new]
    return Table(
        title=f"{found.new.requests:,d} requests from {format_instant(found.begins)} to {format_instant(found.ends)}",
        heads=["", "recorded", *(["old"] if found.old else []), "new", "change"],
        rows=[[name, *_cells([of(side) for side in sides], shape)] for name, of, shape in FIGURES],
        notes=[*([AGAIN] if found.old else []), *replay_notes(found)],
    )


def _counted(heads: Sequence[str], title: str, abouts: Sequence[str], counts: Named) -> Iterator[Table]:
    """Nothing where there is no row."""
    sides = {
        names: [count.recorded, *([] if count.old is None else [count.old]), count.new]
        for names, count in counts.items()
    }
    ordered = sorted(sides.items(), key=lambda entry: -abs(entry[1][-1] - entry[1][-2]))
    if ordered:
        yield Table(
            title=title,
            heads=[*abouts, *heads],
            rows=[[*names, *_cells(found, ",d")] for names, found in ordered],
            abouts=len(abouts),
            ranked=True,
        )


def _cells(values: Sequence[float], shape: str) -> list[str]:
    """The values, and the last less the one before it."""
    change = values[-1] - values[-2]
    share = f" ({change / values[-2]:+.1%})" if change and values[-2] else ""
    return [*(format(value, shape) for value in values), (format(change, f"+{shape}") if change else "=") + share]
