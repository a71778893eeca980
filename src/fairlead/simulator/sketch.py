"""Quantiles of a stream in memory that does not grow, to a known relative error.

DDSketch: C. Masson, J. E. Rim and H. K. Lee, "DDSketch: A fast and fully-mergeable quantile sketch with relative-error
guarantees", VLDB 2019. A value counts in the bucket of its logarithm; a bucket's width is what the error may be.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from math import exp, log, log1p

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

    __slots__ = ("buckets", "none", "total")

    def __init__(self) -> None:
        self.buckets = array("q", bytes(8 * _BUCKETS))
        self.none = 0
        """Values that count as nothing."""
        self.total = 0.0

    def add(self, value: float) -> None:
        if value < SMALLEST:
            self.none += 1
            return
        self.total += value
        self.buckets[int(log(value) / _WIDTH - _FIRST) if value < LARGEST else -1] += 1

    @property
    def count(self) -> int:
        return self.none + sum(self.buckets)

    @property
    def mean(self) -> float:
        return self.total / max(self.count, 1)

    def quantile(self, share: float) -> float:
        """The value below which this share lies; 0 where there is none."""
        heights = list(accumulate(self.buckets))
        rank = share * (self.none + heights[-1] - 1) - self.none
        if rank < 0:
            return 0.0
        return exp((bisect_right(heights, rank) + _FIRST + 0.5) * _WIDTH)


def merged(sketches: Iterable[Sketch]) -> Sketch:
    """What all of them have seen."""
    parts = list(sketches)
    result = Sketch()
    result.none = sum(part.none for part in parts)
    result.total = sum(part.total for part in parts)
    result.buckets = array("q", map(sum, zip(result.buckets, *[part.buckets for part in parts], strict=True)))
    return result
