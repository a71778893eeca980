"""Who is left after the hard demands, in which order, and which rule decided each place.

It must not know what a demand or a rule of the ranking looks at.
"""

import msgspec

from fairlead.advisor.demands import Case, Check, judge
from fairlead.advisor.facts import Facts, Gateway, Way
from fairlead.advisor.merits import Reason, hundredths, reason, weigh
from fairlead.advisor.needs import Needs
from fairlead.advisor.rules import Rules


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway that fulfils every demand, run in its best way. `rule` decided its place, `because` says how."""

    gateway: str
    title: str
    way: Way
    score: float
    rule: str
    because: str
    reasons: list[Reason]


class Excluded(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway that fails a demand. `rule` is the first that it fails, `also` are the others."""

    gateway: str
    title: str
    way: Way
    rule: str
    reason: Reason
    also: list[str]


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody's place."""

    ranked: list[Ranked]
    excluded: list[Excluded]

    @property
    def leader(self) -> Ranked | None:
        """The first; None: nobody is left."""
        return self.ranked[0] if self.ranked else None


def rank(needs: Needs, facts: Facts, rules: Rules) -> Ranking:
    """The places of all gateways, or of those that `needs.among` names."""
    placed: list[Ranked] = []
    fallen: list[tuple[int, Excluded]] = []
    for gateway in facts.gateways.values():
        if needs.among and gateway.id not in needs.among:
            continue
        cases = [
            Case(needs=needs, gateway=gateway, way=way, rules=rules, titles=facts.titles) for way in gateway.ways()
        ]
        judged = [(case, judge(case)) for case in cases]
        passed = [_placed(case, checks) for case, checks in judged if all(check.passed for check in checks)]
        if passed:
            placed.append(max(passed, key=lambda one: one.score))
        else:
            fallen.append(_fallen(gateway, judged))
    placed.sort(key=lambda one: (-one.score, one.title.casefold()))
    last = max(fallen, key=lambda one: one[0])[1] if fallen else None
    order = [merit.rule for merit in rules.merits]
    decided = [_decided(placed, place, last, order) for place in range(len(placed))]
    return Ranking(ranked=decided, excluded=[one for _, one in fallen])


def _placed(case: Case, checks: list[Check]) -> Ranked:
    met = [reason(check.rule, 0, check.reason, check.fact) for check in checks]
    points = weigh(case, checks)
    return Ranked(
        gateway=case.gateway.id,
        title=case.gateway.title,
        way=case.way,
        score=hundredths(sum(each.points for each in points)),
        rule="",
        because="",
        reasons=[*points, *met],
    )


def _fallen(gateway: Gateway, judged: list[tuple[Case, list[Check]]]) -> tuple[int, Excluded]:
    """The way of running it that came furthest: how far, and where it fell."""

    def failures(checks: list[Check]) -> list[int]:
        return [place for place, check in enumerate(checks) if not check.passed]

    case, checks = max(judged, key=lambda one: (failures(one[1])[0], -len(failures(one[1]))))
    first, *others = [check for check in checks if not check.passed]
    excluded = Excluded(
        gateway=gateway.id,
        title=gateway.title,
        way=case.way,
        rule=first.rule,
        reason=reason(first.rule, 0, first.reason, first.fact),
        also=[check.reason for check in others],
    )
    return failures(checks)[0], excluded


def _decided(placed: list[Ranked], place: int, last: Excluded | None, order: list[str]) -> Ranked:
    """A place with the rule that decided it: the greatest difference to the next, or for the last to the one before.

    Where both have as many points no rule has: their names are in order.
    """
    one = placed[place]
    if len(placed) == 1:
        rule = last.rule if last else "only choice"
        because = f"{rule}: the last other, {last.title}, is out" if last else "no other is asked"
        return msgspec.structs.replace(one, rule=rule, because=because)
    below = place + 1 < len(placed)
    other = placed[place + 1] if below else placed[place - 1]
    if one.score == other.score:
        return msgspec.structs.replace(one, rule="tie", because=f"tie: as many points as {other.title}")
    difference = {rule: hundredths(_points(one, rule) - _points(other, rule)) for rule in order}
    rule = (max if below else min)(order, key=lambda each: difference[each])
    because = f"{rule}: {difference[rule]:+g} points against {other.title}"
    return msgspec.structs.replace(one, rule=rule, because=because)


def _points(one: Ranked, rule: str) -> float:
    return sum(each.points for each in one.reasons if each.rule == rule)
