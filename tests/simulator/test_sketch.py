"""Quantiles of a stream: close to those of all values sorted, in bounded memory, and the same in parts."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from fairlead.simulator.sketch import ERROR, LARGEST, SMALLEST, Sketch, merged

VALUES = st.lists(st.floats(0, LARGEST) | st.floats(0, 10 * SMALLEST), min_size=1, max_size=300)
ROUNDING = 1e-9


def sketch_of(values: list[float]) -> Sketch:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


@given(VALUES, st.floats(0, 1))
def test_every_quantile_is_within_the_error(values: list[float], share: float) -> None:
    true = sorted(values)[int(share * (len(values) - 1))]
    told = sketch_of(values).quantile(share)
    if true < SMALLEST:
        assert told == 0.0
    else:
        assert abs(told - true) <= ERROR * (1 + ROUNDING) * true


@given(st.floats(SMALLEST, LARGEST))
def test_a_single_value_is_all_of_its_quantiles(value: float) -> None:
    """The widest error there is: a value at the edge of its bucket."""
    for share in (0.0, 0.5, 1.0):
        assert abs(sketch_of([value]).quantile(share) - value) <= ERROR * (1 + ROUNDING) * value


@given(st.floats(SMALLEST, LARGEST), st.integers(1, 1000), st.floats(0, 1))
def test_what_is_always_the_same_is_told_exactly(value: float, count: int, share: float) -> None:
    sketch = sketch_of([value] * count)
    assert sketch.quantile(share) == sketch.mean == value
    assert sketch.around(value) == (value, value)


@given(VALUES, st.floats(0, 1))
def test_the_true_quantile_is_where_it_says(values: list[float], share: float) -> None:
    true = sorted(values)[int(share * (len(values) - 1))]
    sketch = sketch_of(values)
    told = sketch.quantile(share)
    low, high = sketch.around(told)
    assert low <= told <= high
    if true >= SMALLEST:
        assert low * (1 - ROUNDING) <= true <= high * (1 + ROUNDING)


@given(st.lists(VALUES, max_size=4), st.floats(0, 1))
def test_parts_put_together_tell_what_all_would(parts: list[list[float]], share: float) -> None:
    together = merged(map(sketch_of, parts))
    whole = sketch_of([value for part in parts for value in part])
    assert together.count == whole.count == sum(map(len, parts))
    assert abs(together.mean - whole.mean) <= ROUNDING * max(whole.mean, 1.0)
    assert together.quantile(share) == whole.quantile(share)


def test_what_was_never_fed_has_nothing_to_tell() -> None:
    assert (Sketch().count, Sketch().mean, Sketch().quantile(0.5)) == (0, 0.0, 0.0)


def test_what_is_out_of_its_range_counts_at_its_ends() -> None:
    sketch = sketch_of([SMALLEST / 2, 5 * LARGEST])
    assert sketch.count == 2
    assert sketch.quantile(0.0) == 0.0
    assert abs(sketch.quantile(1.0) - LARGEST) <= 2 * ERROR * LARGEST


def test_it_does_not_grow_with_what_it_is_fed() -> None:
    """From a microsecond to eleven days, at any number of values."""
    sketch = Sketch()
    size = sys.getsizeof(sketch.buckets)
    for number in range(60_000):
        sketch.add(SMALLEST * 1.0005**number)
    assert sketch.count == 60_000
    assert sys.getsizeof(sketch.buckets) == size < 25_000
