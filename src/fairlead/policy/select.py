"""Which deployment a request goes to next: who may be chosen (`consider`), and who of them is (`STRATEGIES`).

Pure: health, time and chance come in as arguments. A strategy sees only choices of one rank that may all be used.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from math import log
from random import Random

import msgspec

from fairlead.canonical.routing import Choice, Deployment, Route, Select, Skipped
from fairlead.canonical.tenants import Tenant
from fairlead.policy.health import Fleet, expected_ttft, is_available, is_cooling


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What a request needs of a deployment. A capability that is not known is given the benefit of the doubt."""

    tools: bool = False
    images: bool = False
    session: str = ""
    """Requests with the same session go to the same deployment under `sticky`."""
    dialect: str = ""
    """The only dialect that will do, for what no translation gives (several answers to one request)."""
    context_over: int = 0
    """Tokens of context that were already too few."""
    region: str = ""
    """The only region in which the tenant's data may be processed; empty: any."""
    self_hosted: bool = False
    """Whether only deployments that we run ourselves will do."""
    priced: bool = False
    """Whether only deployments with a known price will do: a hard budget cannot count the others."""


NO_NEEDS = Needs()
NOT_REACHED = "the request did not come to it"
NOT_TRIED = "nothing was tried"


def for_tenant(needs: Needs, tenant: Tenant | None) -> Needs:
    """What a request needs when it is of this tenant: where its data may go, and whether a price must be known."""
    if tenant is None:
        return needs
    hard = any(limit.unit == "money" and limit.hard for limit in tenant.limits)
    return msgspec.structs.replace(
        needs, region=tenant.residency or "", self_hosted=tenant.self_hosted, priced=needs.priced or hard
    )


class Pool(msgspec.Struct, frozen=True):
    """What a strategy chooses from, and by."""

    route: Route
    choices: Sequence[Choice]
    fleet: Fleet
    now: float
    rng: Random
    session: str = ""


def choose(
    route: Route,
    fleet: Fleet,
    now: float,
    rng: Random,
    *,
    needs: Needs = NO_NEEDS,
    spent: Collection[str] = (),
    secrets: Collection[str] | None = None,
) -> Choice | None:
    """The next deployment to try, or None when no choice can serve the request.

    `spent` names deployments that this request is done with; `secrets` the credentials that have a value (None: all).
    When every choice that could serve is cooling, the one whose cooldown ends first is tried all the same: the last
    deployment is never cooled to zero.
    """
    picky = (
        spent
        or needs.tools
        or needs.images
        or needs.dialect
        or needs.context_over > 0
        or needs.region
        or needs.self_hosted
        or needs.priced
    )
    ready: list[Choice] = []
    tired: list[Choice] = []
    for choice in route.choices:
        if ready and not tired and choice.rank != ready[0].rank:
            break
        deployment = choice.deployment
        if secrets is not None and deployment.credential and deployment.credential not in secrets:
            continue
        if picky and _unable(deployment, needs, spent, secrets):
            continue
        if (deployment.name in fleet.troubled or fleet.quarantined_until) and not _is_ready(deployment, fleet, now):
            tired.append(choice)
        else:
            ready.append(choice)
    if tired:
        ready = _best(ready, tired, fleet)
    if len(ready) < 2:
        return ready[0] if ready else None
    return STRATEGIES[route.select](Pool(route, ready, fleet, now, rng, needs.session))


def _best(ready: list[Choice], tired: list[Choice], fleet: Fleet) -> list[Choice]:
    """Whom to choose from when some are resting: those of the best rank that are not.

    Slow ones come back before more than half are gone; with nobody left, it is the one that rests least long.
    """
    if len(ready) < len(tired):
        ready = ready + [choice for choice in tired if fleet.of(choice.deployment).cause == "slow"]
    if not ready:
        return [min(tired, key=lambda c: (_rests_until(c.deployment, fleet), c.rank))]
    best = min(choice.rank for choice in ready)
    return [choice for choice in ready if choice.rank == best]


def consider(
    route: Route,
    fleet: Fleet,
    now: float,
    *,
    needs: Needs = NO_NEEDS,
    secrets: Collection[str] | None = None,
) -> tuple[tuple[Choice, ...], tuple[Skipped, ...]]:
    """Every choice of a route as it stands now: those that may be used, by rank, and why each other is skipped."""
    usable: list[Choice] = []
    skipped: list[Skipped] = []
    for choice in sorted(route.choices, key=lambda c: c.rank):
        deployment = choice.deployment
        reason = _unable(deployment, needs, (), secrets) or _resting(deployment, fleet, now)
        if reason is None:
            usable.append(choice)
        else:
            skipped.append(Skipped(deployment=deployment.name, reason=reason))
    return tuple(usable), tuple(skipped)


def resting(route: Route, fleet: Fleet, now: float) -> dict[str, str]:
    """The deployments of a route that are better left alone now, and why."""
    if not (fleet.troubled or fleet.quarantined_until):
        return {}
    reasons = {choice.deployment.name: _resting(choice.deployment, fleet, now) for choice in route.choices}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def untried(route: Route, tried: Collection[str], rested: Mapping[str, str], needs: Needs) -> tuple[Skipped, ...]:
    """Why each other deployment of a route was not tried for a request that is over.

    `rested` tells who was better left alone when it began.
    """
    if len(tried) >= len(route.choices):
        return ()
    return tuple(
        [
            Skipped(
                deployment=choice.deployment.name,
                reason=_unable(choice.deployment, needs, (), None)
                or rested.get(choice.deployment.name)
                or (NOT_REACHED if tried else NOT_TRIED),
            )
            for choice in route.choices
            if choice.deployment.name not in tried
        ]
    )


def _unable(
    deployment: Deployment, needs: Needs, spent: Collection[str], secrets: Collection[str] | None
) -> str | None:
    """Why this deployment cannot serve this request at all; None: it can."""
    if deployment.name in spent:
        return "already tried"
    if secrets is not None and deployment.credential and deployment.credential not in secrets:
        return f"its credential {deployment.credential!r} has no value"
    if needs.tools and deployment.tools is False:
        return "the request has tools and the model takes none"
    if needs.images and deployment.vision is False:
        return "the request has images and the model takes none"
    if needs.dialect and deployment.dialect != needs.dialect:
        return f"the request wants what only the dialect {needs.dialect!r} gives"
    if needs.region and not is_within(deployment.region, needs.region):
        return f"it is not known to be in the region {needs.region!r}, where the tenant's data must stay"
    if needs.self_hosted and not deployment.self_hosted:
        return "the tenant requires deployments that are self-hosted"
    if needs.priced and deployment.price is None and not deployment.self_hosted:
        return "its price is not known, so a hard budget could not hold"
    if needs.context_over and deployment.context is not None and deployment.context <= needs.context_over:
        return f"its context of {deployment.context} tokens is no larger than what was too small"
    return None


def unfit(route: Route, needs: Needs) -> str | None:
    """Why no deployment of the route can serve such a request, however well they are; None: one of them could."""
    reasons = [_unable(choice.deployment, needs, (), None) for choice in route.choices]
    return reasons[0] if all(reasons) else None


def is_within(region: str | None, wanted: str) -> bool:
    """Whether a deployment's region is the wanted one, or a part of it: `eu-west-1` is in `eu`."""
    return region is not None and (region == wanted or region.startswith(f"{wanted}-"))


def _is_ready(deployment: Deployment, fleet: Fleet, now: float) -> bool:
    """Whether there is no reason to leave this deployment alone now."""
    health = fleet.health.get(deployment.name)
    return (health is None or is_available(health, now)) and not fleet.is_quarantined(deployment, now)


def _resting(deployment: Deployment, fleet: Fleet, now: float) -> str | None:
    """Why this deployment is better left alone now; None: it is not."""
    if _is_ready(deployment, fleet, now):
        return None
    if fleet.is_quarantined(deployment, now):
        return f"its credential {deployment.credential!r} was refused by the provider and is quarantined"
    health = fleet.of(deployment)
    if is_cooling(health, now):
        return f"cooling down for {health.cooldown_until - now:.1f} s more after {health.cause}"
    return "half open, and its probes are under way"


def _rests_until(deployment: Deployment, fleet: Fleet) -> float:
    quarantined = fleet.quarantined_until.get(deployment.credential, 0.0)
    return max(fleet.of(deployment).cooldown_until, quarantined)


def _weighted(pool: Pool) -> Choice:
    choices = pool.choices
    point = pool.rng.random() * sum([choice.weight for choice in choices])
    for choice in choices:
        point -= choice.weight
        if point < 0:
            return choice
    return choices[-1]


def _round_robin(pool: Pool) -> Choice:
    turn = pool.fleet.turns.get(pool.route.model, 0)
    pool.fleet.turns[pool.route.model] = turn + 1
    return pool.choices[turn % len(pool.choices)]


def _priority(pool: Pool) -> Choice:
    return pool.choices[0]


def _least_busy(pool: Pool) -> Choice:
    """The fewest attempts under way for its weight; chance among equals."""
    busy = pool.fleet.busy
    return min(
        pool.choices,
        key=lambda c: (
            busy.get(c.deployment.name, 0) / c.weight if c.weight else float("inf"),
            pool.rng.random(),
        ),
    )


def _latency(pool: Pool) -> Choice:
    """The shortest expected time to the first token; one never measured goes first."""
    return min(
        pool.choices,
        key=lambda c: (expected_ttft(pool.fleet.of(c.deployment), pool.now), pool.rng.random()),
    )


def _cost(pool: Pool) -> Choice:
    """The lowest price of three input tokens and one output token; an unknown price goes last."""
    return min(pool.choices, key=lambda choice: _blended(choice.deployment))


def _blended(deployment: Deployment) -> Decimal:
    price = deployment.price
    return Decimal("Infinity") if price is None else 3 * price.input + price.output


def _sticky(pool: Pool) -> Choice:
    """Weighted rendezvous hashing: losing a deployment moves only the sessions that it had."""
    if not pool.session:
        return _weighted(pool)
    return max(pool.choices, key=lambda choice: _affinity(choice, pool.session))


def _affinity(choice: Choice, session: str) -> float:
    digest = blake2b(f"{session}\0{choice.deployment.name}".encode(), digest_size=8).digest()
    uniform = (int.from_bytes(digest) + 1) / (2**64 + 2)
    return -choice.weight / log(uniform)


STRATEGIES: dict[Select, Callable[[Pool], Choice]] = {
    "weighted": _weighted,
    "round_robin": _round_robin,
    "priority": _priority,
    "least_busy": _least_busy,
    "latency": _latency,
    "cost": _cost,
    "sticky": _sticky,
}
