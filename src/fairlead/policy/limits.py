"""Rate limits: how each algorithm counts. Pure functions on a state of a few integers.

A mechanism has two functions. `take(rule, state, now, amount)` weighs a request and gives `(state, Standing)`; the
state is the new one where the standing's `wait` is 0, else the old one. `settle(rule, state, now, since, held, used)`
corrects what a request that was let through at `since` really used. An empty state is a rule that nobody has met.
Times are microseconds; a clock that steps back is taken to stand still.

Nothing here knows subjects, storage or a clock. `state/limits.lua` counts the same for Valkey; a test holds it to this.

- bucket (`token_bucket`, `gcra`): a leaky bucket used as a meter, ITU-T I.371; exact. `limit` drains per period.
- window (`sliding_window`, `sliding_log`, `rolling` budgets): sums per grain of time. A grain counts until all of it
  has left the window, so no window ever holds more than the limit; what a grain rounds off is at most 1/GRAINS of it.
- fixed (`fixed_window`, `calendar` budgets): one sum, which starts anew at each boundary.
- gauge (`concurrency`): how many are under way.
"""

from collections.abc import Callable

import msgspec

from fairlead.canonical.limits import DAY, NEVER, SECOND, Rule, Standing

State = list[int]
Take = Callable[[Rule, State, int, int], tuple[State, Standing]]
Settle = Callable[[Rule, State, int, int, int, int], State]

GRAINS = 32
"""Parts of a sliding window that are counted apart."""
LOG_ENTRIES = 1024
"""The most entries of a sliding log; beyond them the two oldest become one, which counts as the later."""
LEVEL_MAX = 2**51
"""A level stands still here, so that whatever was used beyond a limit is still counted in whole numbers below 2**53."""
FAR = 400 * DAY
"""The longest time that a standing tells."""
SOON = SECOND
"""When a place may be free again, where nothing tells."""


class Mechanism(msgspec.Struct, frozen=True):
    take: Take
    settle: Settle


def bucket_capacity(rule: Rule) -> int:
    """How much a bucket holds: its burst; without one, a whole period's worth (GCRA: one request)."""
    if rule.burst:
        return rule.burst
    return 1 if rule.algorithm == "gcra" and rule.unit == "requests" else rule.limit


def take_bucket(rule: Rule, state: State, now: int, amount: int) -> tuple[State, Standing]:
    """State: level (in units of 1/ticks), instant in ticks."""
    ticks = rule.ticks
    level, at = _drained(rule, state, now // rule.tick)
    top = bucket_capacity(rule) * ticks
    new = level + amount * ticks
    if new > top and rule.hard:
        wait = NEVER if amount * ticks > top else _time(rule, new - top)
        return state, Standing(max(top - level, 0) // ticks, _time(rule, level), wait)
    new = min(new, LEVEL_MAX)
    return [new, at], Standing(max(top - new, 0) // ticks, _time(rule, new))


def settle_bucket(rule: Rule, state: State, now: int, since: int, held: int, used: int) -> State:
    """What was held and not used is given back as far as it cannot have drained already."""
    at = now // rule.tick
    level, at = _drained(rule, state, at)
    return [_corrected(rule, level, at, since, held, used), at]


def take_window(rule: Rule, state: State, now: int, amount: int) -> tuple[State, Standing]:
    """State: level, instant (the bucket that a burst has to be earned back in), then grain and sum by turns."""
    ticks, limit, burst = rule.ticks, rule.limit, rule.burst
    level, at = _drained(rule, state, now // rule.tick)
    width = grain_width(rule)
    sums = _living(rule, state[2:], at, width)
    lacking = amount + sum(sums[1::2]) - limit - burst
    room = amount - lacking
    if burst:
        room = min(room, ((limit + burst) * ticks - level) // ticks)
    if amount > room and rule.hard:
        wait = NEVER
        if amount <= limit + burst:
            drained = _time(rule, max(level + (amount - limit - burst) * ticks, 0)) if burst else 0
            wait = max(_until_room(rule, sums, at, lacking, width), drained)
        return state, Standing(max(room, 0), _reset(rule, sums, level, at, width), wait)
    _add(sums, at // width, amount)
    if burst:
        level = min(level + amount * ticks, LEVEL_MAX)
    return [level, at, *sums], Standing(max(room - amount, 0), _reset(rule, sums, level, at, width))


def settle_window(rule: Rule, state: State, now: int, since: int, held: int, used: int) -> State:
    """The correction goes to the grain of the request itself; what has left the window is not given back."""
    at = now // rule.tick
    level, at = _drained(rule, state, at)
    width = grain_width(rule)
    sums = _living(rule, state[2:], at, width)
    grain = since // rule.tick // width
    place = -1
    if grain >= (at - rule.ticks) // width:
        # Its own, or a later one with which it became one.
        place = len(sums)
        while place and sums[place - 2] >= grain:  # from the newest: that is where it mostly is
            place -= 2
        place = place if place < len(sums) else -1
    if place >= 0 and sums[place + 1] + used - held >= 0:
        sums[place + 1] += used - held
    elif used > held:
        _add(sums, at // width, used - held)
    if rule.burst:
        level = _corrected(rule, level, at, since, held, used)
    return [level, at, *sums]


def take_fixed(rule: Rule, state: State, now: int, amount: int) -> tuple[State, Standing]:
    """State: the window's number, its sum."""
    index = max(now // rule.tick // rule.ticks, state[0] if state else 0)
    total = state[1] if state and state[0] == index else 0
    room = rule.limit + rule.burst - total
    reset = max((index + 1) * rule.ticks * rule.tick - now, 1)
    if amount > room and rule.hard:
        wait = NEVER if amount > rule.limit + rule.burst else reset
        return state, Standing(max(room, 0), reset if total else 0, wait)
    return [index, total + amount], Standing(max(room - amount, 0), reset)


def settle_fixed(rule: Rule, state: State, now: int, since: int, held: int, used: int) -> State:
    """Given back only within its own window; what was used beyond the hold always counts."""
    index = max(now // rule.tick // rule.ticks, state[0] if state else 0)
    total = state[1] if state and state[0] == index else 0
    if since // rule.tick // rule.ticks == index or used > held:
        total = max(total + used - held, 0)
    return [index, total]


def take_gauge(rule: Rule, state: State, now: int, amount: int) -> tuple[State, Standing]:
    """State: how many are under way. It cannot be told when one ends."""
    del now
    count = state[0] if state else 0
    if count + amount > rule.limit and rule.hard:
        wait = NEVER if amount > rule.limit else SOON
        return state, Standing(max(rule.limit - count, 0), DAY if count else 0, wait)
    return [count + amount], Standing(max(rule.limit - count - amount, 0), DAY)


def settle_gauge(rule: Rule, state: State, now: int, since: int, held: int, used: int) -> State:
    del rule, now, since, used
    return [max((state[0] if state else 0) - held, 0)]


def grain_width(rule: Rule) -> int:
    """Ticks that are counted as one instant."""
    return 1 if rule.algorithm == "sliding_log" else -(-rule.ticks // GRAINS)


def _drained(rule: Rule, state: State, at: int) -> tuple[int, int]:
    """Level and instant once time has passed; a clock that went back stands still."""
    if not state:
        return 0, at
    level, before = state[0], state[1]
    if at <= before:
        return level, before
    return max(level - (at - before) * rule.limit, 0), at


def _corrected(rule: Rule, level: int, at: int, since: int, held: int, used: int) -> int:
    """A level once it is known what was used: an excess counts in full, the rest less what may have drained since."""
    change = (used - held) * rule.ticks
    if change < 0:
        change = min(change + max(at - since // rule.tick, 0) * rule.limit, 0)
    return min(max(level + change, 0), LEVEL_MAX)


def _living(rule: Rule, sums: State, at: int, width: int) -> State:
    """Without the grains that have wholly left the window that ends at `at`."""
    oldest = (at - rule.ticks) // width
    if not sums or sums[0] >= oldest:
        return sums
    first = 2
    while first < len(sums) and sums[first] < oldest:
        first += 2
    return sums[first:]


def _add(sums: State, grain: int, amount: int) -> None:
    if sums and sums[-2] >= grain:
        sums[-1] += amount
        return
    sums += (grain, amount)
    if len(sums) > 2 * LOG_ENTRIES:
        sums[3] += sums[1]
        del sums[:2]


def _until_room(rule: Rule, sums: State, at: int, lacking: int, width: int) -> int:
    """Microseconds until so much has left the window."""
    for place in range(0, len(sums), 2):
        if lacking <= 0:
            break
        lacking -= sums[place + 1]
        leaves = (sums[place] + 1) * width + rule.ticks
        if lacking <= 0:
            return max(leaves - at, 1) * rule.tick
    return 0


def _reset(rule: Rule, sums: State, level: int, at: int, width: int) -> int:
    last = ((sums[-2] + 1) * width + rule.ticks - at) * rule.tick if sums else 0
    return max(last, _time(rule, level)) if level else last


def _time(rule: Rule, level: int) -> int:
    """Microseconds in which so much drains."""
    return min(-(-level // rule.limit) * rule.tick, FAR)
