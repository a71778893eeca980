"""What is limited, by how much, and what a limit says of a request: limits, rules, demands, standings.

Values only. It must not know how a limit is counted (policy), nor where the counts are kept (state).
Time is in whole microseconds and money in whole millionths of a US dollar, so that every engine counts alike.
"""

from typing import Literal

import msgspec

Unit = Literal["requests", "tokens", "input_tokens", "output_tokens", "concurrency", "money"]
Scope = Literal["global", "tenant", "key", "model", "deployment", "user", "tag"]
Algorithm = Literal[
    "token_bucket", "gcra", "sliding_window", "sliding_log", "fixed_window", "concurrency", "calendar", "rolling"
]
"""The first five are rates; `concurrency` counts what is under way; the last two are the windows of budgets."""

SECOND = 1_000_000
DAY = 86_400 * SECOND
WEEK = 7 * DAY
MONTH = 30 * DAY
"""Stands for a calendar month where the window is the calendar's."""
DOLLAR = 1_000_000
RESOLUTION = 1_000_000
"""Parts of a limit's period in which its time is counted."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a tier: so much of a unit, for whoever it is bound to."""

    unit: Unit
    algorithm: Algorithm
    limit: int
    per: int = SECOND
    """Microseconds; without meaning for `concurrency`."""
    burst: int = 0
    hard: bool = True
    """False: it is counted and told, and refuses nothing."""
    alerts: tuple[int, ...] = ()
    """Per cent of a budget at which an alert is raised, once a period."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A limit bound to a subject: what an engine of shared state works on.

    Time is counted in ticks, millionths of the period: `ticks` of them make one, each of `tick` microseconds, so that
    every product stays below 2**53 and a script that counts in doubles gives the same integers.
    """

    slot: str
    """The tenant that it belongs to, or `*` for what tenants share: rules of one slot are kept together."""
    key: str
    """Its state's name within the slot: scope, subject, unit, algorithm and period."""
    unit: Unit
    algorithm: Algorithm
    limit: int
    tick: int
    ticks: int
    burst: int = 0
    hard: bool = True
    alerts: tuple[int, ...] = ()
    label: str = ""
    """In words, for the client: `60 requests per 1m of tenant 'acme'`."""


class Demand(msgspec.Struct, frozen=True):
    """How much a request wants of a rule."""

    rule: Rule
    amount: int
    least: int = 0
    """What it makes do with where less is left than `amount`, as nobody knows what it will use; 0: it needs it all."""


class Standing(msgspec.Struct, frozen=True):
    """How a rule stands after a request was weighed. Times in microseconds from that moment.

    `wait` is 0 where the rule lets the request pass, and NEVER where no waiting helps.
    """

    remaining: int
    reset: int
    """Until it is as if nothing had been asked for."""
    wait: int = 0


NEVER = -1


class Granted(msgspec.Struct, frozen=True):
    """Everything that was asked for is held. One standing per demand, in their order."""

    standings: tuple[Standing, ...]
    since: int
    """The engine's own time of the hold."""


class Denied(msgspec.Struct, frozen=True):
    """Nothing is held. The standings tell which rules refused."""

    standings: tuple[Standing, ...]


class Unseeded(msgspec.Struct, frozen=True):
    """Nothing is held: the state knows nothing of this budget's past, so it has to be told before it can judge."""

    rule: Rule


class Unavailable(msgspec.Struct, frozen=True):
    """Nothing is held: the state could not be reached."""


Verdict = Granted | Denied | Unseeded | Unavailable


def rule(limit: Limit, *, slot: str, scope: Scope, subject: str, label: str = "") -> Rule:
    """`limit` bound to a subject of a scope."""
    tick = max(limit.per // RESOLUTION, 1)
    return Rule(
        slot=slot,
        key=f"{scope}:{subject}:{limit.unit}:{limit.algorithm}:{limit.per}",
        unit=limit.unit,
        algorithm=limit.algorithm,
        limit=limit.limit,
        tick=tick,
        ticks=-(-limit.per // tick),
        burst=limit.burst,
        hard=limit.hard,
        alerts=limit.alerts,
        label=label,
    )
