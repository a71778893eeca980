"""Budgets: money (or tokens) over a period, reserved when a request is let in and settled when its cost is known.

Pure functions of the same shape as in `limits`. What is held counts against the budget but is no spending: it has no
period of its own, so a request that began last month and ends in this one is paid for by this one. A settlement that
never comes is the engine's business (leases).
"""

from fairlead.canonical.limits import DAY, MONTH, NEVER, WEEK, Algorithm, Rule, Standing
from fairlead.policy.limits import (
    GRAINS,
    SOON,
    Mechanism,
    State,
    settle_bucket,
    settle_fixed,
    settle_gauge,
    settle_window,
    take_bucket,
    take_fixed,
    take_gauge,
    take_window,
)

FIRST_MONDAY = 4
"""Days from 1 January 1970, a Thursday."""


def take_calendar(rule: Rule, state: State, now: int, amount: int) -> tuple[State, Standing]:
    """State: the period's end (microseconds), what was spent in it, what is held."""
    end, spent, held = _period(rule, state, now)
    room = rule.limit - spent - held
    reset = max(end - now, 1)
    if amount > room and rule.hard:
        return state, Standing(max(room, 0), reset, _wait(rule, amount, spent, reset))
    return [end, spent, held + amount], Standing(max(room - amount, 0), reset)


def settle_calendar(rule: Rule, state: State, now: int, since: int, held: int, used: int) -> State:
    del since
    end, spent, waiting = _period(rule, state, now)
    return [end, spent + used, max(waiting - held, 0)]


def take_rolling(rule: Rule, state: State, now: int, amount: int) -> tuple[State, Standing]:
    """State: what is held, then grain and spending by turns."""
    held, sums = _spendings(rule, state, now)
    spent = sum(sums[1::2])
    room = rule.limit - held - spent
    reset = (sums[-2] + 2 + GRAINS) * rolling_grain(rule) - now if sums else DAY
    if amount > room and rule.hard:
        leaves = _until_room(rule, sums, now, amount + spent - rule.limit)
        return state, Standing(max(room, 0), reset, _wait(rule, amount, spent, leaves))
    return [held + amount, *sums], Standing(max(room - amount, 0), max(reset, DAY))


def settle_rolling(rule: Rule, state: State, now: int, since: int, held: int, used: int) -> State:
    del since
    waiting, sums = _spendings(rule, state, now)
    return [max(waiting - held, 0), *charged(rule, sums, now, used)]


def charged(rule: Rule, sums: State, at: int, used: int) -> State:
    """Spendings of a rolling budget with one more, at `at`; no earlier than the newest."""
    if not used:
        return sums
    grain = at // rolling_grain(rule)
    if sums and sums[-2] >= grain:
        return [*sums[:-1], sums[-1] + used]
    return [*sums, grain, used]


def seeded(rule: Rule, spendings: list[tuple[int, int]], now: int) -> State:
    """The state of a budget of which the ledger says what was spent: (instant, amount), in the order of time.

    An instant is the end of the time in which the amount was spent, so that it counts for long enough.
    """
    if rule.algorithm == "calendar":
        begin, end = period(rule.tick * rule.ticks, now)
        return [end, sum(amount for at, amount in spendings if begin < at <= end), 0]
    sums: State = []
    for at, amount in spendings:
        sums = charged(rule, sums, min(at, now), amount)
    return [0, *_spendings(rule, [0, *sums], now)[1]]


def spent(rule: Rule, spendings: list[tuple[int, int]], now: int) -> int:
    """How much of the budget is spent at `now`, of what the ledger says as for `seeded`."""
    state = seeded(rule, spendings, now)
    return state[1] if rule.algorithm == "calendar" else sum(state[2::2])


def period(length: int, now: int) -> tuple[int, int]:
    """The calendar's day, week (from Monday) or month in UTC that holds `now`: its begin and end in microseconds."""
    day = now // DAY
    if length == WEEK:
        begin = day - (day - FIRST_MONDAY) % 7
        return begin * DAY, (begin + 7) * DAY
    if length == MONTH:
        begin = day - _day_of_month(day)
        end = begin + 32
        return begin * DAY, (end - _day_of_month(end)) * DAY
    return day * DAY, (day + 1) * DAY


def rolling_grain(rule: Rule) -> int:
    """Microseconds of spending that are counted as one instant."""
    return -(-rule.ticks * rule.tick // GRAINS)


def _day_of_month(day: int) -> int:
    """From 0, for a day since 1970. Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days."""
    of_era = (day + 719468) % 146097
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    return of_year - (153 * month + 2) // 5


def _period(rule: Rule, state: State, now: int) -> tuple[int, int, int]:
    """End, spent and held as of `now`; a clock that went back stays in the period that it was in."""
    if not state:
        return period(rule.tick * rule.ticks, now)[1], 0, 0
    end, spent, held = state
    if now >= end:
        return period(rule.tick * rule.ticks, now)[1], 0, held
    return end, spent, held


def _spendings(rule: Rule, state: State, now: int) -> tuple[int, State]:
    """What is held, and the spendings of the grains that have not wholly left the window."""
    if not state:
        return 0, []
    oldest = (now - rule.ticks * rule.tick) // rolling_grain(rule)
    first = 1
    while first < len(state) and state[first] < oldest:
        first += 2
    return state[0], state[first:]


def _wait(rule: Rule, amount: int, spent: int, leaves: int) -> int:
    """When asking again may help: soon, where what is held stands in the way, for most of it will be given back."""
    if amount > rule.limit:
        return NEVER
    return SOON if amount <= rule.limit - spent else leaves


def _until_room(rule: Rule, sums: State, now: int, lacking: int) -> int:
    """Microseconds until so much has left the window."""
    grain = rolling_grain(rule)
    for place in range(0, len(sums), 2):
        lacking -= sums[place + 1]
        if lacking <= 0:
            return max((sums[place] + 1) * grain + rule.ticks * rule.tick - now, 1)
    return SOON


MECHANISMS: dict[Algorithm, Mechanism] = {
    "token_bucket": Mechanism(take_bucket, settle_bucket),
    "gcra": Mechanism(take_bucket, settle_bucket),
    "sliding_window": Mechanism(take_window, settle_window),
    "sliding_log": Mechanism(take_window, settle_window),
    "fixed_window": Mechanism(take_fixed, settle_fixed),
    "concurrency": Mechanism(take_gauge, settle_gauge),
    "calendar": Mechanism(take_calendar, settle_calendar),
    "rolling": Mechanism(take_rolling, settle_rolling),
}

BUDGETS: frozenset[Algorithm] = frozenset(("calendar", "rolling"))
"""Those whose past an engine has to be told before it judges them."""
