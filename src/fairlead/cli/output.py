"""What commands print: JSON, tables and problems. It must not know what they mean."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from fairlead.config.problems import Problem


def print_json(value: Any) -> None:
    """Indented JSON on stdout."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns on stdout, as wide as their longest cell."""
    lines = [heads, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(heads))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_problems(problems: Iterable[Problem]) -> None:
    """One line each on stderr."""
    for problem in problems:
        print(problem, file=sys.stderr)
