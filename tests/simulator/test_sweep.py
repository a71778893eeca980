"""Curves over one setting: the values, what is refused, and curves whose course theory knows."""

from itertools import pairwise

import pytest
from tests.simulator.settings import BOUNDLESS, choice, route, setting

from fairlead.canonical.routing import Retry
from fairlead.simulator.setting import Setting, SettingError
from fairlead.simulator.simulate import simulate
from fairlead.simulator.summary import Summary
from fairlead.simulator.sweep import parse, sweep

ALONE = setting(route(choice("openai/gpt")), requests=4000, openai="429=0.0")


def never(_: Setting) -> Summary:
    raise AssertionError("nothing is to be simulated here")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("openai.error=0:0.5:0.1", ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]),
        ("openai.error=0:0.45:0.2", ["0", "0.2", "0.4"]),
        ("retry.attempts=2:2:1", ["2"]),
        ("openai.error=0:10%:5%", ["0", "0.05", "0.1"]),
        ("rps=1k:2,000:500", ["1000", "1500", "2000"]),
        ("backoff.base=50ms:200ms:50ms", ["50ms", "100ms", "150ms", "200ms"]),
        ("cooldown.for=0:1m:30s", ["0s", "30s", "1m"]),
    ],
)
def test_the_values_of_a_sweep(text: str, values: list[str]) -> None:
    found = parse(text)
    assert [found.text(value) for value in found.values] == values


def test_two_hundred_values_and_no_more() -> None:
    assert len(parse("rps=1:200:1").values) == 200
    with pytest.raises(SettingError, match="more than 200 values"):
        parse("rps=1:201:1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("openai.error", "is not NAME=VALUE"),
        ("openai.error=0.5", "is not NAME=FROM:TO:STEP"),
        ("openai.error=0:1:0.1:2", "is not NAME=FROM:TO:STEP"),
        ("openai.error=0:1:0", "never ends"),
        ("openai.error=0:1:-0.1", "never ends"),
        ("openai.error=1:0:0.1", "has no values"),
        ("openai.error=0:1:x", "'0:1:x'|'x' is neither a number nor a duration|'1' is neither"),
        ("openai.error=0:nan:0.1", "is neither a number nor a duration"),
        ("openai.error=0:inf:0.1", "is neither a number nor a duration"),
        ("backoff.base=1:2s:1s", "'1' is neither a number nor a duration"),
    ],
)
def test_a_sweep_that_cannot_be(text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        parse(text)


def test_an_impossible_value_is_told_before_anything_is_simulated() -> None:
    with pytest.raises(SettingError, match=r"from 0 to 1"):
        sweep(parse("openai.error=0.8:1.2:0.2"), ALONE, never)


def test_without_retries_one_provider_succeeds_as_often_as_it_does_not_fail() -> None:
    curve = sweep(parse("openai.error=0:0.9:0.15"), ALONE, simulate, name="fairlead.yaml")
    assert (curve.name, curve.setting, curve.unit) == ("fairlead.yaml", "openai.error", "")
    for point in curve.points:
        # The cooldown does not keep requests from the only deployment there is.
        assert point.summary.success_rate.covers(1.0 - point.value), point.value


def test_success_falls_with_every_step_of_the_error_rate() -> None:
    """Not only in the mean: with common chance, who fails at a rate fails at every higher one."""
    curve = sweep(parse("openai.error=0:0.5:0.02"), ALONE, simulate)
    rates = [point.summary.success_rate.value for point in curve.points]
    assert all(before > after for before, after in pairwise(rates))


def test_each_retry_multiplies_what_is_lost_by_the_error_rate() -> None:
    patient = setting(route(choice("openai/gpt"), retry=Retry(budget=BOUNDLESS)), requests=4000, openai="error=0.4")
    curve = sweep(parse("retry.attempts=0:3:1"), patient, simulate)
    for point in curve.points:
        assert point.summary.success_rate.covers(1.0 - 0.4 ** (1 + point.value)), point.value


def test_a_sweep_of_durations() -> None:
    slow = setting(route(choice("openai/gpt"), retry=Retry(budget=BOUNDLESS)), requests=1000, openai="error=0.4")
    curve = sweep(parse("backoff.base=100ms:900ms:400ms"), slow, simulate)
    assert curve.unit == "s"
    assert [point.value for point in curve.points] == [0.1, 0.5, 0.9]
    waits = [point.summary.added_latency_ms.mean.value for point in curve.points]
    assert waits == sorted(waits)
    assert waits[2] > 4 * waits[0]


def test_equal_settings_give_equal_points() -> None:
    first = sweep(parse("openai.error=0.1:0.1:1"), ALONE, simulate)
    assert first == sweep(parse("openai.error=0.1:0.1:1"), ALONE, simulate)
