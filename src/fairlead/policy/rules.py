"""Which rules a request meets: those of its tenant, key, tags and end user, of the model, and of everything.

Pure, and quick to ask again: rules are bound once per subject. A subject has one canonical spelling, so that no
variant of a name has a count of its own. It must not know amounts, storage or HTTP.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import cast

import msgspec

from fairlead.canonical.limits import DAY, SECOND, Limit, Rule, Scope, rule
from fairlead.canonical.routing import RequestRecord, Route, Snapshot
from fairlead.canonical.tenants import Scoped, Tenant, Tier, VirtualKey, overridden
from fairlead.policy.routes import covers

SHARED = "*"
"""The slot of what tenants share."""
NOBODY = "-"
"""The slot of keys without a tenant."""
LONGEST_SUBJECT = 100
REMEMBERED = 4096
_PERIODS = ((30 * DAY, "mo"), (7 * DAY, "w"), (DAY, "d"), (3600 * SECOND, "h"), (60 * SECOND, "m"), (SECOND, "s"))
_UNITS = {"input_tokens": "input tokens", "output_tokens": "output tokens", "concurrency": "requests at once"}


class Rules:
    """The rules of one snapshot. What it remembers is bounded."""

    def __init__(self, *, tiers: dict[str, Tier], tenants: dict[str, Tenant], scoped: tuple[Scoped, ...]) -> None:
        self._tiers = tiers
        self._tenants = tenants
        self._scoped = {scope: tuple(s for s in scoped if s.scope == scope) for scope in {s.scope for s in scoped}}
        self.limits_deployments = "deployment" in self._scoped
        self._everything = tuple(self._matching("global", SHARED, ""))
        self.of_caller = lru_cache(REMEMBERED)(self._of_caller)
        self.of_model = lru_cache(REMEMBERED)(self._of_model)
        self.of_user = lru_cache(REMEMBERED)(self._of_user)
        self.of_deployment = lru_cache(REMEMBERED)(self._of_deployment)

    def of(self, key: VirtualKey, model: str, user: str | None, tags: tuple[tuple[str, str], ...]) -> tuple[Rule, ...]:
        """Every rule that a request of `key` for `model` meets, each once."""
        rules = self.of_caller(key, tags)
        if "model" in self._scoped:
            rules += self.of_model(model)
        if user and "user" in self._scoped:
            rules += self.of_user(slot_of(key), user)
        return rules

    def tags_of(self, key: VirtualKey, said: tuple[tuple[str, str], ...] = ()) -> tuple[tuple[str, str], ...]:
        """All tags of a request. What a client says never takes the place of what its key or tenant is known for."""
        tenant = self._tenants.get(key.tenant)
        tags = key.tags
        for further in (tenant.tags if tenant else (), said):
            if further:
                names = {name for name, _ in tags}
                tags += tuple(tag for tag in further if tag[0] not in names)
        return tags

    def of_tenant(self, name: str) -> tuple[Rule, ...]:
        """The rules of a tenant as a whole."""
        tenant = self._tenants.get(name)
        own = _bound(tenant.limits, name, "tenant", name) if tenant else []
        return unique([*own, *self._matching("tenant", name, name)])

    def of_key(self, key: VirtualKey) -> tuple[Rule, ...]:
        """The rules of a key alone."""
        slot = slot_of(key)
        return unique([*_bound(self.limits_of(key), slot, "key", key.id), *self._matching("key", slot, key.id)])

    def limits_of(self, key: VirtualKey) -> tuple[Limit, ...]:
        """The limits of the key itself: its tier's, with its own in their place."""
        tier = self._tiers.get(key.tier)
        return overridden(tier.limits if tier else (), key.limits)

    def models_of(self, key: VirtualKey) -> tuple[tuple[str, ...], ...]:
        """The lists of models of which each must cover what is asked for."""
        tier, tenant = self._tiers.get(key.tier), self._tenants.get(key.tenant)
        own = key.models or (tier.models if tier else ())
        return tuple(models for models in (own, tenant.models if tenant else ()) if models)

    def may_use(self, key: VirtualKey, model: str, route: Route) -> bool:
        """Whether this key may ask for a model that the route serves."""
        if key.routes and route.model not in key.routes:
            return False
        return all(any(covers(pattern, model) for pattern in models) for models in self.models_of(key))

    def _of_caller(self, key: VirtualKey, tags: tuple[tuple[str, str], ...]) -> tuple[Rule, ...]:
        slot = slot_of(key)
        tenant = self._tenants.get(key.tenant)
        rules = list(self._everything)
        if tenant is not None:
            rules += _bound(tenant.limits, slot, "tenant", tenant.name)
        rules += self._matching("tenant", slot, key.tenant)
        rules += _bound(self.limits_of(key), slot, "key", key.id)
        rules += self._matching("key", slot, key.id)
        for name, value in tags:
            rules += self._matching("tag", slot, f"{name}={value}")
        return unique(rules)

    def _of_model(self, model: str) -> tuple[Rule, ...]:
        return unique(self._matching("model", SHARED, canonical(model)))

    def _of_user(self, slot: str, user: str) -> tuple[Rule, ...]:
        return unique(self._matching("user", slot, canonical(user)))

    def _of_deployment(self, deployment: str) -> tuple[Rule, ...]:
        return unique(self._matching("deployment", SHARED, deployment))

    def _matching(self, scope: Scope, slot: str, subject: str) -> list[Rule]:
        found: list[Rule] = []
        for scoped in self._scoped.get(scope, ()):
            if (subject or scope == "global") and covers(scoped.match, subject):
                found += _bound(scoped.limits, slot, scope, subject)
        return found


def every_limit(snapshot: Snapshot) -> Iterator[Limit]:
    """Every limit that a configuration has, whoever it is of."""
    for holders in (snapshot.tiers.values(), snapshot.tenants.values(), snapshot.keys.values(), snapshot.scoped):
        for holder in holders:
            yield from holder.limits


def slot_of(key: VirtualKey) -> str:
    """Where what belongs to the key's tenant is counted."""
    return key.tenant or NOBODY


def unique(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Each count once: of two limits on it, the smaller holds, and one that refuses before one that only tells."""
    kept: dict[tuple[str, str], Rule] = {}
    for each in rules:
        other = kept.get((each.slot, each.key))
        if other is None or (not each.hard, each.limit) < (not other.hard, other.limit):
            kept[(each.slot, each.key)] = each
    return tuple(kept.values())


def canonical(name: str) -> str:
    """One spelling for all that look alike: compatibility forms, letter case and white space around it are gone."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def worded(limit: Limit, of: str) -> str:
    """A limit as a client is told it: `60 requests per 1m of tenant 'acme'`."""
    if limit.unit == "money":
        amount = f"a budget of {limit.limit / 1e6:.6f}".rstrip("0").rstrip(".") + " USD"
    else:
        amount = f"{limit.limit} {_UNITS.get(limit.unit, limit.unit)}"
    return f"{amount} of {of}" if limit.unit == "concurrency" else f"{amount} per {_period(limit.per)} of {of}"


class Spender(msgspec.Struct, frozen=True, order=True):
    """Whom a request's cost is counted for: what rules of this slot, scope and subject have seen spent."""

    slot: str
    scope: Scope
    subject: str


def spenders(record: RequestRecord) -> list[Spender]:
    """Everyone whose budget could have paid for the request, whatever budgets there are today."""
    slot = record.tenant or NOBODY
    found = [Spender(SHARED, "global", ""), Spender(slot, "key", record.key)]
    if record.tenant:
        found.append(Spender(slot, "tenant", record.tenant))
    if record.asked:
        found.append(Spender(SHARED, "model", canonical(record.asked)))
    if record.served:
        found.append(Spender(SHARED, "deployment", record.wildcard or record.served))
    found += [Spender(slot, "tag", f"{name}={value}") for name, value in record.tags]
    found = [msgspec.structs.replace(one, subject=shortened(one.subject)) for one in found]
    if record.user:
        found.append(user_of(record.tenant, record.user))
    return found


def user_of(tenant: str, user: str) -> Spender:
    """An end user as one who spends."""
    return Spender(tenant or NOBODY, "user", shortened(canonical(user)))


def spender_of(rule: Rule) -> Spender:
    """Whose spending a budget counts."""
    scope, _, rest = rule.key.partition(":")
    return Spender(rule.slot, cast("Scope", scope), rest.rsplit(":", 3)[0])


def shortened(subject: str) -> str:
    """A subject as keys have it: one that is too long is known by its digest."""
    return subject if len(subject) <= LONGEST_SUBJECT else blake2b(subject.encode(), digest_size=20).hexdigest()


def _bound(limits: tuple[Limit, ...], slot: str, scope: Scope, subject: str) -> list[Rule]:
    of = f"{scope} {subject!r}" if subject else "all callers together"
    return [rule(each, slot=slot, scope=scope, subject=shortened(subject), label=worded(each, of)) for each in limits]


def _period(per: int) -> str:
    for length, unit in _PERIODS:
        if per >= length and per % length == 0:
            return f"{per // length}{unit}"
    return f"{per / 1000:g}ms"
