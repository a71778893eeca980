"""The simulator against closed forms: retries, fallbacks, queues and outages whose answers are known on paper.

The policy is the workers' own. Its breaker and its budget of retries are set so that they do not bind, and each test
proves that they did not; the tests at the end let them bind. With FAIRLEAD_FULL each simulation has a million requests.

What is asked is that the simulation's own 95 % interval covers the truth. One in twenty such intervals must not, so
seeds are fixed; how many of many seeds cover is a test of its own.
"""

from math import factorial, sqrt

import pytest
from tests.forms import FULL
from tests.simulator.worlds import NOWAIT, QUICK, is_share, route, setting

from fairlead.canonical.routing import Cooldown, Retry
from fairlead.policy.health import PROBES, RESERVE, WINDOW
from fairlead.simulator.life import run
from fairlead.simulator.measures import Measures
from fairlead.simulator.scenario import Load, Outage, Provider, Time, Tokens
from fairlead.simulator.setting import Setting
from fairlead.simulator.simulate import nothing_measured, simulate, trial_of
from fairlead.simulator.statistics import Interval, batch_means
from fairlead.simulator.summary import Summary

REQUESTS = 1_000_000 if FULL else 50_000
BUSY = 1000.0
"""Requests per second, so many that a window of the breaker holds thousands of them."""
SECOND_EACH = Load(prompt=Tokens(always=1), answer=Tokens(always=1))


def retrying(attempts: int, budget: float = 1.0) -> Retry:
    return Retry(attempts=attempts, max_attempts=100, budget=budget, backoff=NOWAIT)


def simulated(setting: Setting) -> Summary:
    """The breaker did not open, so that what comes out is the retries' and fallbacks' doing alone."""
    told = simulate(setting)
    assert [one.breaker_openings for one in told.deployments] == [0] * len(told.deployments)
    return told


# k independent providers with an error of p each, r retries


@pytest.mark.parametrize("error", [0.05, 0.2])
@pytest.mark.parametrize("providers", [1, 2, 3, 4])
def test_success_with_fallbacks(providers: int, error: float) -> None:
    """A request fails where all k do: p^k. It is answered by another than the first: p - p^k. Attempt i is made where
    the i - 1 before it failed, so there are (1 - p^k) / (1 - p) of them.
    """
    chain = route(*"abcd"[:providers])
    told = simulated(setting(chain, errors=f"error={error}", requests=REQUESTS, rps=BUSY, seed=2 + providers))
    assert told.success_rate.covers(1 - error**providers)
    assert told.fallback_hit_rate.covers(error - error**providers)
    assert told.attempts_per_request.covers((1 - error**providers) / (1 - error))
    assert told.retry_rate.value == 0.0
    for place, one in enumerate(told.deployments):
        assert is_share(one.attempts, REQUESTS, error**place)


@pytest.mark.parametrize("error", [0.05, 0.2])
@pytest.mark.parametrize("retries", [1, 2, 3])
def test_retries_are_geometric(retries: int, error: float) -> None:
    """Up to r + 1 trials with an error of p: success 1 - p^(r+1), (1 - p^(r+1)) / (1 - p) attempts; the share p of all
    is retried at all.
    """
    one = route("a", retry=retrying(retries))
    told = simulated(setting(one, errors=f"error={error}", requests=REQUESTS, rps=BUSY, seed=30 + retries))
    assert told.success_rate.covers(1 - error ** (retries + 1))
    assert told.attempts_per_request.covers((1 - error ** (retries + 1)) / (1 - error))
    assert told.retry_rate.covers(error)
    assert told.fallback_hit_rate.value == 0.0


def test_retries_and_fallbacks_together() -> None:
    """Two providers with a retry each: four trials, of which the latter two are a fallback's."""
    error = 0.2
    chain = route("a", "b", retry=retrying(1))
    told = simulated(setting(chain, errors=f"error={error}", requests=REQUESTS, rps=BUSY, seed=41))
    assert told.success_rate.covers(1 - error**4)
    assert told.fallback_hit_rate.covers(error**2 - error**4)
    assert told.retry_rate.covers(error)
    assert told.attempts_per_request.covers((1 - error**4) / (1 - error))


def test_added_latency_is_that_of_the_attempts_that_failed() -> None:
    """A refusal takes a millisecond; the answer is of attempt i + 1 with probability p^i (1 - p) / (1 - p^k)."""
    error, providers = 0.2, 3
    told = simulated(setting(route("a", "b", "c"), errors=f"error={error}", requests=REQUESTS, rps=BUSY, seed=51))
    failed = sum(place * error**place * (1 - error) for place in range(providers)) / (1 - error**providers)
    assert told.added_latency_ms.mean.covers(failed * 1.0)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """All seeds from 1 on, and three figures of each."""
    error, providers, count = 0.2, 2, 500 if FULL else 100
    truth = (1 - error**providers, error - error**providers, 1 + error)
    covered = [0, 0, 0]
    for seed in range(1, count + 1):
        told = simulate(setting(route("a", "b"), errors=f"error={error}", requests=2000, rps=BUSY, seed=seed))
        intervals = (told.success_rate, told.fallback_hit_rate, told.attempts_per_request)
        covered = [sum(pair) for pair in zip(covered, map(Interval.covers, intervals, truth), strict=True)]
    assert min(covered) >= 0.95 * count - 3 * sqrt(0.95 * 0.05 * count)


# queues: one provider with c places and answers of one token


def queued(
    rho: float, places: int, first_token: Time, queue: int | None = None, *, seed: int, requests: int = REQUESTS
) -> tuple[Measures, Interval]:
    """The mean wait of all attempts, at a load of `rho` per place. A service takes a second in the mean."""
    provider = Provider(
        first_token=first_token,
        per_token=Time(always=1e-9),
        refusal=Time(always=1e-9),
        capacity=places,
        queue=queue,
    )
    one = setting(
        route("a"),
        providers={"a": provider},
        requests=requests,
        rps=rho * places,
        seed=seed,
        load=SECOND_EACH,
    )
    trial, arriving = trial_of(one, nothing_measured)
    measures = run(trial, arriving, one.requests)
    waits = [batch.latency.mean - 1.0 for batch in measures.batches]
    return measures, batch_means(sum(batch.tried["a"].waited for batch in measures.batches) / requests, waits)


EXPONENTIAL = Time(mean=1.0, shape=1.0)


def erlang_c(places: int, rho: float) -> float:
    """The share of arrivals that have to wait (A. K. Erlang, 1917)."""
    load = places * rho
    busy = load**places / factorial(places) / (1 - rho)
    return busy / (sum(load**k / factorial(k) for k in range(places)) + busy)


@pytest.mark.parametrize("rho", [0.5, 0.8, 0.9])
@pytest.mark.parametrize(("places", "seed"), [(1, 2), (2, 3), (8, 8)], ids=["1", "2", "8"])
def test_waits_of_m_m_c(places: int, seed: int, rho: float) -> None:
    """The mean wait is C(c, rho) / (c - c rho) services, and the share C(c, rho) waits at all."""
    measures, wait = queued(rho, places, EXPONENTIAL, seed=seed)
    assert wait.covers(erlang_c(places, rho) / (places - places * rho))
    share = sum(batch.tried["a"].queued for batch in measures.batches) / REQUESTS
    assert share == pytest.approx(erlang_c(places, rho), rel=0.1)


@pytest.mark.skipif(not FULL, reason="many simulations: FAIRLEAD_FULL")
@pytest.mark.parametrize("rho", [0.5, 0.8])
def test_intervals_of_waits_cover_the_truth_as_often_as_they_say(rho: float) -> None:
    """All seeds from 1 on. Whoever waits waits behind others, so waits are far from independent: what counts is that a
    batch is long beside the time in which the queue forgets, which is some 4 / (1 - rho)^2 services.
    """
    truth, count = erlang_c(1, rho) / (1 - rho), 100
    covered = sum(
        queued(rho, 1, EXPONENTIAL, seed=seed, requests=100_000)[1].covers(truth) for seed in range(1, count + 1)
    )
    assert covered >= 0.95 * count - 3 * sqrt(0.95 * 0.05 * count)


@pytest.mark.parametrize("rho", [0.5, 0.8, 0.9])
@pytest.mark.parametrize(
    ("first_token", "variation"), [(Time(always=1.0), 0.0), (Time(mean=1.0, shape=4.0), 0.25)], ids=["d", "gamma"]
)
def test_waits_of_m_g_1(first_token: Time, variation: float, rho: float) -> None:
    """Pollaczek and Khinchine: rho (1 + v) / (2 (1 - rho)) services, v the squared coefficient of variation."""
    _, wait = queued(rho, 1, first_token, seed=5)
    assert wait.covers(rho * (1 + variation) / (2 * (1 - rho)))


@pytest.mark.parametrize("rho", [0.8, 1.5])
@pytest.mark.parametrize("room", [1, 5])
def test_a_bounded_queue_refuses_its_share(room: int, rho: float) -> None:
    """M/M/1/K with K = room + 1: (1 - rho) rho^K / (1 - rho^(K + 1)) of all arrivals find it full."""
    measures, _ = queued(rho, 1, EXPONENTIAL, room, seed=700 + room)
    refused = measures.seen["a"].failures["overloaded"]
    size = room + 1
    lost = (1 - rho) * rho**size / (1 - rho ** (size + 1))
    batches = [batch.senders[0].failed / batch.senders[0].requests for batch in measures.batches]
    assert batch_means(refused / REQUESTS, batches).covers(lost)


# outages: two states, and who is struck together


def test_an_outage_takes_its_share() -> None:
    """A single deployment is never cooled to nothing, so whatever comes in an outage fails: the share of the time that
    there is one, lasting / (every + lasting).
    """
    told = simulate(
        setting(
            route("a"),
            outages=[Outage(of=("a",), every=60.0, lasting=20.0)],
            requests=REQUESTS,
            rps=1.0,
            seed=51,
        )
    )
    assert told.success_rate.covers(0.75)


@pytest.mark.parametrize(
    ("outages", "both"),
    [([("a", "b")], 0.25), ([("a",), ("b",)], 0.25 * 0.25)],
    ids=["together", "apart"],
)
def test_outages_together_and_apart(outages: list[tuple[str, ...]], both: float) -> None:
    """A fallback helps against what strikes one alone, and not against what strikes both."""
    struck = [Outage(of=of, every=60.0, lasting=20.0) for of in outages]
    told = simulate(setting(route("a", "b"), outages=struck, requests=REQUESTS, rps=1.0, seed=52))
    assert told.success_rate.covers(1 - both)


# where the policy's own bounds bind


def test_the_budget_of_retries_binds_as_it_says() -> None:
    """retries <= share * calls + RESERVE * (1 + t / WINDOW), and where far more are wanted all of it is used."""
    error, share = 0.3, 0.05
    one = route("a", retry=retrying(1, budget=share))
    told = simulated(setting(one, errors=f"error={error}", requests=REQUESTS, rps=BUSY, seed=2))
    retries = told.deployments[0].attempts - REQUESTS
    bound = share * told.deployments[0].attempts + RESERVE * (1 + told.duration / WINDOW)
    assert retries <= bound < error * REQUESTS / 2
    assert retries >= 0.9 * bound


def test_the_breaker_spares_a_dead_provider_and_costs_nobody_an_answer() -> None:
    """It opens after `after` failures and what is under way, and then lets PROBES through each time that it half
    opens: for at least 0.8 * 2^n * duration in a row.
    """
    cooldown = Cooldown(after=3, duration=5.0)
    one = route("a", "b", cooldown=cooldown)
    dead = Provider(first_token=QUICK.first_token, per_token=QUICK.per_token, refusal=QUICK.refusal)
    made = setting(one, providers={"a": dead}, outages=[Outage(of=("a",), every=1e-9, lasting=1e9)], requests=REQUESTS)
    told = simulate(made)
    openings = told.deployments[0].breaker_openings
    longest = sum(0.8 * 5.0 * min(2.0**number, 60.0) for number in range(openings - 1))
    under_way = 1 + 10 * made.rps * 0.001
    assert told.success_rate.value == 1.0
    assert openings >= 5
    assert longest <= told.duration
    assert told.deployments[0].attempts <= cooldown.after + under_way + (PROBES + under_way) * openings
    assert told.deployments[0].resting_share.value > 0.9
