"""What is wrong with a configuration, and where: the one shape in which every step reports.

It must not know what a configuration contains.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal

import msgspec

Level = Literal["error", "warning"]


class Place(msgspec.Struct, frozen=True):
    """Line and column of a value, both from 1; 0: in no file."""

    line: int = 0
    column: int = 0


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. `path` names the value, such as `routes[0].retry.attempts`; empty: the whole file."""

    file: str
    line: int = 0
    column: int = 0
    path: str = ""
    message: str
    level: Level = "error"

    def __str__(self) -> str:
        mark = "warning: " if self.level == "warning" else ""
        path = f"{self.path}: " if self.path else ""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {path}{mark}{self.message}"


class Findings:
    """Collects problems; knows the place of every path that binding has seen."""

    def __init__(self, file: str, start: Place = Place(1, 1)) -> None:  # noqa: B008 - frozen
        self.file = file
        self.problems: list[Problem] = []
        self._places: dict[str, Place] = {"": start}

    def place(self, path: str, place: Place) -> None:
        """Remember where `path` stands."""
        self._places.setdefault(path, place)

    def known(self, path: str) -> str:
        """The path itself if the file has it, or the closest one around it."""
        while path not in self._places:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return path

    def error(self, path: str, message: str, at: Place | None = None) -> None:
        """Report what makes the configuration unusable."""
        self._add("error", path, message, at)

    def warn(self, path: str, message: str) -> None:
        """Report what works and is probably not meant."""
        self._add("warning", path, message, None)

    def has_errors(self) -> bool:
        """Whether the configuration cannot be used."""
        return any(problem.level == "error" for problem in self.problems)

    def in_order(self) -> tuple[Problem, ...]:
        """Every problem in the order of the file."""
        return tuple(sorted(self.problems, key=lambda p: (p.line, p.column)))

    def _add(self, level: Level, path: str, message: str, at: Place | None) -> None:
        place = at or self._places[self.known(path)]
        self.problems.append(
            Problem(file=self.file, line=place.line, column=place.column, path=path, message=message, level=level)
        )


def step(path: str, key: str) -> str:
    """The path of a key below `path`; a key that is no plain word is quoted and shortened."""
    word = key if key.isascii() and key.isprintable() and 0 < len(key) <= 64 else repr(key[:64])
    return f"{path}.{word}" if path else word


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing when no known word is near."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
