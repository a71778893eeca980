"""Random durations and sizes: a few well-known distributions, and one that is what was measured. And what comes and
goes by chance.

Values only; chance is a passed `random.Random`. It must not know what is drawn.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import repeat
from math import cos, exp, log, pi, sqrt
from random import Random

import msgspec

Sampler = Callable[[], float]
"""Gives one value after the other."""
Z99 = 2.3263478740408408
"""The standard normal distribution's 0.99 quantile."""
POINTS = 1024
"""Quantiles that are kept of what was measured."""
KEPT = 100
"""Spells that are remembered, for who wants to see them."""


class Fixed(msgspec.Struct, frozen=True):
    value: float

    @property
    def mean(self) -> float:
        return self.value

    def sampler(self, rng: Random) -> Sampler:
        del rng
        return repeat(self.value).__next__


class LogNormal(msgspec.Struct, frozen=True):
    """The exponential of a normal distribution; `sigma` is that one's deviation."""

    median: float
    sigma: float

    @property
    def mean(self) -> float:
        return self.median * exp(self.sigma * self.sigma / 2)

    def sampler(self, rng: Random) -> Sampler:
        return self._drawn(rng.random).__next__

    def _drawn(self, random: Callable[[], float]) -> Iterator[float]:
        """G. E. P. Box and M. E. Muller, "A note on the generation of random normal deviates", 1958. The second deviate
        that their two draws are good for is not kept: it would outlive a new seed.
        """
        median, sigma, turn = self.median, self.sigma, 2.0 * pi
        while True:
            yield median * exp(sigma * sqrt(-2.0 * log(1.0 - random())) * cos(turn * random()))


class Gamma(msgspec.Struct, frozen=True):
    """`shape` 1 is the exponential distribution; the larger, the narrower."""

    mean: float
    shape: float

    def sampler(self, rng: Random) -> Sampler:
        if self.shape == 1.0:
            return partial(rng.expovariate, 1.0 / self.mean)
        return partial(rng.gammavariate, self.shape, self.mean / self.shape)


class Empirical(msgspec.Struct, frozen=True):
    """What was measured: a straight line between each two of these values, which are sorted."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        first, *_, last = self.values
        return (sum(self.values) - (first + last) / 2) / (len(self.values) - 1)

    def sampler(self, rng: Random) -> Sampler:
        values, last = self.values, len(self.values) - 1

        def draw() -> float:
            place = rng.random() * last
            low = int(place)
            return values[low] + (values[low + 1] - values[low]) * (place - low)

        return draw


Distribution = Fixed | LogNormal | Gamma | Empirical


def log_normal(median: float, p99: float) -> LogNormal | Fixed:
    """The log-normal distribution with these two quantiles. Raises ValueError where the second is the smaller."""
    if p99 < median:
        raise ValueError(f"its 99th percentile ({p99:g}) is below its median ({median:g})")
    return LogNormal(median, log(p99 / median) / Z99) if p99 > median else Fixed(median)


def empirical(measured: Iterable[float]) -> Empirical | Fixed:
    """What was measured, in bounded space. Raises ValueError where that is nothing."""
    ordered = sorted(measured)
    if not ordered:
        raise ValueError("nothing was measured")
    if ordered[0] == ordered[-1]:
        return Fixed(ordered[0])
    last = len(ordered) - 1
    points = min(len(ordered), POINTS)
    return Empirical(tuple([ordered[round(index * last / (points - 1))] for index in range(points)]))


class Spells:
    """Times that come and go: a two-state Markov process in continuous time, in its steady state from instant 0 on.

    `calm` and `lasting` are the mean seconds between two and of one.
    """

    def __init__(self, calm: float, lasting: float, rng: Random) -> None:
        self.share = lasting / (calm + lasting)
        """Of the time, in the long run."""
        self.cycle = calm + lasting
        """Mean seconds from the beginning of one to that of the next."""
        self.memory = calm * lasting / (calm + lasting)
        """Seconds after which only 1/e of what is on now is still to be felt."""
        self._count, self._lasted = 0, 0.0
        """Of those that are over."""
        self._over: deque[tuple[float, float]] = deque(maxlen=KEPT)
        self._calm = calm
        self._lasting = lasting
        self._rng = rng
        self._begins = 0.0 if rng.random() < self.share else rng.expovariate(1.0) * calm
        self._ends = self._begins + rng.expovariate(1.0) * lasting

    def is_on(self, now: float) -> bool:
        """Whether there is one at `now`, no earlier than the last instant that was asked for."""
        while now >= self._ends:
            self._over.append((self._begins, self._ends))
            self._count += 1
            self._lasted += self._ends - self._begins
            self._begins = self._ends + self._rng.expovariate(1.0) * self._calm
            self._ends = self._begins + self._rng.expovariate(1.0) * self._lasting
        return now >= self._begins

    def seen(self, until: float) -> tuple[int, float]:
        """How many there were before `until`, no earlier than the latest instant asked for, and their seconds."""
        is_on = self.is_on(until)
        return self._count + is_on, self._lasted + (until - self._begins if is_on else 0.0)

    def known(self, until: float) -> list[tuple[float, float]]:
        """The latest that began before `until`, none of which ends after it."""
        self.is_on(until)
        spells = (*self._over, (self._begins, self._ends))
        return [(begin, min(end, until)) for begin, end in spells if begin < until]
