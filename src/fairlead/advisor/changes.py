"""What would change the answer: the needs with one thing changed, and who leads then.

It must not know why somebody leads: it asks the ranking.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from fairlead.advisor.facts import Facts
from fairlead.advisor.needs import Needs, spoken
from fairlead.advisor.ranking import Ranked, rank
from fairlead.advisor.rules import Rules

LEFT_OPEN: dict[str, dict[str, Any]] = {
    "--rps": {"rps": None},
    "--ops": {"ops": None},
    "--data": {"data": None},
    "--ttft-p99": {"ttft_p99": None, "baseline": None},
    "--free": {"free": False},
    "--among": {"among": ()},
}
"""What the needs are without an answer that is taken away whole. A baseline is no wish: it goes with its target."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the needs that changes who leads. `then` is empty where nobody is left."""

    change: str
    then: str
    rule: str
    because: str


def changes(needs: Needs, facts: Facts, rules: Rules) -> list[Change]:
    """The single changes that make another gateway lead; with nothing left of the latency budget, larger budgets."""
    if needs.budget is not None and needs.budget <= 0:
        return [_budget(needs, extra, facts, rules) for extra in rules.budget_examples]
    leader = rank(needs, facts, rules).leader
    found = []
    for text, changed in _variations(needs, rules):
        then = rank(changed, facts, rules).leader
        if _name(then) != _name(leader):
            found.append(_change(text, then))
    return found


def _name(leader: Ranked | None) -> str:
    return leader.gateway if leader else ""


def _change(text: str, then: Ranked | None) -> Change:
    if then is None:
        return Change(change=text, then="", rule="", because="")
    return Change(change=text, then=then.gateway, rule=then.rule, because=then.because)


def _variations(needs: Needs, rules: Rules) -> Iterator[tuple[str, Needs]]:
    yield from _less(needs)
    for ops in rules.ops:
        if ops != needs.ops:
            yield f"with --ops {ops}", msgspec.structs.replace(needs, ops=ops)
    for feature in rules.features:
        if feature not in needs.features(rules):
            yield f"with --require {feature}", msgspec.structs.replace(needs, require=(*needs.require, feature))
    if not needs.free:
        yield "with --free", msgspec.structs.replace(needs, free=True)


def _less(needs: Needs) -> Iterator[tuple[str, Needs]]:
    for name in ("compliance", "require", "stack"):
        parts = getattr(needs, name)
        for part in parts:
            rest = tuple(other for other in parts if other != part)
            yield f"without --{name} {part}", msgspec.structs.replace(needs, **{name: rest})
    for flag, left_open in LEFT_OPEN.items():
        rest_open = msgspec.structs.replace(needs, **left_open)
        if rest_open != needs:
            yield f"without {flag}", rest_open


def _budget(needs: Needs, extra: float, facts: Facts, rules: Rules) -> Change:
    """Who would stay within a target that is over the baseline by so much."""
    target = round((needs.baseline or 0) + extra, 9)
    found = rank(msgspec.structs.replace(needs, ttft_p99=target), facts, rules)
    within = [one.title for one in found.ranked if any(each.rule == "latency" for each in one.reasons)]
    return Change(
        change=f"--ttft-p99 {spoken(target)}: {spoken(extra)} ms for the gateway",
        then=_name(found.leader),
        rule="latency",
        because=f"within it: {', '.join(within) or 'none that has a figure'}",
    )
