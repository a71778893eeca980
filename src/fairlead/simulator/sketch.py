"""Quantiles of a stream in memory that does not grow, to a known relative error.

DDSketch: C. Masson, J. E. Rim and H. K. Lee, "DDSketch: A fast and fully-mergeable quantile sketch with relative-error
guarantees", VLDB 2019. A value counts in the bucket of its logarithm; a bucket's width is what the error may be. The
least and the greatest are known as they are, so what is always the same is told exactly. It must not know what it is
fed.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from math import exp, inf, log, log1p

ERROR = 0.005
"""The relative error of a quantile, at most."""
SMALLEST = 1e-6
"""What is smaller counts as nothing."""
LARGEST = 1e6
"""What is larger counts as this."""
_WIDTH = 2 * log1p(ERROR)
"""Of a bucket, so that the middle of one is that close to both of its ends."""
_FIRST = log(SMALLEST) / _WIDTH
_BUCKETS = int(log(LARGEST) / _WIDTH - _FIRST) + 1


class Sketch:
    """Values that are not negative, such as seconds, as counts by bucket."""

    __slots__ = ("buckets", "greatest", "least", "none", "total")

    def __init__(self) -> None:
        self.buckets = array("q", bytes(8 * _BUCKETS))
        self.none = 0
        """Values that count as nothing."""
        self.total = 0.0
        self.least = inf
        self.greatest = 0.0

    def add(self, value: float) -> None:
        if value < SMALLEST:
            self.none += 1
            self.least = 0.0
            return
        if value < self.least:
            self.least = value
        if value > self.greatest:
            self.greatest = value
        self.total += value
        self.buckets[int(log(value) / _WIDTH - _FIRST) if value < LARGEST else -1] += 1

    @property
    def count(self) -> int:
        return self.none + sum(self.buckets)

    @property
    def mean(self) -> float:
        return self._known(self.total / max(self.count, 1))

    def quantile(self, share: float) -> float:
        """The value below which this share lies; 0 where there is none."""
        heights = list(accumulate(self.buckets))
        rank = share * (self.none + heights[-1] - 1) - self.none
        if rank < 0:
            return 0.0
        return self._known(exp((bisect_right(heights, rank) + _FIRST + 0.5) * _WIDTH))

    def around(self, quantile: float) -> tuple[float, float]:
        """Between which two values the true one lies of what `quantile` gave."""
        return max(quantile / (1 + ERROR), min(self.least, quantile)), min(quantile / (1 - ERROR), self.greatest)

    def _known(self, value: float) -> float:
        """What cannot be less than the least, nor more than the greatest."""
        return min(max(value, self.least), self.greatest)


def merged(sketches: Iterable[Sketch]) -> Sketch:
    """What all of them have seen."""
    parts = list(sketches)
    result = Sketch()
    result.none = sum(part.none for part in parts)
    result.total = sum(part.total for part in parts)
    result.least = min((part.least for part in parts), default=inf)
    result.greatest = max((part.greatest for part in parts), default=0.0)
    result.buckets = array("q", map(sum, zip(result.buckets, *[part.buckets for part in parts], strict=True)))
    return result
