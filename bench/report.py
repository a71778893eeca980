"""The result as people read it: a Markdown page, and the block between the markers in our documents.

It must not measure or judge: figures come in, text goes out.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from bench.figures import Goal, Line

VERDICTS = {"met": "met", "missed": "**missed**", "noise": "unsure: nginx misses it too"}
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One run: what was measured, where, and of which commit."""

    date: str
    commit: str
    subject: str
    size: str
    machine: dict[str, str]
    load_before: float
    waited_share: float
    """Median share of the time in which the subject's core was taken by someone else's work."""
    others_share: float
    """Median of the cores that others used meanwhile."""
    slowdown: float
    """How much slower the subject's core works while the other is busy."""
    goals: list[Goal]
    chats: dict[str, list[Line]]
    ladder: dict[str, list[Line]]
    first_text: list[Line]
    paced: list[Line]
    translated: list[Line]
    singles: dict[str, str]
    """Single figures by name, with their unit: memory, start, the leak check."""
    samples: dict[str, object]
    """Every round as it was measured."""


def page(result: Result) -> str:
    """The whole result page."""
    parts = [
        f"# Bench, {result.date}, commit {result.commit}",
        f"Subject: {result.subject}. Size: {result.size}. {machine_line(result)}",
        "## Targets",
        goal_table(result.goals),
        *_measured(result),
    ]
    return "\n\n".join(parts) + "\n"


def block(result: Result) -> str:
    """What stands between the markers of a document."""
    head = f"Measured on {result.date}, commit `{result.commit}`, {machine_line(result)}"
    return "\n\n".join([head, goal_table(result.goals), answer_table(result.chats, "request")])


def write_block(document: Path, text: str) -> bool:
    """Replaces what stands between the markers; False where the document has none."""
    old = document.read_text() if document.exists() else ""
    if BEGIN not in old or END not in old:
        return False
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    document.write_text(pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", old, count=1))
    return True


def machine_line(result: Result) -> str:
    has = result.machine
    return (
        f"on {has['cpu']}, {has['cores']} cores, Linux {has['kernel']}, Python {has['python']}, "
        f"uvloop {has['uvloop']}, httptools {has['httptools']}, msgspec {has['msgspec']}, nginx {has['nginx']}. "
        f"Load average before: {result.load_before:.1f}. Others used {result.others_share:.2f} cores meanwhile; the "
        f"subject waited for its core {result.waited_share:.0%} of the time. "
        f"A busy core 0 makes core 1 {result.slowdown:.2f} times slower on this machine."
    )


def goal_table(goals: Iterable[Goal]) -> str:
    rows = [
        (goal.name, _number(goal.value, goal.unit), _number(goal.bound, goal.unit), VERDICTS[goal.verdict])
        for goal in goals
    ]
    return table(("figure", "measured", "target", ""), rows)


def answer_table(loads: dict[str, list[Line]], unit: str) -> str:
    rows = [
        (
            name,
            line.who,
            f"{line.rate:,.0f}",
            _cost(line),
            _ratio(line),
            _beside(line),
            f"{line.p50_ms:.2f}",
            f"{line.p99_ms:.2f}",
        )
        for name, lines in loads.items()
        for line in lines
    ]
    return table(("load", "through", f"{unit}s/s", f"CPU us/{unit}", "x nginx", "beside it", "p50 ms", "p99 ms"), rows)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    marks = ("---", *["---:"] * (len(head) - 1))
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, marks, *rows))


def _measured(result: Result) -> list[str]:
    streams = {"512 paced streams": result.paced, "256 paced streams": result.translated}
    return [
        "## Whole answers, 64 connections",
        answer_table(result.chats, "request"),
        "## Whole answers, by number of connections, 1 kB",
        answer_table(result.ladder, "request"),
        "## Streams, 64 chunks 20 ms apart; the times are gaps between chunks",
        answer_table(streams, "chunk"),
        table(
            ("512 streams", "stalls", "longest gap ms"),
            [(x.who, f"{x.extra['stalls']:.0f}", f"{x.extra['gap_max_ms']:.1f}") for x in result.paced],
        ),
        "## Time to the first text, one connection",
        table(
            ("through", "p50 ms", "p99 ms"),
            [(line.who, f"{line.p50_ms:.3f}", f"{line.p99_ms:.3f}") for line in result.first_text],
        ),
        "## Process",
        table(("figure", "value"), list(result.singles.items())),
    ]


def _cost(line: Line) -> str:
    if line.cost_us is None or line.cost_range is None:
        return "-"
    low, high = line.cost_range
    return f"{line.cost_us:.1f} ({low:.0f} to {high:.0f})"


def _beside(line: Line) -> str:
    return "-" if line.beside_us is None else f"{line.beside_us:.1f}"


def _ratio(line: Line) -> str:
    return f"{line.ratio:.2f}" if line.ratio else "-"


def _number(value: float, unit: str) -> str:
    text = f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.2f}"
    return f"{text} {unit}".strip()
