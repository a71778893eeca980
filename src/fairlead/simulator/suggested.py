"""What is said of a suggestion: how sure its saving is, what gets worse by it, and what no setting can change.

It must not know how it was found.
"""

from collections.abc import Iterator, Sequence
from statistics import fmean

import msgspec

from fairlead.simulator.compare import differences
from fairlead.simulator.report import Suggestion
from fairlead.simulator.slo import AIMS, Target, shown
from fairlead.simulator.statistics import batch_means
from fairlead.simulator.summary import Summary

LOSING = {"success", "refusals"}
"""The targets that refused requests alone can make unreachable."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """The present setting and what is suggested, once more, with chance that the search did not know."""

    seed: int
    before: Summary
    after: Summary


def sentences(found: Suggestion, targets: Sequence[Target], check: Check) -> Iterator[str]:
    """What it comes to; of `found` all but what is told is there."""
    yield _outcome(found, targets)
    yield (
        f"a thousand answers cost {_cost(found.after)} US dollars ({_cost(found.before)} at present), which is what is "
        "compared; a thousand requests cost less where some of them are not answered"
    )
    if found.changes:
        yield (
            f"once more with chance that the search did not know (--seed {check.seed}), they cost "
            f"{_cost(check.after)} ({_cost(check.before)} at present), a difference "
            f"{'beyond' if _differ(check) else 'within'} chance"
        )
        worse = ", ".join(_worse(found.before, found.after))
        yield f"what gets worse by more than chance: {worse or 'nothing'}"
    if not found.reached:
        yield from _unreachable(targets, found.after)
    if found.after.unpriced:
        yield f"no price is known of {', '.join(found.after.unpriced)}, so what they answer counts as free"


def _outcome(found: Suggestion, targets: Sequence[Target]) -> str:
    wanted = ",".join(map(str, targets)) or "success as now"
    if not found.reached:
        closest = "this" if found.changes else "the present one"
        return f"none of the {found.settings} settings that were tried meets {wanted}; {closest} comes closest"
    if found.changes:
        return f"of the {found.settings} settings that were tried, this is the cheapest that meets {wanted}"
    return f"the present setting meets {wanted}, and none of the {found.settings} that were tried is surely cheaper"


def _differ(check: Check) -> bool:
    """Whether answers cost another amount by more than chance, batch by batch of the same requests."""
    pairs = zip(_by_batch(check.before), _by_batch(check.after), strict=True)
    by_batch = [after - before for before, after in pairs if before is not None and after is not None]
    return bool(by_batch) and not batch_means(fmean(by_batch), by_batch).covers(0.0)


def _by_batch(summary: Summary) -> list[float | None]:
    """What an answer cost in each batch."""
    pairs = zip(summary.batches["cost_per_1000"], summary.batches["success_rate"], strict=True)
    return [cost / answered if cost is not None and answered else None for cost, answered in pairs]


def _worse(before: Summary, after: Summary) -> Iterator[str]:
    """What the change is paid with, by name and figure."""
    beyond = {one.figure: one for one in differences(before, after) if one.beyond_chance}
    for aim in AIMS.values():
        found = beyond.get(aim.figure)
        if found is not None and (found.difference.value < 0.0) is aim.at_least:
            was, becomes = (shown(one.value, aim.unit) for one in (found.before, found.after))
            yield f"{aim.words} (from {was} to {becomes})"


def _unreachable(targets: Sequence[Target], after: Summary) -> Iterator[str]:
    """What refuses so many that the search, which changes no limit, could not succeed."""
    refused = after.refusal_rate.value
    if after.refusals and any(target.name in LOSING and refused > target.allowed for target in targets):
        most = after.refusals[0]
        yield (
            f"{shown(refused * 100.0, 'amount')} % of all requests are refused, which no retry, cooldown or weight can "
            f"change: of those of {most.sender!r}, {shown(most.share.value * 100.0, 'amount')} % by {most.limit}"
        )


def _cost(summary: Summary) -> str:
    answered = summary.success_rate.value
    return f"{summary.cost_per_1000.value / answered:.4g}" if answered else "nothing was answered"
