"""How limits and budgets stand, on the admin port: `/admin/v1/tenants` and the limits of one key.

It knows paths and the shape of an answer. It must not know how limits are counted.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from fairlead.canonical.limits import Rule
from fairlead.canonical.tenants import Tenant
from fairlead.control.admin import Answer, Call, Entry
from fairlead.control.configuring import Configuring
from fairlead.control.desk import Desk
from fairlead.control.keyring import Keyring
from fairlead.control.wishes import RefusedError
from fairlead.policy.rules import Rules
from fairlead.state.port import StateError

PATH = "/admin/v1/tenants"
Standings = Callable[[tuple[Rule, ...]], Awaitable[list[tuple[Rule, int, int]]]]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One limit as it stands: amounts in its unit, money in US dollars, times in seconds."""

    limit: str
    unit: str
    of: float
    remaining: float
    resets_in: float
    """Until all of it is free again; 0 where that is when requests under way end."""


class StandingEntries:
    """What the admin port answers about limits and what is left of them."""

    def __init__(self, config: Configuring, keyring: Keyring, desk: Desk, standings: Standings) -> None:
        self._config = config
        self._keyring = keyring
        self._desk = desk
        self._standings = standings

    def entries(self) -> tuple[Entry, ...]:
        return (
            Entry(method="GET", path=PATH, run=self._list),
            Entry(method="GET", path=f"{PATH}/{{}}", run=self._tenant),
            Entry(method="GET", path="/admin/v1/keys/{}/limits", run=self._key),
        )

    async def _list(self, call: Call) -> Answer:
        call.query(frozenset())
        return Answer({"tenants": [_facts(tenant) for tenant in self._config.serving.tenants.values()]})

    async def _tenant(self, call: Call) -> Answer:
        tenant = self._config.serving.tenants.get(call.id)
        if tenant is None:
            raise RefusedError("not_found", f"there is no tenant {call.id[:64]!r}")
        return Answer({**_facts(tenant), "limits": await self._stand(self._rules().of_tenant(tenant.name))})

    async def _key(self, call: Call) -> Answer:
        key = next((one for one in self._config.serving.keys.values() if one.id == call.id), None)
        if key is None:
            key = await self._desk.do(lambda: self._keyring.limited(call.id))
        return Answer({"id": key.id, "limits": await self._stand(self._rules().of_key(key))})

    def _rules(self) -> Rules:
        serving = self._config.serving
        return Rules(tiers=serving.tiers, tenants=serving.tenants, scoped=serving.scoped)

    async def _stand(self, rules: tuple[Rule, ...]) -> list[Standing]:
        try:
            return [_standing(*one) for one in await self._standings(rules)]
        except StateError as error:
            raise RefusedError("state_unavailable", str(error)) from None


def _facts(tenant: Tenant) -> dict[str, Any]:
    return {
        "name": tenant.name,
        "tier": tenant.tier,
        "models": tenant.models,
        "tags": dict(tenant.tags),
        "residency": tenant.residency,
        "self_hosted": tenant.self_hosted,
        "strict": tenant.strict,
    }


def _standing(rule: Rule, remaining: int, reset: int) -> Standing:
    scale = 1e6 if rule.unit == "money" else 1
    return Standing(
        limit=rule.label,
        unit=rule.unit,
        of=rule.limit / scale,
        remaining=remaining / scale,
        resets_in=0 if rule.unit == "concurrency" else reset / 1e6,
    )
