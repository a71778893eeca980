"""Needs that contradict each other, so that no gateway can fulfil them. It must not know how gateways are ranked."""

from collections.abc import Iterator

import msgspec

from fairlead.advisor.facts import Facts
from fairlead.advisor.needs import Needs, spoken
from fairlead.advisor.rules import Rules


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """Two needs that no gateway can fulfil together."""

    between: tuple[str, str]
    reason: str
    way_out: str


def conflicts(needs: Needs, facts: Facts, rules: Rules) -> list[Conflict]:
    """Each pair of needs that contradict each other."""
    return [*_places(needs, rules), *_latencies(needs, facts, rules)]


def apart(ops: str, data: str, rules: Rules) -> bool:
    """Whether no way of running a gateway so keeps data there."""
    place = rules.data[data]
    return not place.fact and not set(rules.ops[ops].ways) & set(place.ways)


def _places(needs: Needs, rules: Rules) -> Iterator[Conflict]:
    if needs.ops is not None and needs.data is not None and apart(needs.ops, needs.data, rules):
        place = rules.data[needs.data]
        yield Conflict(
            between=(needs.said("ops"), needs.said("data")),
            reason=f"{rules.ops[needs.ops].why}; {place.why}",
            way_out=f"choose --ops {' or '.join(place.ways)}, or let prompts leave (--data anywhere)",
        )


def _latencies(needs: Needs, facts: Facts, rules: Rules) -> Iterator[Conflict]:
    if needs.budget is None or needs.budget > 0:
        return
    extra = max(rules.budget_examples)
    target = round((needs.baseline or 0) + extra, 9)
    caches = [one.title for one in facts.gateways.values() if any(one.has("cache", way) for way in one.ways())]
    yield Conflict(
        between=(needs.said("ttft_p99"), needs.said("baseline")),
        reason="the baseline alone takes the whole target, and a gateway adds to it, it never takes away: none can. "
        "Only an answer from a cache comes sooner, and the 99th percentile falls only where 99 of 100 requests hit. "
        f"With a cache: {', '.join(caches)}",
        way_out=f"a target over the baseline, such as --ttft-p99 {spoken(target)}, leaves a gateway "
        f"{spoken(extra)} ms; or a faster model or provider",
    )
