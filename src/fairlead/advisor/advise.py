"""`advise`: the whole answer. The ranking, who is out and why, what contradicts itself, and what would change it."""

from collections.abc import Iterator

import msgspec

from fairlead.advisor.facts import Facts, Gateway, Way
from fairlead.advisor.merits import Reason, noted, reason
from fairlead.advisor.needs import Needs
from fairlead.advisor.ranking import Excluded, Ranked, rank
from fairlead.advisor.rules import Rules


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """Two needs that no gateway can fulfil together."""

    between: tuple[str, str]
    reason: str
    way_out: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the needs that changes who leads. `then` is empty where nobody is left."""

    change: str
    then: str
    rule: str
    because: str


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """Up to which load the leader leads, and who follows; `to` is empty where no other is shown to hold more."""

    gateway: str
    above_rps: int
    to: str
    rule: str
    because: str
    planned_to: float | None
    """The load that leaves no head-room under the largest that the leader is shown to hold; None: no source says."""
    ceiling: Reason | None


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to somebody's needs."""

    facts: str
    """The day of the facts."""
    asked: list[str]
    ranking: list[Ranked]
    excluded: list[Excluded]
    conflicts: list[Conflict]
    would_change: list[Change]
    migration: Migration | None


def advise(needs: Needs, facts: Facts, rules: Rules) -> Advice:
    """Which gateway fits, and why. With conflicts there is no ranking."""
    found = rank(needs, facts, rules)
    leader = found.ranked[0] if found.ranked else None
    return Advice(
        facts=facts.version,
        asked=needs.flags(),
        ranking=found.ranked,
        excluded=found.excluded,
        conflicts=list(_conflicts(needs, facts, rules)),
        would_change=list(_changes(needs, leader, facts, rules)),
        migration=_migration(needs, leader, facts, rules) if leader else None,
    )


def _conflicts(needs: Needs, facts: Facts, rules: Rules) -> Iterator[Conflict]:
    if needs.ops is not None and needs.data is not None:
        ops, data = rules.ops[needs.ops], rules.data[needs.data]
        if not set(ops.ways) & set(data.ways) and not data.fact:
            yield Conflict(
                between=(f"--ops {needs.ops}", f"--data {needs.data}"),
                reason=f"{ops.why}; {data.why}",
                way_out=f"choose --ops {' or '.join(data.ways)}, or let prompts leave (--data anywhere)",
            )
    if needs.budget is not None and needs.budget <= 0:
        yield _over_budget(needs, facts)


def _over_budget(needs: Needs, facts: Facts) -> Conflict:
    caches = [one.title for one in facts.gateways.values() if any(one.has("cache", way) for way in one.ways())]
    return Conflict(
        between=(f"--ttft-p99 {needs.ttft_p99:g}", f"--baseline {needs.baseline or 0:g}"),
        reason="the baseline alone takes the whole target, and a gateway adds to it, it never takes away: none can. "
        "Only an answer from a cache comes sooner, and the 99th percentile falls only where 99 of 100 requests hit. "
        f"With a cache: {', '.join(caches)}",
        way_out=f"a target over the baseline, such as --ttft-p99 {(needs.baseline or 0) + 20:g}, leaves a gateway "
        "20 ms; or a faster model or provider",
    )


def _changes(needs: Needs, leader: Ranked | None, facts: Facts, rules: Rules) -> Iterator[Change]:
    if needs.budget is not None and needs.budget <= 0:
        yield from _budgets(needs, facts, rules)
        return
    for text, changed in _variations(needs, rules):
        ranked = rank(changed, facts, rules).ranked
        then = ranked[0] if ranked else None
        if (then.gateway if then else "") != (leader.gateway if leader else ""):
            name, rule = (then.gateway, then.rule) if then else ("", "")
            yield Change(change=text, then=name, rule=rule, because=then.because if then else "")


def _variations(needs: Needs, rules: Rules) -> Iterator[tuple[str, Needs]]:
    """The needs with one thing changed: taken away, replaced or added."""
    nothing = Needs()
    for name in needs.__struct_fields__:
        value = getattr(needs, name)
        if name == "among" or value == getattr(nothing, name):
            continue
        if isinstance(value, tuple):
            for part in value:
                rest = tuple(other for other in value if other != part)
                yield f"without --{name} {part}", msgspec.structs.replace(needs, **{name: rest})
        elif name not in ("rps", "baseline"):
            yield (
                f"without --{name.replace('_', '-')}",
                msgspec.structs.replace(needs, **{name: getattr(nothing, name)}),
            )
    for ops in rules.ops:
        if needs.ops is not None and ops != needs.ops:
            yield f"with --ops {ops}", msgspec.structs.replace(needs, ops=ops)
    for feature in rules.features:
        if feature not in needs.features(rules):
            yield f"with --require {feature}", msgspec.structs.replace(needs, require=(*needs.require, feature))
    if not needs.free:
        yield "with --free", msgspec.structs.replace(needs, free=True)


def _budgets(needs: Needs, facts: Facts, rules: Rules) -> Iterator[Change]:
    """Who would stay within a budget that is over the baseline."""
    for extra in rules.budget_examples:
        target = (needs.baseline or 0) + extra
        ranked = rank(msgspec.structs.replace(needs, ttft_p99=target), facts, rules).ranked
        within = [one.title for one in ranked if any(each.rule == "latency" for each in one.reasons)]
        yield Change(
            change=f"--ttft-p99 {target:g}: {extra:g} ms for the gateway",
            then=ranked[0].gateway if ranked else "",
            rule="latency",
            because=f"within it: {', '.join(within) or 'nobody of whom we have a figure'}",
        )


def _migration(needs: Needs, leader: Ranked, facts: Facts, rules: Rules) -> Migration | None:
    """The smallest load above the one asked for at which somebody else leads."""
    for load in _steps(needs, facts, rules):
        ranked = rank(msgspec.structs.replace(needs, rps=load + 1), facts, rules).ranked
        if not ranked or ranked[0].gateway != leader.gateway:
            return _moved(load, facts.gateways[leader.gateway], leader.way, ranked[:1], rules)
    return None


def _moved(load: int, gateway: Gateway, way: Way, then: list[Ranked], rules: Rules) -> Migration:
    holds, ceiling = gateway.number("ceiling", way), gateway.fact("ceiling", way)
    return Migration(
        gateway=gateway.id,
        above_rps=load,
        to=then[0].gateway if then else "",
        rule=then[0].rule if then else "scale",
        because=then[0].because if then else "",
        planned_to=None if holds is None else holds / rules.head_room,
        ceiling=reason("scale", 0, noted(f"shown to hold {holds:,.0f}", ceiling), ceiling) if ceiling else None,
    )


def _steps(needs: Needs, facts: Facts, rules: Rules) -> list[int]:
    """The loads at which a gateway takes one more core, as long as that costs points, or reaches its ceiling."""
    cores = max((int(merit.most / merit.points) for merit in rules.merits if merit.kind == "cores"), default=0)
    found: set[int] = set()
    for gateway in facts.gateways.values():
        for way in gateway.ways():
            for name, times in (("per_core", cores), ("ceiling", 1)):
                figure = gateway.number(name, way)
                if figure is not None:
                    found.update(int(figure * count / rules.head_room) for count in range(1, times + 1))
    return sorted(load for load in found if load >= (needs.rps or 0))
