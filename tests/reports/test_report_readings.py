"""Figures say as much as is known of them, and no more."""

from math import inf

import pytest
from tests.reports.sample_reports import UNKNOWN, about, summary

from fairlead.reports.readings import differ, duration, figure, lost, number, span
from fairlead.simulator.statistics import Interval


@pytest.mark.parametrize(
    ("interval", "told"),
    [
        (Interval(99.9834, 99.9713, 99.9956), "99.983 [99.971, 99.996]"),
        (Interval(4143.4, 4087.2, 4200.1), "4,143 [4,087, 4,200]"),
        (Interval(0.5, -inf, inf), "0.500 [not known]"),
        (about(2.0), "2.00"),
        (about(0.0), "0"),
        (UNKNOWN, "–"),
    ],
)
def test_a_figure_has_the_digits_that_its_interval_leaves(interval: Interval, told: str) -> None:
    assert figure(interval) == told


def test_a_number_has_three_digits_or_all_its_whole_ones() -> None:
    assert [number(value) for value in (0.012345, 1.5, 12345.6, 0.0)] == ["0.0123", "1.50", "12,346", "0"]


def test_what_is_next_to_nothing_is_not_told_as_nothing() -> None:
    assert number(0.0000000123) == "1.23e-08"
    assert number(0.0, about(0.0, 1e-9)) == "0.000000"


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (0.0, 20.0, ("0", "20")),
        (99.9923, 100.0, ("99.9923", "100.0000")),
        (24_381.0, 27_988.0, ("24,381", "27,988")),
        (0.0, 2.38e-6, ("0", "2.38e-06")),
    ],
)
def test_the_ends_of_an_axis_are_told_apart(low: float, high: float, told: tuple[str, str]) -> None:
    assert span(low, high) == told


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.25, "0.25 s"), (59, "59 s"), (60, "1 min"), (7980, "2 h 13 min"), (90000, "1 d 1 h")]
)
def test_a_time_is_told_in_its_two_largest_units(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_figures_differ_only_where_their_intervals_do_not_meet() -> None:
    assert differ(about(1.0, 0.1), about(1.3, 0.1))
    assert differ(about(1.3, 0.1), about(1.0, 0.1))
    assert not differ(about(1.0, 0.2), about(1.3, 0.2))
    assert not differ(about(1.0, 0.1), UNKNOWN), "of which nothing is known"


def test_what_is_lost_is_what_did_not_succeed_with_the_interval_turned_round() -> None:
    found = lost(summary(success_rate=Interval(0.9, 0.85, 0.97)))
    assert [round(end, 9) for end in (found.value, found.low, found.high)] == [10.0, 3.0, 15.0]
