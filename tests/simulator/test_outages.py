"""Outages come whether or not anybody asks, and where they are rare next to what is simulated, figures are unsure."""

from collections.abc import Iterable
from math import inf

import pytest
from tests.simulator.worlds import is_share, route, setting

from fairlead.simulator.compare import differences
from fairlead.simulator.scenario import Outage
from fairlead.simulator.simulate import simulate
from fairlead.simulator.summary import Summary

EVERY, LASTING = 100.0, 10.0
SHARE = LASTING / (EVERY + LASTING)
RPS = 0.1
SEEDS = 150


def played(cycles: float, seed: int = 1, *deployments: str, of: Iterable[str] = ("a",)) -> Summary:
    """So many outages of `a` in the mean, by requests that come far apart and are always answered by somebody."""
    made = setting(
        route(*(deployments or ("a", "b"))),
        outages=[Outage(of=(one,), every=EVERY, lasting=LASTING) for one in of],
        requests=int(cycles * (EVERY + LASTING) * RPS),
        rps=RPS,
        seed=seed,
    )
    return simulate(made)


@pytest.mark.parametrize("cycles", [0.5, 2.0, 12.0, 40.0])
def test_intervals_cover_as_often_as_they_say_however_few_outages_there_were(cycles: float) -> None:
    told = [played(cycles, seed) for seed in range(SEEDS)]
    covered = sum(one.fallback_hit_rate.covers(SHARE) for one in told)
    assert covered >= 0.95 * SEEDS or is_share(covered, SEEDS, 0.95)
    covered = sum(one.attempts_per_request.covers(1.0 + SHARE) for one in told)
    assert covered >= 0.95 * SEEDS or is_share(covered, SEEDS, 0.95)


def test_of_too_few_outages_nothing_is_known_but_of_shares() -> None:
    few, enough = played(8.0), played(60.0)
    for figure in (few.attempts_per_request, few.first_token_ms.p99, few.cost_per_1000):
        assert (figure.low, figure.high) == (0.0, inf)
    assert enough.attempts_per_request.high < 1.5
    assert few.fallback_hit_rate.high < 0.5


def test_an_outage_that_has_not_come_yet_may_come() -> None:
    told = next(one for one in (played(1.0, seed) for seed in range(50)) if not one.fallback_hit_rate.value)
    assert told.fallback_hit_rate.high > SHARE
    assert told.outages[0].seen == 0
    assert told.outages[0].expected == pytest.approx(1.0, rel=0.5)


def test_two_that_are_out_together_are_rarer_than_either() -> None:
    """One in a hundred requests meets both, and many simulations of twenty cycles see no such time."""
    told = [played(20.0, seed, of=("a", "b")) for seed in range(SEEDS)]
    assert any(one.success_rate.value == 1.0 for one in told)
    covered = sum(one.success_rate.covers(1.0 - SHARE * SHARE) for one in told)
    assert covered >= 0.95 * SEEDS or is_share(covered, SEEDS, 0.95)


def test_two_configurations_differ_by_no_more_than_the_outages_that_came_say() -> None:
    found = differences(played(3.0, 4), played(3.0, 4, "a"))
    assert not any(one.beyond_chance for one in found)


def test_outages_of_who_is_never_asked_are_told() -> None:
    """They come all the same: what is tried next hangs on others."""
    told = played(30.0, 1, of=("b",))
    assert not told.deployments[1].attempts
    (outages,) = told.outages
    assert outages.of == ["b"]
    assert outages.seen == len(told.deployments[1].outages) == pytest.approx(30, abs=16)
    assert outages.lasting == pytest.approx(sum(end - begin for begin, end in told.deployments[1].outages))
    assert outages.expected == pytest.approx(told.duration / (EVERY + LASTING))
