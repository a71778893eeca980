"""All of a request's rules at once: every demand is held, or none is; later each is settled.

Pure: the states come in and the new ones go out. It must not know where they are kept. Every engine of shared state
makes exactly these steps, in one atomic step of its own.
"""

from collections.abc import Sequence

from fairlead.canonical.limits import DAY, Demand, Denied, Granted, Rule, Standing
from fairlead.policy.budget import BUDGETS, MECHANISMS
from fairlead.policy.limits import State

HOLDING = BUDGETS | {"concurrency"}
"""Algorithms that know what is held apart from what was used."""


def reserve(
    demands: Sequence[Demand], states: Sequence[State], now: int
) -> tuple[Granted, list[State]] | tuple[Denied, None]:
    """The new states, one per demand, where every rule lets the request pass; else all that the rules say of it.

    A rule must not stand in `demands` twice.
    """
    standings: list[Standing] = []
    new: list[State] = []
    denied = False
    for demand, state in zip(demands, states, strict=True):
        taken, standing = MECHANISMS[demand.rule.algorithm].take(demand.rule, state, now, demand.amount)
        new.append(taken)
        standings.append(standing)
        denied = denied or standing.wait != 0
    if denied:
        return Denied(tuple(standings)), None
    return Granted(tuple(standings), now), new


def smaller(demands: Sequence[Demand], standings: Sequence[Standing]) -> tuple[Demand, ...] | None:
    """The same, with what is left for those that were denied and make do with it; None where one needs more."""
    content: list[Demand] = []
    for demand, standing in zip(demands, standings, strict=True):
        if not standing.wait:
            content.append(demand)
        elif 0 < demand.least <= standing.remaining:
            content.append(Demand(demand.rule, standing.remaining))
        else:
            return None
    return tuple(content)


def settle(demand: Demand, state: State, now: int, since: int, used: int) -> State:
    """The state once it is known what a request that was granted `since` really used of this demand."""
    if is_exact(demand, used):
        return state
    return MECHANISMS[demand.rule.algorithm].settle(demand.rule, state, now, since, demand.amount, used)


def is_exact(demand: Demand, used: int) -> bool:
    """Nothing has to be corrected, so that an engine may leave the state as it is."""
    return used == demand.amount and demand.rule.algorithm not in HOLDING


def standing(rule: Rule, state: State, now: int) -> Standing:
    """How the rule stands for a request that asks for nothing."""
    return MECHANISMS[rule.algorithm].take(rule, state, now, 0)[1]


def lifetime(rule: Rule, reset: int) -> int:
    """Microseconds for which an engine keeps a state whose standing has this `reset`.

    What a budget holds outlives the period in which it was taken, as a request may.
    """
    return max(reset, DAY) if rule.algorithm in BUDGETS else reset
