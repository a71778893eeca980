"""Which rules a request meets, and that the ledger counts for exactly those subjects whose budgets could pay."""

from typing import Any

import pytest

from fairlead.canonical.limits import DOLLAR, MONTH, Limit, Scope
from fairlead.canonical.routing import RequestRecord
from fairlead.canonical.tenants import Scoped, Tenant, Tier, VirtualKey
from fairlead.policy.rules import NOBODY, SHARED, Rules, Spender, spender_of, spenders

BUDGET = (Limit(unit="money", algorithm="calendar", limit=DOLLAR, per=MONTH),)
SCOPES: tuple[Scope, ...] = ("global", "tenant", "key", "model", "user", "tag")
EVERY = Rules(
    tiers={},
    tenants={"acme": Tenant(name="acme", tags=(("team", "search"),))},
    scoped=tuple(Scoped(scope=scope, limits=BUDGET) for scope in (*SCOPES, "deployment")),
)


def record(**facts: Any) -> RequestRecord:
    return RequestRecord(id="r", at=0.0, **facts)


@pytest.mark.parametrize("tenant", ["acme", ""])
@pytest.mark.parametrize("user", ["ann", " ＡＮＮ ", "a:b:c:d", "u" * 300, ""])
def test_whoever_has_a_budget_finds_its_spending_in_the_ledger(tenant: str, user: str) -> None:
    key = VirtualKey(id="k:1", tenant=tenant, tags=(("a", ""),))
    tags = EVERY.tags_of(key, (("team", "mine"), ("x", "y:z")))
    met = EVERY.of(key, "Chat-1", user, tags)
    told = spenders(record(tenant=tenant, key=key.id, asked="Chat-1", user=user, tags=tags))
    assert {spender_of(rule) for rule in met} == set(told)
    assert len(met) == len(told)


@pytest.mark.parametrize(
    ("facts", "name"),
    [({"served": "a/m"}, "a/m"), ({"served": "a/whatever-was-asked", "wildcard": "a/*"}, "a/*")],
)
def test_a_deployments_budget_is_known_by_its_name_in_the_configuration(facts: dict[str, Any], name: str) -> None:
    (rule,) = EVERY.of_deployment(name)
    assert spender_of(rule) in spenders(record(key="k", **facts))
    assert spender_of(rule) == Spender(SHARED, "deployment", name)


def test_a_key_without_a_tenant_meets_no_tenants_rule() -> None:
    met = EVERY.of(VirtualKey(id="k"), "m", None, ())
    assert {rule.slot for rule in met} == {SHARED, NOBODY}
    assert not any(rule.key.startswith("tenant:") for rule in met)


def test_a_keys_own_limits_take_the_place_of_its_tiers_unit_by_unit() -> None:
    tier = Tier(name="t", limits=(*BUDGET, Limit(unit="requests", algorithm="gcra", limit=1)))
    rules = Rules(tiers={"t": tier}, tenants={}, scoped=())
    own = Limit(unit="requests", algorithm="sliding_log", limit=9)
    met = rules.of_key(VirtualKey(id="k", tier="t", limits=(own,)))
    assert [(rule.unit, rule.limit) for rule in met] == [("money", DOLLAR), ("requests", 9)]
