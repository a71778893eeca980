"""Quantiles of a stream in bounded memory, to a known relative error.

DDSketch: C. Masson, J. E. Rim and H. K. Lee, "DDSketch: A fast and fully-mergeable quantile sketch with relative-error
guarantees", VLDB 2019. A value counts in the bucket of its logarithm; a bucket's width is what the error may be.
"""

from collections import defaultdict
from collections.abc import Iterable
from math import exp, log, log1p

ERROR = 0.005
"""The relative error of a quantile, at most."""
SMALLEST = 1e-6
"""What is smaller counts as nothing."""
_WIDTH = 2 * log1p(ERROR)
"""Of a bucket, so that the middle of one is that close to both of its ends."""
_UP = 1e6
"""Added to a bucket's number, so that cutting off rounds down."""


class Sketch:
    """Values that are not negative, as counts by bucket."""

    __slots__ = ("buckets", "none", "total")

    def __init__(self) -> None:
        self.buckets: defaultdict[int, int] = defaultdict(int)
        self.none = 0
        """Values that count as nothing."""
        self.total = 0.0

    def add(self, value: float) -> None:
        if value < SMALLEST:
            self.none += 1
            return
        self.total += value
        self.buckets[int(log(value) / _WIDTH + _UP)] += 1

    @property
    def count(self) -> int:
        return self.none + sum(self.buckets.values())

    @property
    def mean(self) -> float:
        return self.total / max(self.count, 1)

    def quantile(self, share: float) -> float:
        """The value below which this share lies; 0 where there is none."""
        rank = share * (self.count - 1) - self.none
        if rank < 0 or not self.buckets:
            return 0.0
        seen = 0
        bucket = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen > rank:
                break
        return exp((bucket - _UP + 0.5) * _WIDTH)


def merged(sketches: Iterable[Sketch]) -> Sketch:
    """What all of them have seen."""
    result = Sketch()
    for sketch in sketches:
        result.total += sketch.total
        result.none += sketch.none
        for bucket, count in sketch.buckets.items():
            result.buckets[bucket] += count
    return result
