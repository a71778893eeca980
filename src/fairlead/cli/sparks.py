"""Small plots made of characters: a quantity over time, and figures with their intervals. Pure; no colour, no terminal.

Read without colour, and by who has never seen them: one lane per line, one row per figure.
"""

from collections.abc import Sequence
from math import ceil

BLOCKS = " ▁▂▃▄▅▆▇█"
FINE = len(BLOCKS) - 1
"""Levels of one character."""


def lane(values: Sequence[float | None], top: float, height: int) -> list[str]:
    """`height` rows of bars from 0 to `top`, the highest row first. What is not quite nothing is seen."""
    levels = [
        0 if not value else min(max(ceil(value / top * height * FINE - 0.5), 1), height * FINE) for value in values
    ]
    return [
        "".join(BLOCKS[min(max(level - row * FINE, 0), FINE)] for level in levels) for row in reversed(range(height))
    ]


def whisker(value: float, low: float, high: float, scale: tuple[float, float], width: int) -> str:
    """A dot at the figure and a line over its interval, `├─●─┤`, in a row that stands for the scale."""
    left, right = (_place(end, scale, width) for end in (low, high))
    row = [" "] * width
    row[left : right + 1] = "─" * (right + 1 - left)
    row[left], row[right] = "├", "┤"
    row[_place(value, scale, width)] = "●"
    return "".join(row)


def _place(value: float, scale: tuple[float, float], width: int) -> int:
    begin, end = scale
    share = (value - begin) / (end - begin) if end > begin else 0.0
    return min(max(round(share * (width - 1)), 0), width - 1)
