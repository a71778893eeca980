"""How far long work is, on a terminal and nowhere else: a bar after a second, gone when the work is done."""

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self, TextIO, TypeVar

AFTER = 1.0
"""Seconds in which nothing is shown."""
EVERY = 0.1
"""Seconds between two pictures of it."""
CELLS = 24
CLEAR = "\r\x1b[K"
Item = TypeVar("Item")


class Progress:
    """A context in which `tell` may hear how many of `total` are done; it costs next to nothing.

    `clock` gives seconds.
    """

    def __init__(
        self, total: int, noun: str, *, to: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = max(total, 1)
        self._noun = noun
        self._to = sys.stderr if to is None else to
        self._clock = clock
        self._began = clock()
        self._next = self._began + AFTER if self._to.isatty() else float("inf")
        self._is_shown = False
        self._begun = 0
        """Of the work, by parts that have begun."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._is_shown:
            self._show("")

    def tell(self, done: int) -> None:
        now = self._clock()
        if now >= self._next:
            self._next = now + EVERY
            self._is_shown = True
            width = shutil.get_terminal_size((80, 24)).columns - 1
            self._show(self._line(min(done, self._total), now - self._began)[:width])

    def part(self, size: int) -> Callable[[int], None]:
        """What hears of the next `size` of the work, when all that was told before is done."""
        before = self._begun
        self._begun += size
        return lambda done: self.tell(before + done)

    def over(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, each of which is one more that is done."""
        for done, item in enumerate(items):
            self.tell(done)
            yield item

    def _line(self, done: int, lasting: float) -> str:
        part = done / self._total
        filled = round(part * CELLS)
        rate = done / lasting
        left = f", {_clock((self._total - done) / rate)} left" if rate else ""
        return f"{part:4.0%} {'█' * filled}{'░' * (CELLS - filled)} {rate:,.0f} {self._noun}/s{left}"

    def _show(self, line: str) -> None:
        self._to.write(CLEAR + line)
        self._to.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
