"""How sure a figure is: known values, and intervals that cover what they should as often as they say."""

from math import inf, isnan
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulator.worlds import is_share

from fairlead.simulator.statistics import Interval, batch_means, jain, share, wilson

REPEATS = 2000


def test_batch_means_are_students_interval() -> None:
    """1 to 5: mean 3, deviation sqrt(2.5); t for 4 degrees of freedom is 2.776."""
    found = batch_means(3.0, [1, 2, 3, 4, 5])
    assert (found.value, found.low, found.high) == pytest.approx((3.0, 3 - 1.963, 3 + 1.963), abs=1e-3)


def test_twenty_batches_have_nineteen_degrees_of_freedom() -> None:
    """Ten of 0 and ten of 1: the deviation is sqrt(5 / 19), and t is 2.093."""
    found = batch_means(0.5, [0.0, 1.0] * 10)
    assert found.high - found.value == pytest.approx(2.093 * (5 / 19) ** 0.5 / 20**0.5, abs=1e-6)


def test_batch_means_are_about_the_figure_of_all() -> None:
    """A quantile of everything is not the mean of the batches' quantiles; the interval is about the former."""
    found = batch_means(10.0, [1.0, 3.0])
    assert found.value - found.low == pytest.approx(found.high - found.value) == pytest.approx(12.706)


@pytest.mark.parametrize("batches", [[], [1.0], [1.0, inf]])
def test_a_single_batch_tells_nothing_of_how_sure_it_is(batches: list[float]) -> None:
    assert batch_means(1.0, batches) == Interval(1.0, -inf, inf)


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_gives_what_tables_give(hits: int, count: int, low: float, high: float) -> None:
    """The last row is that of R. G. Newcombe, "Two-sided confidence intervals for the single proportion", 1998."""
    found = wilson(hits, count)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 10**6).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_a_share_is_never_beyond_nothing_or_everything(of: tuple[int, int]) -> None:
    hits, count = of
    found = share(hits, count, [hits / count] * 20)
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0


def test_what_never_happened_may_still_happen() -> None:
    """Twenty batches without a failure say nothing of how rare failures are; Wilson's interval does."""
    found = share(0, 1000, [0.0] * 20)
    assert found.low == 0.0
    assert 0.0037 < found.high < 0.0039


def test_nothing_asked_is_nothing_known() -> None:
    assert share(0, 0, []) == Interval(0.0, 0.0, 1.0)


def test_the_interval_of_means_covers_as_often_as_it_says() -> None:
    rng = Random(5)
    covered = 0
    for _ in range(REPEATS):
        batches = [sum(rng.expovariate(1.0) for _ in range(30)) / 30 for _ in range(20)]
        covered += batch_means(sum(batches) / 20, batches).covers(1.0)
    assert is_share(covered, REPEATS, 0.95)


@pytest.mark.parametrize("rate", [0.5, 0.02])
def test_the_interval_of_a_share_covers_at_least_as_often_as_it_says(rate: float) -> None:
    rng = Random(6)
    covered = 0
    for _ in range(REPEATS // 4):
        hits = [sum(rng.random() < rate for _ in range(40)) for _ in range(20)]
        covered += share(sum(hits), 800, [one / 40 for one in hits]).covers(rate)
    assert covered >= 0.93 * REPEATS / 4


def test_scaled_and_covers() -> None:
    found = Interval(1.0, 0.5, 2.0).scaled(1000.0)
    assert found == Interval(1000.0, 500.0, 2000.0)
    assert found.covers(500.0)
    assert not found.covers(499.0)
    assert not found.covers(2001.0)


@pytest.mark.parametrize(
    ("shares", "index"),
    [((1, 1, 1, 1), 1.0), ((1, 0, 0, 0), 0.25), ((3, 1), 0.8), ((), 1.0), ((0, 0), 1.0)],
)
def test_jain(shares: tuple[float, ...], index: float) -> None:
    assert jain(shares) == pytest.approx(index)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_jain_lies_between_one_gets_all_and_all_get_the_same(shares: list[float]) -> None:
    index = jain(shares)
    assert not isnan(index)
    assert 1 / len(shares) - 1e-9 <= index <= 1 + 1e-9
