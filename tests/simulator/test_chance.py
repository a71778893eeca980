"""Random durations and sizes: means, quantiles, what was measured, and times that come and go."""

from math import erf, exp, log, sqrt
from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulator.worlds import distance

from fairlead.simulator.chance import POINTS, Distribution, Empirical, Fixed, Gamma, Spells, empirical, log_normal

COUNT = 40_000


def drawn(distribution: Distribution, count: int = COUNT, seed: int = 3) -> list[float]:
    draw = distribution.sampler(Random(seed))
    return [draw() for _ in range(count)]


@pytest.mark.parametrize(
    "distribution",
    [Fixed(2.0), log_normal(0.4, 2.0), Gamma(3.0, 1.0), Gamma(3.0, 0.5), Gamma(3.0, 20.0), Empirical((0.0, 1.0, 5.0))],
)
def test_it_has_the_mean_that_it_tells(distribution: Distribution) -> None:
    values = drawn(distribution)
    deviation = sqrt(fmean((value - distribution.mean) ** 2 for value in values))
    assert abs(fmean(values) - distribution.mean) <= 4 * deviation / sqrt(COUNT)


def test_log_normal_has_the_two_quantiles_that_it_is_made_of() -> None:
    values = sorted(drawn(log_normal(0.4, 2.0)))
    below = [sum(value < bound for value in values) / COUNT for bound in (0.4, 2.0)]
    assert below == [pytest.approx(0.5, abs=0.01), pytest.approx(0.99, abs=0.002)]
    sigma = log(5.0) / 2.3263478740408408
    assert distance(values, lambda value: (1 + erf(log(value / 0.4) / sigma / sqrt(2))) / 2) < 1.95


def test_gamma_of_shape_one_is_the_exponential_distribution() -> None:
    assert distance(drawn(Gamma(3.0, 1.0)), lambda value: 1 - exp(-value / 3.0)) < 1.95


def test_gamma_is_narrower_the_larger_its_shape() -> None:
    for shape in (0.5, 4.0, 100.0):
        values = drawn(Gamma(1.0, shape))
        assert fmean((value - 1.0) ** 2 for value in values) == pytest.approx(1 / shape, rel=0.08)


def test_two_quantiles_that_are_one_leave_no_chance() -> None:
    assert log_normal(0.4, 0.4) == Fixed(0.4)


def test_a_tail_below_the_middle_is_refused() -> None:
    with pytest.raises(ValueError, match=r"its 99th percentile \(0.1\) is below its median \(0.4\)"):
        log_normal(0.4, 0.1)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_what_was_measured_stays_within_its_bounds(values: list[float]) -> None:
    found = drawn(empirical(values), count=20)
    assert all(min(values) <= value <= max(values) for value in found)


def test_what_was_measured_keeps_its_shape_in_bounded_space() -> None:
    rng = Random(1)
    measured = [rng.expovariate(1.0) for _ in range(20_000)]
    found = empirical(measured)
    assert isinstance(found, Empirical)
    assert len(found.values) == POINTS
    assert found.mean == pytest.approx(fmean(measured), rel=0.01)
    ordered = sorted(measured)
    assert sorted(drawn(found))[COUNT // 2] == pytest.approx(ordered[10_000], rel=0.03)


def test_nothing_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        empirical([])


def test_spells_take_their_share_of_the_time_and_are_as_long_as_told() -> None:
    spells = Spells(30.0, 10.0, Random(4))
    instants = [0.5 * number for number in range(400_000)]
    on = fmean(spells.is_on(now) for now in instants)
    assert spells.share == 0.25
    assert on == pytest.approx(0.25, rel=0.05)  # 5 000 spells: two deviations are 3 %
    lengths = [end - begin for begin, end in spells.known(instants[-1])[:-1]]
    assert len(lengths) in {99, 100}
    assert fmean(lengths) == pytest.approx(10.0, rel=0.4)


def test_spells_are_in_their_steady_state_from_the_beginning() -> None:
    """Or else a short simulation would hardly ever see one."""
    first = [Spells(30.0, 10.0, Random(seed)).is_on(0.0) for seed in range(4000)]
    assert fmean(first) == pytest.approx(0.25, abs=0.03)


def test_known_spells_are_cut_off_at_the_end() -> None:
    spells = Spells(1.0, 1.0, Random(2))
    spells.is_on(50.0)
    known = spells.known(20.0)
    assert known
    assert all(begin < end <= 20.0 for begin, end in known)
    assert known == sorted(known)


@pytest.mark.parametrize(
    "distribution", [log_normal(0.4, 2.0), Gamma(3.0, 1.0), Gamma(3.0, 0.5), Empirical((0.0, 5.0))]
)
def test_a_new_seed_is_a_new_beginning(distribution: Distribution) -> None:
    """Whatever was drawn before: nothing is left over from it."""
    rng = Random(1)
    draw = distribution.sampler(rng)
    found = []
    for before in (1, 2):
        for _ in range(before):
            draw()
        rng.seed(7)
        found.append([draw() for _ in range(5)])
    assert found[0] == found[1]
