"""What is said to be assumed: whatever nobody says of providers, faults, bounds and requests, and nothing else."""

import msgspec
import pytest
from tests.simulator.recording import a_record, traced
from tests.simulator.worlds import QUICK, deployment, route, setting

from fairlead.canonical.limits import DAY, Limit
from fairlead.canonical.tenants import Tenant, VirtualKey
from fairlead.canonical.usage import Usage
from fairlead.simulator.assumptions import of_replay, of_settings
from fairlead.simulator.faults import parse
from fairlead.simulator.scenario import Load, Outage, Provider, Quota, Scenario, Time, Tokens
from fairlead.simulator.setting import Setting

SIZED = Load(prompt=Tokens(always=10), answer=Tokens(always=10), max_tokens=10)
BOUND = msgspec.structs.replace(QUICK, quota=Quota(requests=5), capacity=2, faults=parse("503=0.1"))
MONEY = (Limit(unit="money", algorithm="calendar", limit=1000, per=DAY),)


def world(*names: str, providers: dict[str, Provider] | None = None, load: Load = SIZED) -> Setting:
    made = setting(route(*[deployment(name) for name in names]))
    return msgspec.structs.replace(made, scenario=Scenario(providers=providers or {}, traffic={"all": load}))


def said(*settings: Setting) -> str:
    return "\n".join(of_settings([(f"{number}.yaml", one) for number, one in enumerate(settings)]))


def test_nothing_is_assumed_where_everything_is_said() -> None:
    assert said(world("p/one", "q/two", providers={"p": BOUND, "q": BOUND})) == ""


def test_every_time_of_which_nothing_is_said_is_told() -> None:
    """Also of a provider of which the scenario says something else."""
    half = Provider(first_token=Time(always=0.1), faults=(), quota=Quota(requests=5), capacity=2)
    told = said(world("p/one", "p/two", "q/three", providers={"p": half, "q": BOUND}))
    times, faults = told.splitlines()
    assert times == (
        "p/one, p/two as hosted providers are taken to be: 12 ms (median; p99 40 ms) for each further one,"
        " 80 ms (median; p99 400 ms) to an error"
    )
    assert faults == "nothing goes wrong at p/one, p/two"


def test_a_deployment_of_which_its_provider_says_more_is_not_taken_for_anything() -> None:
    assert said(world("p/one", providers={"p": BOUND, "p/one": Provider(first_token=Time(always=0.1))})) == ""


def test_that_nothing_goes_wrong_is_told_of_whom_neither_faults_nor_outages_strike() -> None:
    plain = msgspec.structs.replace(BOUND, faults=())
    made = world("p/one", "q/two", "r/three", providers=dict.fromkeys("pqr", plain))
    scenario = msgspec.structs.replace(made.scenario, outages=(Outage(of=("q",), every=60.0, lasting=1.0),))
    made = msgspec.structs.replace(made, scenario=scenario, faults={"r/three": parse("503=0.5")})
    assert said(made) == "nothing goes wrong at p/one"


def test_bounds_that_nobody_gives_are_told() -> None:
    plain = msgspec.structs.replace(BOUND, quota=None)
    told = said(world("p/one", "q/two", providers={"p": plain, "q": msgspec.structs.replace(plain, capacity=None)}))
    assert told.splitlines() == [
        "there is no rate limit at p/one",
        "there is no rate limit and no bound on the requests worked on at once at q/two",
    ]


def test_what_all_settings_assume_is_told_once_and_the_rest_with_whose_it_is() -> None:
    load = msgspec.structs.replace(SIZED, prompt=None)
    plain = msgspec.structs.replace(BOUND, faults=())
    first = world("p/one", providers={"p": plain}, load=load)
    second = world("p/one", "q/two", providers={"p": plain, "q": plain}, load=load)
    assert said(first, second).splitlines() == [
        "prompts have 600 (median; p99 6000) tokens",
        "0.yaml: nothing goes wrong at p/one",
        "1.yaml: nothing goes wrong at p/one, q/two",
    ]


def test_a_configuration_that_lacks_a_tenant_of_the_other_is_told() -> None:
    made = world("p/one", providers={"p": BOUND})
    scenario = msgspec.structs.replace(made.scenario, traffic={"t": SIZED})
    compared = (msgspec.structs.replace(made.snapshot, tenants={"t": Tenant(name="t")}), made.snapshot)
    made = msgspec.structs.replace(made, compared=compared, scenario=scenario)
    told = said(*(msgspec.structs.replace(made, snapshot=one) for one in compared))
    assert told == "1.yaml: no tenant t is configured: without limits"


def test_requests_of_which_nothing_is_said_are_told() -> None:
    told = said(world("p/one", providers={"p": BOUND}, load=Load()))
    assert told.splitlines() == [
        "prompts have 600 (median; p99 6000) tokens",
        "answers have 200 (median; p99 1200) tokens",
    ]


def test_a_load_whose_name_is_nobodys_is_told_with_what_was_meant() -> None:
    """It may be one of your choice, or a mistake that takes all limits away."""
    made = world("p/one", providers={"p": BOUND})
    scenario = msgspec.structs.replace(made.scenario, traffic={"amce": SIZED, "acme": SIZED})
    keys = {"mac": VirtualKey(id="k", name="ci", tenant="acme")}
    snapshot = msgspec.structs.replace(made.snapshot, tenants={"acme": Tenant(name="acme")}, keys=keys)
    assert said(msgspec.structs.replace(made, scenario=scenario, snapshot=snapshot)) == (
        "amce is neither a tenant nor a key, so no limit of one binds its requests; did you mean 'acme'?"
    )
    assert said(msgspec.structs.replace(made, scenario=scenario)) == "", "nobody has any there"


def test_routes_with_a_wildcard_that_nobody_asks_for_are_told() -> None:
    made = world("p/one", providers={"p": BOUND})
    routes = (*made.snapshot.routes, route(deployment("p/one"), model="gpt-*"), route(deployment("p/one"), model="*"))
    snapshot = msgspec.structs.replace(made.snapshot, routes=routes)
    asked = msgspec.structs.replace(SIZED, model=("gpt-4o",))
    for load, told in ((SIZED, "gpt-*, *"), (asked, "m, *")):
        scenario = msgspec.structs.replace(made.scenario, traffic={"all": load})
        found = said(msgspec.structs.replace(made, snapshot=snapshot, scenario=scenario))
        assert found == f"nobody asks for what the routes {told} serve: their deployments are not tried for it"


@pytest.mark.parametrize(("load", "told"), [(SIZED, False), (msgspec.structs.replace(SIZED, max_tokens=None), True)])
def test_what_limits_hold_is_assumed_only_where_requests_do_not_say(load: Load, told: bool) -> None:
    made = world("p/one", providers={"p": BOUND}, load=load)
    snapshot = msgspec.structs.replace(made.snapshot, tenants={"t": Tenant(name="t", limits=MONEY)})
    found = said(msgspec.structs.replace(made, snapshot=snapshot))
    assert "budgets begin unspent" in found
    assert ("no request says how long its answer may be" in found) is told


def test_recorded_requests_are_assumed_of_as_in_a_replay() -> None:
    """But for what a replay assumes of providers, which are made up here."""
    cached = a_record(1, usage=Usage(input=100, output=11, cache_read=50), key="ci")
    trace = traced([cached, a_record(2, ended="client_gone", usage=None), a_record(3, tenant="t")])
    made = world("a/one", providers={"a": BOUND})
    replayed = [one for one in of_replay(trace, made.snapshot) if "nearest in time" not in one]
    told = of_settings([("made.yaml", made)], trace)
    assert told == replayed
    for part in ("are cached", "no key ci", "no tenant t", "had no whole answer", "stay for it"):
        assert any(part in one for one in told), part
