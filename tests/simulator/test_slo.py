"""Targets, and when one counts as met: with the whole confidence interval."""

from math import inf, log

import msgspec
import pytest
from tests.simulator.settings import choice, route, setting

from fairlead.simulator.setting import SettingError
from fairlead.simulator.simulate import simulate
from fairlead.simulator.slo import AIMS, Target, judge, parse, shortfall
from fairlead.simulator.statistics import Interval
from fairlead.simulator.summary import FIGURES, Summary

FOUND = simulate(setting(route(choice("openai/gpt")), requests=200, openai="error=0.1"))


def target(text: str) -> Target:
    (only,) = parse(text)
    return only


def with_rate(success: Interval) -> Summary:
    return msgspec.structs.replace(FOUND, success_rate=success)


def with_p99(interval: Interval) -> Summary:
    return msgspec.structs.replace(FOUND, first_token_ms=msgspec.structs.replace(FOUND.first_token_ms, p99=interval))


def test_targets_as_people_write_them() -> None:
    text = "success=0.999, ttft_p99=800ms,latency_p95=5s,refusals=0.01,cost=0.5,added_mean=1.5s,attempts=1.2"
    assert {target.name: target.bound for target in parse(text)} == {
        "success": 0.999,
        "ttft_p99": 800,
        "latency_p95": 5000,
        "refusals": 0.01,
        "cost": 0.5,
        "added_mean": 1500,
        "attempts": 1.2,
    }
    assert ",".join(map(str, parse("success=0.999,ttft_p99=800ms"))) == "success=0.999,ttft_p99=800ms"


@pytest.mark.parametrize("text", ["success=0.9999995", "ttft_p99=1234567ms", "cost=0.1234567", "latency_mean=90m"])
def test_a_target_is_told_as_it_was_written(text: str) -> None:
    assert str(parse(text)[0]) == text


def test_a_share_near_1_has_as_many_digits_as_it_takes() -> None:
    (judged,) = judge(parse("success=0.9999995"), with_rate(Interval(0.9999991, 0.99987, 1.0)))
    assert "is 0.9999991 (0.99987 to 1), and should be at least 0.9999995: missed by 4e-07" in judged.told


def test_there_is_a_target_for_every_figure() -> None:
    assert {aim.figure for aim in AIMS.values()} == set(FIGURES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a target is missing"),
        ("success", "is not NAME=BOUND"),
        ("sucess=0.9", "did you mean 'success'"),
        ("moon=0.9", "known here: success"),
        ("success=0.9,success=0.99", "two targets for 'success'"),
        ("success=high", "'high' is not a number"),
        ("success=1", "no number of requests can show that; write a bound below 1"),
        ("success=99.9", "below 1"),
        ("success=nan", "'nan' is not a number"),
        ("refusals=0", "above 0"),
        ("refusals=2", "1% or 0.01"),
        ("cost=-1", "above 0"),
        ("cost=inf", "'inf' is not a number"),
        ("ttft_p99=800", "'800' is not a duration"),
        ("ttft_p99=0ms", "above 0"),
    ],
)
def test_a_target_that_cannot_be(text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        parse(text)


@pytest.mark.parametrize(
    ("rate", "met", "missing", "said"),
    [
        (Interval(0.95, 0.93, 0.97), True, 0.0, "met"),
        (Interval(0.95, 0.90, 0.97), True, 0.0, "met"),
        (Interval(0.92, 0.89, 0.94), False, 0.01, "perhaps met, but its interval is 0.01 beyond"),
        (Interval(0.88, 0.85, 0.91), False, 0.05, "missed by 0.02"),
    ],
)
def test_a_success_rate_counts_by_the_low_end(rate: Interval, met: bool, missing: float, said: str) -> None:
    (judged,) = judge(parse("success=0.9"), with_rate(rate))
    assert (judged.target, judged.figure, judged.met) == ("success=0.9", rate, met)
    assert judged.missing == pytest.approx(missing)
    assert said in judged.told


@pytest.mark.parametrize(
    ("p99", "met", "said"),
    [
        (Interval(700, 600, 800), True, "is 700ms (600ms to 800ms), and should be at most 800ms: met"),
        (Interval(700, 600, 900), False, "perhaps met, but its interval is 100ms beyond"),
        (Interval(1250, 1100, 1400), False, "is 1.25s (1.1s to 1.4s), and should be at most 800ms: missed by 450ms"),
        (
            Interval(700, 0, inf),
            False,
            "is 700ms (too few answers or outages to know how sure that is), and should be at most 800ms: perhaps",
        ),
    ],
)
def test_a_latency_counts_by_the_high_end(p99: Interval, met: bool, said: str) -> None:
    (judged,) = judge(parse("ttft_p99=800ms"), with_p99(p99))
    assert judged.met is met
    assert said in judged.told


def test_a_latency_of_nobody_is_not_known() -> None:
    silent = msgspec.structs.replace(with_p99(Interval(0, 0, inf)), success_rate=Interval(0, 0, 0.01))
    (judged,) = judge(parse("ttft_p99=800ms"), silent)
    assert not judged.met
    words = "the p99 of the time to the first token is not known, for nothing was answered"
    assert judged.told == f"{words}, and should be at most 800ms: missed"


def test_a_shortfall_compares_failures_as_ratios() -> None:
    found = with_rate(Interval(0.98, 0.96, 1.0))
    assert shortfall(target("success=0.99"), found) == pytest.approx(log(4))
    assert shortfall(target("success=0.99"), found, 0.0) == pytest.approx(log(2))
    assert shortfall(target("success=0.99"), found, 0.5) == pytest.approx(log(3))
    assert shortfall(target("success=0.95"), found) == 0.0
    assert shortfall(target("ttft_p99=800ms"), with_p99(Interval(900, 0, 1600))) == pytest.approx(log(2))


def test_where_an_interval_has_no_end_the_value_says_how_far_it_is() -> None:
    """In the first rounds of a search few outages are played, and some settings are better all the same."""
    near, far = (shortfall(target("ttft_p99=800ms"), with_p99(Interval(value, 0, inf))) for value in (900, 1600))
    assert 0.0 < near < far == pytest.approx(log(2))
    nothing = msgspec.structs.replace(with_p99(Interval(0, 0, inf)), success_rate=Interval(0.0, 0.0, 0.1))
    assert shortfall(target("ttft_p99=800ms"), nothing) == inf
