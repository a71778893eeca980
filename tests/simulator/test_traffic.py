"""Who asks for what, and when: Poisson arrivals, days and bursts that keep the mean, senders apart from each other."""

from itertools import islice, takewhile
from math import exp
from random import Random
from statistics import fmean, pvariance

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.worlds import distance

from fairlead.canonical.tenants import VirtualKey
from fairlead.simulator.chance import Fixed, log_normal
from fairlead.simulator.traffic import HOUR, Arrival, Burst, Sender, Shape, arrivals, instants

DAY = 24 * HOUR


def sender(name: str, **facts: object) -> Sender:
    plain = {"key": VirtualKey(id=name), "models": ("m",), "prompt": log_normal(100, 900), "answer": log_normal(20, 90)}
    return Sender(name=name, **(plain | facts))  # type: ignore[arg-type]


def until(end: float, shape: Shape, seed: int = 1, begins: float = 0.0) -> list[float]:
    return list(takewhile(lambda at: at < end, instants(shape, Random(seed), begins)))


def test_gaps_are_exponential() -> None:
    found = list(islice(instants(Shape(rate=4.0), Random(1)), 20_000))
    gaps = [later - at for at, later in zip([0.0, *found], found, strict=False)]
    assert distance(gaps, lambda gap: 1 - exp(-4.0 * gap)) < 1.95


def test_counts_vary_as_much_as_their_mean() -> None:
    """The index of dispersion is 1 with a deviation of sqrt(2 / n)."""
    counts = [0] * 4000
    for at in until(4000.0, Shape(rate=5.0)):
        counts[int(at)] += 1
    assert fmean(counts) == pytest.approx(5.0, abs=4 * (5 / 4000) ** 0.5)
    assert pvariance(counts) / fmean(counts) == pytest.approx(1.0, abs=4 * (2 / 4000) ** 0.5)


def test_nobody_asks_at_no_rate() -> None:
    assert list(instants(Shape(rate=0.0), Random(1))) == []


def test_a_day_keeps_the_mean_and_peaks_at_its_hour() -> None:
    found = until(2 * DAY, Shape(rate=0.5, low=0.2, peak=14 * HOUR))
    assert len(found) == pytest.approx(0.5 * 2 * DAY, abs=4 * (0.5 * 2 * DAY) ** 0.5)
    rates = {hour: sum(abs(at % DAY - hour * HOUR) < HOUR / 2 for at in found) / (2 * HOUR) for hour in (2, 8, 14)}
    assert rates == {2: pytest.approx(0.1, rel=0.2), 8: pytest.approx(0.5, rel=0.1), 14: pytest.approx(0.9, rel=0.1)}


def test_a_simulation_may_begin_at_any_hour() -> None:
    shape = Shape(rate=1.0, low=0.0, peak=14 * HOUR)
    assert len(until(HOUR, shape, begins=14 * HOUR)) > 20 * len(until(HOUR, shape, begins=2 * HOUR))


@pytest.mark.parametrize("times", [5.0, 0.0])
def test_bursts_keep_the_mean(times: float) -> None:
    """What is more in a burst is less otherwise; with a factor of 0 they are silences."""
    burst = Burst(calm=30.0, lasting=10.0, times=times)
    found = until(100_000.0, Shape(rate=2.0, burst=burst))
    assert len(found) == pytest.approx(200_000, rel=0.03)
    assert burst.otherwise == pytest.approx({5.0: 0.5, 0.0: 4 / 3}[times])


def test_bursts_come_beside_the_day() -> None:
    shape = Shape(rate=1.0, low=0.5, burst=Burst(calm=30.0, lasting=10.0, times=5.0))
    assert len(until(DAY, shape)) == pytest.approx(DAY, rel=0.04)


def test_bursts_are_bursts() -> None:
    """Counts of seconds vary far more than a Poisson process's."""
    counts = [0] * 10_000
    for at in until(10_000.0, Shape(rate=5.0, burst=Burst(calm=30.0, lasting=10.0, times=10.0))):
        counts[int(at)] += 1
    assert pvariance(counts) / fmean(counts) > 3.0


@settings(max_examples=30)
@given(st.integers(0, 1000), st.lists(st.floats(0.01, 50.0), min_size=1, max_size=5))
def test_all_come_in_the_order_of_time(seed: int, rates: list[float]) -> None:
    given_ = [(sender(f"s{number}"), Shape(rate=rate)) for number, rate in enumerate(rates)]
    found = [one.at for one in islice(arrivals(given_, seed), 300)]
    assert found == sorted(found)


def asked(of: str, senders: list[str], seed: int = 1, rate: float = 2.0) -> list[Arrival]:
    given_ = [(sender(name, users=50), Shape(rate=rate, low=0.5)) for name in senders]
    mine = (one for one in arrivals(given_, seed) if senders[one.sender] == of)
    return list(islice(mine, 200))


def test_a_sender_more_changes_nothing_for_the_others() -> None:
    def told(found: list[Arrival]) -> list[tuple[float, int, int, str]]:
        return [(one.at, one.prompt, one.answer, one.user) for one in found]

    assert told(asked("a", ["a"])) == told(asked("a", ["b", "a", "c"]))


def test_another_rate_asks_for_the_same_at_other_times() -> None:
    slow, quick = asked("a", ["a"]), asked("a", ["a"], rate=20.0)
    assert [(one.prompt, one.answer, one.user) for one in slow] == [(one.prompt, one.answer, one.user) for one in quick]
    assert slow[-1].at > 5 * quick[-1].at


def test_another_seed_asks_for_something_else() -> None:
    assert asked("a", ["a"], seed=1) != asked("a", ["a"], seed=2)


def test_models_take_turns_and_sizes_are_at_least_one() -> None:
    one = sender("a", models=("x", "y"), prompt=Fixed(0.2), answer=Fixed(50.0), max_tokens=30, stream=False)
    found = list(islice(arrivals([(one, Shape(rate=1.0))], 1), 4))
    assert [each.model for each in found] == ["x", "y", "x", "y"]
    assert {(each.prompt, each.answer, each.stream, each.user) for each in found} == {(1, 30, False, "")}
