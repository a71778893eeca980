"""What a simulation came to adds up, whatever was simulated."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.worlds import QUICK, deployment, route, setting

from fairlead.canonical.limits import SECOND, Limit
from fairlead.canonical.routing import Cooldown, Retry, Timeouts
from fairlead.canonical.tenants import Scoped, Tenant
from fairlead.simulator.faults import parse
from fairlead.simulator.life import run
from fairlead.simulator.scenario import Load, Outage, Provider, Scenario, Time, Tokens
from fairlead.simulator.setting import Setting
from fairlead.simulator.simulate import nothing_measured, simulate, trial_of
from fairlead.simulator.statistics import Interval
from fairlead.simulator.summary import Summary

PLACES = [{}, {"capacity": 1, "queue": 2}, {"capacity": 2, "queue": 2}, {"capacity": 2}]
FAULTS = st.sampled_from(["", "429=0.2", "503=0.3,cut=0.2", "timeout=0.1,slow=0.3x20", "400=0.3", "401=0.05", "503=1"])


def limit(unit: str, amount: int) -> Limit:
    return Limit(unit=unit, algorithm="token_bucket", limit=amount, per=10 * SECOND)  # type: ignore[arg-type]


@st.composite
def anything(draw: st.DrawFn) -> Setting:
    names = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True))
    one = route(
        *names,
        select=draw(st.sampled_from(["priority", "weighted", "round_robin", "least_busy", "latency", "sticky"])),
        retry=Retry(attempts=draw(st.integers(0, 2))),
        timeouts=Timeouts(total=20.0, first_token=draw(st.sampled_from([0.02, 10.0]))),
        cooldown=Cooldown(after=draw(st.integers(1, 5)), duration=5.0),
    )
    load = Load(
        prompt=Tokens(always=100), answer=Tokens(always=20), stream=draw(st.booleans()),
        user=draw(st.none() | st.just(3)),
    )  # fmt: skip
    made = setting(
        one,
        errors=draw(FAULTS),
        outages=[Outage(of=("a",), every=5.0, lasting=5.0)] if "a" in names and draw(st.booleans()) else [],
        providers={names[0]: msgspec.structs.replace(QUICK, **draw(st.sampled_from(PLACES)))},
        requests=draw(st.sampled_from([1, 7, 300])),
        rps=draw(st.sampled_from([1.0, 100.0])),
        seed=draw(st.integers(0, 100)),
        load=load,
    )
    tenants = {"t": Tenant(name="t", limits=(limit("requests", draw(st.sampled_from([20, 1000]))),))}
    scoped = (Scoped(scope="deployment", match="b", limits=(limit("tokens", 5000),)),)
    twice = msgspec.structs.replace(
        made.scenario, traffic={"t": msgspec.structs.replace(load, tenant="t"), "others": load}
    )
    snapshot = msgspec.structs.replace(made.snapshot, tenants=tenants, scoped=scoped if "b" in names else ())
    return msgspec.structs.replace(made, snapshot=snapshot, scenario=twice)


def counted(told: Summary, share: float) -> float:
    return share * told.requests


@settings(max_examples=60, deadline=None)
@given(anything())
def test_everything_adds_up(setting: Setting) -> None:
    told = simulate(setting)
    assert told.requests == setting.requests
    refused = sum(refusal.requests for refusal in told.refusals)
    answered = counted(told, told.success_rate.value)
    cut = counted(told, told.cut_rate.value)
    failed = told.requests - answered - cut - refused
    assert failed == pytest.approx(round(failed), abs=1e-6)
    assert failed > -0.5
    assert counted(told, told.refusal_rate.value) == pytest.approx(refused)
    attempts = sum(one.attempts + one.limited for one in told.deployments)
    assert counted(told, told.attempts_per_request.value) == pytest.approx(attempts)
    assert sum(one.answered for one in told.deployments) == pytest.approx(answered + cut)
    for one in told.deployments:
        assert one.attempts == one.answered + sum(one.failures.values())
        assert sum(value * one.load.width for value in one.load.values) == pytest.approx(one.attempts)
        assert 0.0 <= one.resting_share.value <= 1.0
        assert all(
            0.0 <= value <= 1.0
            for value in (*one.failing.values, *one.resting.values, *one.open.values, *one.half_open.values)
        )
    assert sum(one.requests for one in told.senders) == told.requests
    assert sum(one.requests * one.success_rate.value for one in told.senders) == pytest.approx(answered)
    assert sum(value * told.arrivals.width for value in told.arrivals.values) == pytest.approx(told.requests)
    lost = sum(
        share * rate * told.arrivals.width for share, rate in zip(told.lost.values, told.arrivals.values, strict=True)
    )
    assert lost == pytest.approx(told.requests - answered)
    assert told.duration > 0.0


@settings(max_examples=20, deadline=None)
@given(anything())
def test_nothing_stays_held_or_busy(setting: Setting) -> None:

    trial, arriving = trial_of(setting, nothing_measured)
    run(trial, arriving, setting.requests)
    assert all(count == 0 for fleet in trial.fleets for count in fleet.busy.values())


def test_a_tail_is_longer_than_the_middle() -> None:
    slow = Provider(first_token=Time(median=0.4, p99=2.0), per_token=Time(always=0.01))
    told = simulate(setting(route("a"), providers={"a": slow}, requests=5000))
    latency = told.latency_ms
    assert latency.p50.value < latency.p90.value < latency.p95.value < latency.p99.value
    assert latency.p50.value == pytest.approx(400 + 90, rel=0.05)
    assert told.first_token_ms.p99.value == pytest.approx(2000, rel=0.15)
    assert latency.p99.covers(2090)
    assert told.added_latency_ms.p99.value == 0.0


def test_a_latency_that_is_always_the_same_is_told_exactly() -> None:
    """Quantiles are kept in buckets of half a percent, and clocks add up with errors; neither is a latency's own."""
    steady = Provider(first_token=Time(always=0.1), per_token=Time(always=0.0))
    told = simulate(setting(route("a"), providers={"a": steady}, requests=3000))
    for name in ("mean", "p50", "p90", "p95", "p99"):
        assert getattr(told.latency_ms, name) == Interval(100.0, 100.0, 100.0)


def test_the_interval_of_a_quantile_has_the_sketchs_own_error_in_it() -> None:
    """Half of the requests take 100.0 ms, and the others 100.9 ms: every batch finds them in one bucket."""
    pair = [deployment("a/x"), deployment("b/y")]
    chain = route(*pair, select="round_robin")
    flat = msgspec.structs.replace(
        chain, choices=tuple(msgspec.structs.replace(choice, rank=0) for choice in chain.choices)
    )
    providers = {
        name: Provider(first_token=Time(always=seconds), per_token=Time(always=0.0))
        for name, seconds in {"a": 0.1, "b": 0.1009}.items()
    }
    told = simulate(setting(flat, providers=providers, requests=2000, rps=1.0))
    assert told.latency_ms.p90.covers(100.9)
    assert told.latency_ms.p50.low <= 100.0


def three(**more: Any) -> Summary:
    """Three tenants, one of which is limited, over two deployments that fail now and then."""
    load = Load(prompt=Tokens(always=10), answer=Tokens(always=10), rps=5.0)
    made = setting(route("a", "b"), errors="503=0.1", requests=4000, **more)
    tenants = {name: Tenant(name=name) for name in "xyz"}
    tenants["x"] = Tenant(name="x", limits=(limit("requests", 25),))
    scenario = msgspec.structs.replace(made.scenario, traffic=dict.fromkeys("xyz", load))
    snapshot = msgspec.structs.replace(made.snapshot, tenants=tenants)
    return simulate(msgspec.structs.replace(made, scenario=scenario, snapshot=snapshot))


def test_every_figure_of_a_sender_and_of_a_deployment_has_an_interval_that_covers_the_truth() -> None:
    """x asks for 5 a second and may have 2.5: half of it is refused, whatever the batch."""
    told = three()
    refused = next(one for one in told.refusals if one.sender == "x")
    assert refused.share.covers(0.5)
    assert refused.requests == pytest.approx(refused.share.value * told.senders[0].requests)
    rates = [sender.success_rate.value for sender in told.senders]
    assert told.fairness.value == pytest.approx(sum(rates) ** 2 / (3 * sum(rate * rate for rate in rates)))
    assert told.fairness.covers(2.5**2 / (3 * 2.25))
    first, second = told.deployments
    assert first.failure_rate.covers(0.1)
    assert second.attempts_per_request.covers(0.1 * first.attempts_per_request.value)
    assert second.share_of_answers.covers(0.1 * 0.9 / (0.9 + 0.1 * 0.9))
    for interval in (refused.share, told.fairness, first.failure_rate, second.attempts_per_request):
        assert interval.low < interval.value < interval.high < interval.low + 0.1
    assert all(sender.tokens_per_request == Interval(20.0, 20.0, 20.0) for sender in told.senders)


def test_the_share_of_time_that_a_deployment_rests_has_an_interval() -> None:
    """A 429 rests it for five seconds, and then the next attempt follows in a tenth of one."""
    one = route("a", "b")
    limited = msgspec.structs.replace(QUICK, faults=parse("429:5=1"))
    told = simulate(setting(one, providers={"a": limited}, requests=20_000))
    assert told.deployments[0].resting_share.value == pytest.approx(5 / 5.02, rel=0.01)
    assert told.deployments[0].resting_share.covers(told.deployments[0].resting_share.value)
    assert told.deployments[0].resting_share.high < 1.0
    assert told.deployments[1].resting_share == Interval(0.0, 0.0, 0.0)
    assert not any(told.deployments[0].open.values)


def test_what_rests_when_nobody_comes_any_more_changes_no_share_of_the_time() -> None:
    """The last answers take a minute, in which nobody asks for the deployment that rests all the while."""
    limited = msgspec.structs.replace(QUICK, faults=parse("429:5=1"))
    slow = msgspec.structs.replace(QUICK, first_token=Time(always=60.0))
    told = simulate(setting(route("a", "b"), providers={"a": limited, "b": slow}, requests=1000))
    assert told.duration > 4 * 1000 / 50 * 0.9
    assert told.deployments[0].resting_share.value == pytest.approx(5 / 5.02, rel=0.01)


def test_answers_that_break_off_are_told_of_their_deployment() -> None:
    told = simulate(setting(route("a"), errors="cut=1", requests=50))
    (one,) = told.deployments
    assert (told.success_rate.value, one.answered, one.broken) == (0.0, 50, 50)
    assert simulate(setting(route("a"), requests=50)).deployments[0].broken == 0


def test_one_who_asked_for_nothing_is_treated_as_fairly_as_anybody() -> None:
    rare = Load(rps=1e-6, prompt=Tokens(always=10), answer=Tokens(always=10))
    often = msgspec.structs.replace(rare, rps=10.0)
    made = setting(route("a"), requests=100)
    scenario = msgspec.structs.replace(made.scenario, traffic={"rare": rare, "often": often})
    told = simulate(msgspec.structs.replace(made, scenario=scenario))
    assert [sender.requests for sender in told.senders] == [0, 100]
    assert told.fairness.value == 1.0


def test_time_goes_on_to_the_last_request_even_where_all_are_refused() -> None:
    tenants = {"t": Tenant(name="t", limits=(limit("requests", 1),))}
    made = setting(route("a"), requests=50, rps=100.0)
    snapshot = msgspec.structs.replace(made.snapshot, tenants=tenants)
    scenario = Scenario(providers=made.scenario.providers, traffic={"t": made.scenario.traffic["everyone"]})
    told = simulate(msgspec.structs.replace(made, snapshot=snapshot, scenario=scenario))
    assert told.refusal_rate.value > 0.9
    assert told.duration == pytest.approx(0.5, rel=0.5)


def test_deployments_that_nobody_has_a_price_for_are_told() -> None:
    told = simulate(setting(route(deployment("a/x"), deployment("b/y", self_hosted=True)), requests=5))
    assert told.unpriced == ["a/x"]
