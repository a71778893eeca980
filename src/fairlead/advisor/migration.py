"""At which load to migrate, and to which gateway. It must not know how the points are made."""

import msgspec

from fairlead.advisor.facts import Facts, Gateway, Way
from fairlead.advisor.merits import Reason, noted, reason
from fairlead.advisor.needs import Needs
from fairlead.advisor.ranking import Ranked, rank
from fairlead.advisor.rules import Rules


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """Up to which load the leader leads, and who follows; `to` is empty where no other is shown to hold more."""

    gateway: str
    above_rps: int
    to: str
    rule: str
    because: str
    planned_to: float | None
    """The load that leaves no head-room under `ceiling`; None: no source says."""
    ceiling: Reason | None
    """The largest load that the leader is shown to hold."""


def migration(needs: Needs, leader: Ranked, facts: Facts, rules: Rules) -> Migration | None:
    """The smallest load, from the one asked for on, above which another leads; None: the leader leads at all."""
    for load in _steps(needs, facts, rules):
        then = rank(msgspec.structs.replace(needs, rps=load + 1), facts, rules).leader
        if then is None or then.gateway != leader.gateway:
            holds = facts.gateways[leader.gateway].number("ceiling", leader.way)
            return Migration(
                gateway=leader.gateway,
                above_rps=load,
                to=then.gateway if then else "",
                rule=then.rule if then else "scale",
                because=then.because if then else "",
                planned_to=None if holds is None else holds / rules.head_room,
                ceiling=_ceiling(facts.gateways[leader.gateway], leader.way),
            )
    return None


def _ceiling(gateway: Gateway, way: Way) -> Reason | None:
    holds, fact = gateway.number("ceiling", way), gateway.fact("ceiling", way)
    return reason("scale", 0, noted(f"shown to hold {holds:,.0f}", fact), fact) if fact else None


def _steps(needs: Needs, facts: Facts, rules: Rules) -> list[int]:
    """The loads at which a gateway takes one more core, as long as that costs points, or reaches its ceiling.

    0 is one: who leads while no load is told may be overtaken at the first request.
    """
    cores = max((int(merit.most / merit.points) for merit in rules.merits if merit.kind == "cores"), default=0)
    found = {0}
    for gateway in facts.gateways.values():
        for way in gateway.ways():
            for name, times in (("per_core", cores), ("ceiling", 1)):
                figure = gateway.number(name, way)
                if figure is not None:
                    found.update(int(figure * count / rules.head_room) for count in range(1, times + 1))
    return sorted(load for load in found if load >= (needs.rps or 0))
