"""Providers as a scenario has them: what deployments of one provider share, what is each one's own, what is refused."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from tests.simulator.worlds import QUICK, deployment, route, setting

from fairlead.canonical.routing import Route
from fairlead.simulator.chance import Fixed
from fairlead.simulator.faults import parse
from fairlead.simulator.recorded import Times
from fairlead.simulator.scenario import Outage, Provider, Quota, Time
from fairlead.simulator.setting import Setting, SettingError
from fairlead.simulator.simulate import simulate
from fairlead.simulator.summary import Deployment, Summary

ALWAYS = {"every": 1e-9, "lasting": 1e9}


def in_turn(**regions: str) -> Route:
    """Two deployments of one provider and one of another, asked by turns, each once."""
    made = [deployment(name, region=regions.get(name.replace("/", "_"))) for name in ("p/one", "p/two", "q/three")]
    chain = route(*made, select="round_robin", fallback=frozenset())
    flat = tuple(msgspec.structs.replace(choice, rank=0) for choice in chain.choices)
    return msgspec.structs.replace(chain, choices=flat)


def world(providers: Mapping[str, Provider] | None = None, *, faults: str = "", **more: Any) -> Setting:
    made = setting(in_turn(**more.pop("regions", {})), providers=providers, requests=300, **more)
    given = dict(entry.split(" ") for entry in faults.split(";") if entry)
    return msgspec.structs.replace(made, faults={name: parse(text) for name, text in given.items()})


def seen(made: Setting) -> dict[str, Deployment]:
    return {one.name: one for one in simulate(made).deployments}


def failing(made: Setting) -> set[str]:
    """The deployments on which anything failed."""
    return {name for name, one in seen(made).items() if one.failures}


def outage(*of: str, **more: Any) -> Outage:
    return Outage(of=of, **(ALWAYS | more))


# what strikes whom


@pytest.mark.parametrize("name", ["p/one", "p/two", "q/three"])
def test_an_outage_of_a_deployment_strikes_it_alone(name: str) -> None:
    assert failing(world(outages=[outage(name)])) == {name}


def test_an_outage_of_a_provider_strikes_all_of_its_deployments() -> None:
    assert failing(world(outages=[outage("p")])) == {"p/one", "p/two"}


def test_an_outage_of_a_region_strikes_what_is_within_it() -> None:
    """As the policy has it: `eu-west-1` is in `eu`, and `europe` is not."""
    regions = {"p_one": "eu-west-1", "p_two": "europe", "q_three": "eu"}
    assert failing(world(regions=regions, outages=[outage("region:eu")])) == {"p/one", "q/three"}


@pytest.mark.parametrize(
    ("faults", "struck"),
    [
        ("p/two 503=1", {"p/two"}),
        ("p 503=1", {"p/one", "p/two"}),
        ("* 503=1", {"p/one", "p/two", "q/three"}),
        ("* 503=1;p/one 503=0", {"p/two", "q/three"}),
    ],
)
def test_faults_are_those_of_the_narrowest_name(faults: str, struck: set[str]) -> None:
    assert failing(world(faults=faults)) == struck


# what deployments of one provider share


def overloaded(found: Mapping[str, Deployment], kind: str = "overloaded") -> int:
    return sum(one.failures.get(kind, 0) for one in found.values())


def test_a_capacity_is_shared_by_all_deployments_of_a_provider() -> None:
    slow = Provider(first_token=Time(always=30.0), per_token=Time(always=1e-6), capacity=1, queue=0)
    found = seen(world({"p": slow}, rps=10.0))
    assert found["p/one"].answered + found["p/two"].answered <= 1 + 30 / 30
    assert not found["q/three"].failures


def test_a_quota_is_shared_by_all_deployments_of_a_provider() -> None:
    few = msgspec.structs.replace(QUICK, quota=Quota(requests=5, per=86_400.0))
    found = seen(world({"p": few}, rps=100.0))
    assert found["p/one"].answered + found["p/two"].answered == 5


@pytest.mark.parametrize("faults", ["p/one 400=0.5", "p/one 400=0", ""])
def test_a_fault_on_one_deployment_leaves_the_quota_shared(faults: str) -> None:
    few = msgspec.structs.replace(QUICK, quota=Quota(requests=5, per=86_400.0))
    found = seen(world({"p": few}, rps=100.0, faults=faults))
    counted = sum(found[name].attempts - found[name].failures.get("rate_limited", 0) for name in ("p/one", "p/two"))
    assert counted == 5


def test_what_a_deployment_does_not_say_of_itself_is_its_providers() -> None:
    few = msgspec.structs.replace(QUICK, quota=Quota(requests=5, per=86_400.0), faults=parse("400=1"))
    found = seen(world({"p": few, "p/two": Provider(first_token=Time(always=3.0), faults=())}, rps=100.0))
    assert set(found["p/one"].failures) == {"bad_request", "rate_limited"}
    assert set(found["p/two"].failures) == {"rate_limited"}
    assert found["p/two"].answered + found["p/one"].failures["bad_request"] == 5


def test_a_quota_of_its_own_is_a_deployments_alone() -> None:
    quota, own = Quota(requests=5, per=86_400.0), Quota(requests=7, per=86_400.0)
    providers = {"p": msgspec.structs.replace(QUICK, quota=quota), "p/two": Provider(quota=own)}
    found = seen(world(providers, rps=100.0))
    assert (found["p/one"].answered, found["p/two"].answered) == (5, 7)


CROWDED = msgspec.structs.replace(QUICK, first_token=Time(always=10.0))


@pytest.mark.parametrize(
    ("of_provider", "of_deployment", "waiting"),
    [
        ({"capacity": 5, "queue": 2}, {"capacity": 7}, 2),
        ({"capacity": 5, "queue": 2}, {"queue": 4}, 4),
        ({"capacity": 5}, {"queue": 4}, 4),
        ({}, {"capacity": 5, "queue": 4}, 4),
    ],
)
def test_capacity_and_queue_are_a_deployments_own_key_by_key(
    of_provider: dict[str, Any], of_deployment: dict[str, Any], waiting: int
) -> None:
    """All come at once, so as many are answered as are worked on and may wait."""
    crowded = msgspec.structs.replace(CROWDED, **of_provider)
    one = setting(route("p/two"), providers={"p": crowded, "p/two": Provider(**of_deployment)}, requests=50, rps=1000.0)
    capacity = of_deployment.get("capacity", of_provider.get("capacity", 0))
    assert simulate(one).deployments[0].answered == capacity + waiting


def test_deployments_wait_in_one_line_whatever_each_says_of_its_length() -> None:
    """Four may wait where the one deployment is asked, and none where the other is."""
    crowded = msgspec.structs.replace(CROWDED, capacity=5, queue=4)
    found = seen(world({"p": crowded, "p/two": Provider(queue=1)}, rps=1000.0))
    assert found["p/one"].answered + found["p/two"].answered == 9
    assert found["p/two"].answered < found["p/one"].answered


# times


def first_tokens(told: Summary) -> float:
    return told.first_token_ms.mean.value


def test_a_journals_times_are_each_deployments_own() -> None:
    """The provider's entry says that its times are in a journal, which knows each deployment by name."""
    times = {
        name: Times(first_token=Fixed(seconds), per_token=Fixed(1e-6), refusal=None)
        for name, seconds in {"p/one": 0.1, "p/two": 0.4}.items()
    }
    chain = route("p/one", "p/two", select="round_robin")
    flat = tuple(msgspec.structs.replace(choice, rank=0) for choice in chain.choices)
    measured = Provider(first_token=Time(journal="j"), per_token=Time(journal="j"))
    made = setting(msgspec.structs.replace(chain, choices=flat), providers={"p": measured}, requests=100)
    told = simulate(made, measured=lambda _: times)
    assert first_tokens(told) == pytest.approx(250.0)


# what is refused


@pytest.mark.parametrize(
    ("given", "path", "told"),
    [
        (Provider(), "providers.p", "it says nothing of 'p'"),
        (Provider(queue=5), "providers.p.queue", "without a capacity nobody has to wait"),
        (Provider(quota=Quota()), "providers.p.quota", "it limits nothing"),
        (Provider(first_token=Time(journal="j", median=1.0)), "providers.p.first_token", "a journal tells all of it"),
        (Provider(first_token=Time(journal="j", shape=2.0)), "providers.p.first_token", "a journal tells all of it"),
        (Provider(refusal=Time(always=1.0, shape=2.0)), "providers.p.refusal", "write exactly one of"),
        (Provider(refusal=Time(median=1.0, p99=2.0, shape=2.0)), "providers.p.refusal", "write exactly one of"),
        (Provider(refusal=Time(median=1.0)), "providers.p.refusal", "write exactly one of"),
        (Provider(refusal=Time(shape=2.0)), "providers.p.refusal", "write exactly one of"),
        (Provider(refusal=Time()), "providers.p.refusal", "write exactly one of"),
    ],
)
def test_what_a_provider_cannot_be_is_refused_where_it_stands(given: Provider, path: str, told: str) -> None:
    with pytest.raises(SettingError, match=told) as found:
        simulate(world({"p": given}))
    assert found.value.path == path


@pytest.mark.parametrize(
    ("given", "path", "told"),
    [
        (outage(), "outages[0].of", "it strikes nobody"),
        (outage("p", times=4.0), "outages[0].times", "only 'slow' takes longer, and its fault is '503'"),
        (outage("p", share=0.0), "outages[0].share", "it strikes no attempt"),
        (outage("p", fault="slow", times=1.0), "outages[0].times", "once as slow is no slower"),
        (outage("p", fault="504"), "outages[0].fault", "there is no fault '504'"),
        (outage("r"), "outages[0].of", "there is no provider, deployment or region 'r'"),
        (outage("region:us"), "outages[0].of", "there is no provider, deployment or region 'region:us'"),
    ],
)
def test_an_outage_that_cannot_be_is_refused_where_it_stands(given: Outage, path: str, told: str) -> None:
    with pytest.raises(SettingError, match=told) as found:
        simulate(world(outages=[given]))
    assert found.value.path == path


@pytest.mark.parametrize(("times", "seconds"), [(None, 8.0), (3.0, 3.0)])
def test_a_brown_out_is_as_many_times_slower_as_it_says(times: float | None, seconds: float) -> None:
    slow = Provider(first_token=Time(always=1.0), per_token=Time(always=1e-9))
    made = world({"p": slow, "q": slow}, outages=[outage("p", "q", fault="slow", times=times)], rps=0.1)
    assert first_tokens(simulate(made)) == pytest.approx(1000 * seconds)


def test_faults_that_add_up_to_more_than_all_attempts_are_refused() -> None:
    """However many flags they come from."""
    made = msgspec.structs.replace(world(), faults={"p": parse("503=0.6") + parse("429=0.6")})
    with pytest.raises(SettingError, match=r"the faults of 'p' add up to 1\.2"):
        simulate(made)


def test_a_provider_that_is_not_there_is_told_with_what_was_meant() -> None:
    with pytest.raises(
        SettingError, match="there is no provider or deployment 'p/on' in the configuration; did you mean 'p/one'"
    ) as found:
        simulate(world({"p/on": QUICK}))
    assert found.value.path == "providers.p/on"
