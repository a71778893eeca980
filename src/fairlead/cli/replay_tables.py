"""What a replay came to, as tables in the terminal. It must not know where its figures come from."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from fairlead.cli.output import print_table
from fairlead.control.instants import format_instant
from fairlead.simulator.replay_figures import Count, Figures, Replay

MOST_ROWS = 20
"""Rows of a table that has one for each of something; JSON has all."""
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
    ("cost, USD", lambda one: one.cost, ",.6f"),
    ("of it wasted, USD", lambda one: one.wasted, ",.6f"),
    ("latency p50, ms", lambda one: one.latency_ms.p50, ",.0f"),
    ("latency p95, ms", lambda one: one.latency_ms.p95, ",.0f"),
    ("latency p99, ms", lambda one: one.latency_ms.p99, ",.0f"),
    ("first token p50, ms", lambda one: one.first_token_ms.p50, ",.0f"),
    ("first token p99, ms", lambda one: one.first_token_ms.p99, ",.0f"),
)


def print_replay(found: Replay) -> None:
    print(f"{found.new.requests:,d} requests from {format_instant(found.begins)} to {format_instant(found.ends)}\n")
    sides = [found.recorded, *([found.old] if found.old else []), found.new]
    heads = ["RECORDED", *(["OLD"] if found.old else []), "NEW", "CHANGE"]
    _print(("", *heads), [(name, *_cells([figure(side) for side in sides], shape)) for name, figure, shape in FIGURES])
    _print(("ANSWERS BY DEPLOYMENT", *heads), _rows({(name,): count for name, count in found.deployments.items()}))
    _print(("ANSWERS BY MODEL", *heads), _rows({(name,): count for name, count in found.models.items()}))
    served: dict[tuple[str, ...], Count] = {
        (one.sender, one.asked, one.deployment): one.answers for one in found.served
    }
    _print(("WHO", "ASKED FOR", "SERVED BY", *heads), _rows(served))
    _print(("WHO", "REFUSED BY", *heads), _rows({(one.sender, one.why): one.requests for one in found.refusals}))
    _print(
        ("GUARDRAIL", "STAGE", "ACTION", "RECORDED"),
        [(one.guardrail, one.stage, one.action, f"{one.requests:,d}") for one in found.verdicts],
    )
    for note in _notes(found):
        print(f"- {note}")


def _print(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Nothing where there is no row."""
    if rows:
        print_table(heads, rows[:MOST_ROWS])
        if len(rows) > MOST_ROWS:
            print(f"… and {len(rows) - MOST_ROWS} more, with --json")
        print()


def _rows(counts: Mapping[tuple[str, ...], Count]) -> list[Sequence[str]]:
    """What changes most comes first."""
    sides = {
        names: [count.recorded, *([] if count.old is None else [count.old]), count.new]
        for names, count in counts.items()
    }
    ordered = sorted(sides.items(), key=lambda entry: -abs(entry[1][-1] - entry[1][-2]))
    return [(*names, *_cells(found, ",d")) for names, found in ordered]


def _cells(values: Sequence[float], shape: str) -> list[str]:
    """The values, and the last less the one before it."""
    change = values[-1] - values[-2]
    share = f" ({change / values[-2]:+.1%})" if change and values[-2] else ""
    return [*(format(value, shape) for value in values), (format(change, f"+{shape}") if change else "=") + share]


def _notes(found: Replay) -> Iterable[str]:
    if found.left_out:
        reasons = ", ".join(f"{count} {why}" for why, count in found.left_out.items())
        yield f"left out, because no configuration would have served them: {reasons}"
    if found.unpriced:
        yield f"without a known price, and counted as free: {', '.join(found.unpriced)}"
    for assumed in found.assumed:
        yield f"assumed: {assumed}"
