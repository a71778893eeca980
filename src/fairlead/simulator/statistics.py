"""Figures with how sure they are: batch means, Wilson's score interval and Jain's fairness index.

Pure arithmetic. It must not know what is counted.
"""

from collections.abc import Sequence
from math import inf, isfinite, sqrt

import msgspec

Z95 = 1.959963984540054
"""The standard normal distribution's 0.975 quantile."""
_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Student's t distribution's 0.975 quantile for 1 to 30 degrees of freedom."""


class Interval(msgspec.Struct, frozen=True):
    """A figure and its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> "Interval":
        return Interval(self.value * factor, self.low * factor, self.high * factor)

    def within(self, least: float, most: float = inf) -> "Interval":
        """What cannot be less or more than that is not said to be so, however wide its interval."""
        return Interval(self.value, max(self.low, least), min(self.high, most))

    def covers(self, value: float) -> bool:
        return self.low <= value <= self.high


def batch_means(value: float, batches: Sequence[float]) -> Interval:
    """`value`, with the interval that the same figure of each batch gives (A. M. Law, "Simulation Modeling and
    Analysis", section 9.5): batches are long enough to be all but independent of each other, requests are not.
    """
    known = [batch for batch in batches if isfinite(batch)]
    if len(known) < 2:
        return Interval(value, -inf, inf)
    mean = sum(known) / len(known)
    deviation = sqrt(sum((batch - mean) ** 2 for batch in known) / (len(known) - 1))
    half = _t95(len(known) - 1) * deviation / sqrt(len(known))
    return Interval(value, value - half, value + half)


def share(hits: int, count: int, batches: Sequence[float], independent: float = inf) -> Interval:
    """A share of `count`: batch means, or Wilson's score interval where that is wider, as it is for what is rare.

    `independent`: no more than so many of the count say anything of their own, since what decides over them lasts.
    Where they are fewer, Wilson's interval is that of so many, and holds also where there are no batches to compare.
    """
    if not count:
        return Interval(0.0, 0.0, 1.0)
    value, telling = hits / count, min(count, independent)
    floor = wilson(value * telling, telling)
    found = floor if len(batches) < 2 and telling < count else batch_means(value, batches)
    return Interval(value, min(found.low, floor.low), max(found.high, floor.high)).within(0.0, 1.0)


def wilson(hits: float, count: float) -> Interval:
    """E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927. Of nothing it is
    everything.
    """
    if not count:
        return Interval(0.0, 0.0, 1.0)
    value, square = hits / count, Z95 * Z95
    middle = (value + square / (2 * count)) / (1 + square / count)
    half = Z95 * sqrt(value * (1 - value) / count + square / (4 * count * count)) / (1 + square / count)
    return Interval(value, middle - half, middle + half)


def jain(shares: Sequence[float]) -> float:
    """R. Jain, D. Chiu and W. Hawe, "A quantitative measure of fairness and discrimination", 1984: 1 where all get the
    same share, 1/n where one gets everything. 1 where there is nothing to share.
    """
    squares = sum(one * one for one in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def _t95(degrees: int) -> float:
    return _T95[degrees - 1] if degrees <= len(_T95) else Z95
