"""Draws docs/limits.svg: what each algorithm lets through of one and the same overload, under a virtual clock.

It runs the functions that workers run; nothing is measured, so the picture is the same on every machine.
`python bench/limits_plot.py` writes it; a test holds it to the code.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from fairlead.canonical.limits import SECOND, Algorithm, Demand, Limit, rule
from fairlead.policy.holds import reserve
from fairlead.policy.limits import State

TARGET = Path(__file__).resolve().parents[1] / "docs" / "limits.svg"
LIMIT, PER, BURST = 60, 60 * SECOND, 20
STEP = SECOND // 10
"""Between two requests: ten times what the limit allows."""
SECONDS = 240
QUIET = range(120, 170)
"""Seconds without a request, in which a burst is earned back."""
ROWS: tuple[tuple[str, Algorithm, int], ...] = (
    ("sliding_window", "sliding_window", 0),
    ("sliding_window, burst 20", "sliding_window", BURST),
    ("sliding_log", "sliding_log", 0),
    ("fixed_window", "fixed_window", 0),
    ("token_bucket", "token_bucket", 0),
    ("token_bucket, burst 20", "token_bucket", BURST),
    ("gcra", "gcra", 0),
)
WIDTH, LEFT, ROW, TOP = 860, 190, 62, 46
BEGIN = 1_700_000_000 * SECOND - 1_700_000_000 % 60 * SECOND + 37 * SECOND


def admitted(algorithm: Algorithm, burst: int) -> list[int]:
    """The instants, in microseconds from the beginning, at which a request was let through."""
    limit = Limit(unit="requests", algorithm=algorithm, limit=LIMIT, per=PER, burst=burst)
    demand = Demand(rule(limit, slot="-", scope="global", subject=""), 1)
    states: list[State] = [[]]
    passed = []
    for at in range(0, SECONDS * SECOND, STEP):
        if at // SECOND in QUIET:
            continue
        _, new = reserve([demand], states, BEGIN + at)
        if new is not None:
            states = new
            passed.append(at)
    return passed


def most_in_a_window(passed: list[int]) -> int:
    """The most requests that any period of one minute saw."""
    first, most = 0, 0
    for place, at in enumerate(passed):
        while passed[first] <= at - PER:
            first += 1
        most = max(most, place - first + 1)
    return most


def drawing() -> str:
    """The whole picture."""
    height = TOP + ROW * len(ROWS) + 34
    scale = (WIDTH - LEFT - 20) / SECONDS
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            'font-family="system-ui, sans-serif" font-size="12" fill="#222">'
        ),
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        (
            f'<text x="{LEFT}" y="18">Requests per second let through: limit {LIMIT} per minute, 600 asked for; '
            "grey: nobody asks</text>"
        ),
    ]
    quiet = LEFT + QUIET.start * scale
    wide = (QUIET.stop - QUIET.start) * scale
    lines.append(f'<rect x="{quiet:.1f}" y="{TOP - 10}" width="{wide:.1f}" height="{ROW * len(ROWS)}" fill="#eee"/>')
    for place, (name, algorithm, burst) in enumerate(ROWS):
        lines += _row(name, admitted(algorithm, burst), TOP + place * ROW, scale)
    bottom = TOP + ROW * len(ROWS)
    for minute in range(SECONDS // 60 + 1):
        x = LEFT + minute * 60 * scale
        lines.append(f'<text x="{x:.1f}" y="{bottom + 12}" text-anchor="middle">{minute} min</text>')
    return "\n".join([*lines, "</svg>", ""])


def _row(name: str, passed: list[int], top: int, scale: float) -> list[str]:
    base = top + ROW - 18
    counts = [0] * SECONDS
    for at in passed:
        counts[at // SECOND] += 1
    bars = "".join(f"M{LEFT + second * scale:.1f} {base}v{-count * 4}" for second, count in enumerate(counts) if count)
    return [
        f'<text x="10" y="{base - 14}" font-weight="600">{name}</text>',
        f'<text x="10" y="{base + 2}" fill="#666">most in a minute: {most_in_a_window(passed)}</text>',
        f'<path d="M{LEFT} {base}h{SECONDS * scale:.1f}" stroke="#bbb"/>',
        f'<path d="{bars}" stroke="#1f6feb" stroke-width="{scale * 0.8:.1f}"/>',
    ]


if __name__ == "__main__":
    TARGET.write_text(drawing())
