"""Plots made of characters."""

import pytest

from fairlead.cli.sparks import lane, whisker


def test_a_lane_is_as_high_as_its_values_and_what_is_not_nothing_is_seen() -> None:
    assert lane([0.0, 0.001, 5.0, 10.0, None], 10.0, 2) == ["   █ ", " ▁██ "]


def test_a_lane_of_nothing_is_empty() -> None:
    assert lane([0.0, None], 0.0, 1) == ["  "]


@pytest.mark.parametrize(
    ("value", "low", "high", "drawn"),
    [
        (5.0, 2.0, 8.0, "  ├──●──┤  "),
        (5.0, 5.0, 5.0, "     ●     "),
        (0.0, -5.0, 3.0, "●──┤       "),
        (10.0, 9.0, 10.0, "         ├●"),
    ],
)
def test_a_whisker_spans_its_interval_on_the_scale(value: float, low: float, high: float, drawn: str) -> None:
    assert whisker(value, low, high, (0.0, 10.0), 11) == drawn


def test_a_scale_of_one_value_has_one_place() -> None:
    assert whisker(1.0, 1.0, 1.0, (1.0, 1.0), 3) == "●  "
