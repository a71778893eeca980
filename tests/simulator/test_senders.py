"""Who sends requests as a scenario has it: by which key, under whose limits, for what; what is refused."""

from typing import Any

import msgspec
import pytest
from tests.simulator.worlds import route, snapshot

from fairlead.canonical.limits import SECOND, Limit
from fairlead.canonical.tenants import Tenant, Tier, VirtualKey
from fairlead.simulator.scenario import Bursts, Day, Load, Scenario, Tokens
from fairlead.simulator.setting import Setting, SettingError
from fairlead.simulator.simulate import simulate

FEW = (Limit(unit="requests", algorithm="fixed_window", limit=3, per=86_400 * SECOND),)
MANY = (Limit(unit="requests", algorithm="fixed_window", limit=50, per=86_400 * SECOND),)
TIERS = {"small": Tier(name="small", limits=FEW)}
KEYS = {"mac": VirtualKey(id="k", name="laptop", tenant="acme")}


def world(traffic: dict[str, Load], **facts: Any) -> Setting:
    return Setting(snapshot=snapshot(route("a"), **facts), scenario=Scenario(traffic=traffic), requests=100)


def test_a_tenants_tier_limits_it_once() -> None:
    """The tenant's own limits are in the place of its tier's, so a key that nobody made must not bring those back."""
    acme = Tenant(name="acme", tier="small", limits=MANY)
    told = simulate(world({"acme": Load()}, tiers=TIERS, tenants={"acme": acme}))
    assert [(one.limit, one.requests) for one in told.refusals] == [("50 requests per 1d of tenant 'acme'", 50)]


def test_a_key_of_the_file_has_its_own_tier() -> None:
    keys = {"mac": msgspec.structs.replace(KEYS["mac"], tier="small")}
    told = simulate(world({"laptop": Load()}, tiers=TIERS, tenants={"acme": Tenant(name="acme")}, keys=keys))
    assert [one.requests for one in told.refusals] == [97]


def test_where_nobody_says_who_sends_a_tenants_requests_are_its_own() -> None:
    """Also where a key of another tenant has its name."""
    keys = {"mac": VirtualKey(id="k", name="acme", tenant="beta")}
    tenants = {"acme": Tenant(name="acme", limits=FEW), "beta": Tenant(name="beta")}
    told = simulate(world({}, tenants=tenants, keys=keys))
    assert [(one.sender, one.limit) for one in told.refusals] == [("acme", "3 requests per 1d of tenant 'acme'")]


def test_where_there_are_no_tenants_every_key_sends_its_own() -> None:
    keys = {name: VirtualKey(id=name, name=name, limits=FEW) for name in ("one", "two")}
    told = simulate(world({}, keys=keys))
    assert [(one.sender, one.limit) for one in told.refusals] == [
        (name, f"3 requests per 1d of key '{name}'") for name in ("one", "two")
    ]


def test_where_nobody_sends_anything_nothing_is_simulated() -> None:
    with pytest.raises(SettingError, match="every rate is 0, so nothing would be simulated") as found:
        simulate(world({"one": Load(rps=0.0), "other": Load(rps=0.0)}))
    assert found.value.path == "traffic"


def test_who_sends_nothing_does_not_keep_others_from_it() -> None:
    told = simulate(world({"one": Load(rps=0.0), "other": Load(rps=5.0)}))
    assert [one.requests for one in told.senders] == [0, 100]


@pytest.mark.parametrize(
    ("given", "path", "told"),
    [
        (Load(key="laptop", tenant="beta"), "tenant", "the key 'laptop' is of the tenant 'acme'; remove `tenant`"),
        (Load(key="lap"), "key", "there is no key 'lap'"),
        (Load(tenant="acm"), "tenant", "there is no tenant 'acm'"),
        (Load(model=("nothing",)), "model", "there is no route for the model 'nothing'"),
        (Load(day=Day(low=1.0)), "day.low", "a day whose lowest rate is the mean has no high and low"),
        (Load(bursts=Bursts(every=60.0, lasting=1.0, times=1.0)), "bursts.times", "once the traffic is no burst"),
        (Load(prompt=Tokens(always=5, shape=2.0)), "prompt", "write exactly one of"),
        (Load(answer=Tokens(mean=5, p99=20)), "answer", "write exactly one of"),
    ],
)
def test_a_load_that_cannot_be_is_refused_where_it_stands(given: Load, path: str, told: str) -> None:
    tenants = {name: Tenant(name=name) for name in ("acme", "beta")}
    with pytest.raises(SettingError, match=told) as found:
        simulate(world({"load": given}, tenants=tenants, keys=KEYS))
    assert found.value.path == f"traffic.load.{path}"
