"""Rates: no true window ever holds more than the limit, whatever is given back and whatever the clock does."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.canonical.limits import DAY, NEVER, SECOND, Algorithm, Demand, Granted, Limit, Rule, Unit, rule
from fairlead.policy import holds
from fairlead.policy.limits import FAR, LEVEL_MAX, LOG_ENTRIES, SOON, State, bucket_capacity

HOUR = 3600 * SECOND
START = 1_800_000_000 * SECOND
EXAMPLES = settings(max_examples=400, deadline=None)
RATES: tuple[Algorithm, ...] = ("token_bucket", "gcra", "sliding_window", "sliding_log", "fixed_window")
WINDOWS: tuple[Algorithm, ...] = ("sliding_window", "sliding_log")


def limited(algorithm: Algorithm, limit: int, per: int = 10 * SECOND, burst: int = 0, unit: Unit = "tokens") -> Rule:
    bound = Limit(unit=unit, algorithm=algorithm, limit=limit, per=per, burst=burst)
    return rule(bound, slot="acme", scope="tenant", subject="acme")


class Meter:
    """A rule and its state, and what was really used when."""

    def __init__(self, limit: Rule, now: int = START) -> None:
        self.rule = limit
        self.state: State = []
        self.now = now
        self.used: list[tuple[int, int]] = []
        self.open: list[tuple[int, int]] = []

    def ask(self, amount: int) -> bool:
        """Whether it is let in. What it holds counts as used from then on."""
        verdict, new = holds.reserve([Demand(self.rule, amount)], [self.state], self.now)
        if new is None:
            return False
        assert isinstance(verdict, Granted)
        self.state = new[0]
        self.open.append((verdict.since, amount))
        self.used.append((verdict.since, amount))
        return True

    def settle(self, place: int, used: int) -> None:
        since, held = self.open.pop(place)
        self.used[self.used.index((since, held))] = (since, used)
        self.state = holds.settle(Demand(self.rule, held), self.state, self.now, since, used)

    def wait(self, amount: int) -> int:
        return holds.reserve([Demand(self.rule, amount)], [self.state], self.now)[0].standings[0].wait

    def within(self, length: int) -> int:
        """The most that was used in any span of less than `length`, wherever it begins."""
        return max(
            (sum(amount for at, amount in self.used if begin <= at < begin + length) for begin, _ in self.used),
            default=0,
        )


PAUSES = st.integers(0, SECOND) | st.integers(0, 25 * SECOND)
HISTORY = st.lists(
    st.tuples(PAUSES, st.integers(1, 12), st.sampled_from((None, None, None, 0)) | st.integers(0, 12)),
    min_size=5,
    max_size=50,
)


def play(meter: Meter, history: list[tuple[int, int, int | None]]) -> None:
    """Asks, and after some requests settles the oldest hold at no more than it held."""
    for pause, amount, used in history:
        meter.now += pause
        meter.ask(amount)
        if used is not None and meter.open:
            meter.settle(0, min(used, meter.open[0][1]))


@EXAMPLES
@given(st.sampled_from(WINDOWS), st.integers(1, 15), st.integers(0, 3), HISTORY)
def test_no_window_holds_more_than_the_limit_and_its_burst(
    algorithm: Algorithm, limit: int, burst: int, history: list[tuple[int, int, int | None]]
) -> None:
    meter = Meter(limited(algorithm, limit, burst=burst))
    play(meter, history)
    assert meter.within(10 * SECOND) <= limit + burst


@EXAMPLES
@given(st.integers(1, 30), st.integers(1, 20), HISTORY)
def test_a_burst_has_to_be_earned_back(limit: int, burst: int, history: list[tuple[int, int, int | None]]) -> None:
    """Over any longer span, too: no more than limit and burst, and the limit's rate beyond them."""
    meter = Meter(limited("sliding_window", limit, burst=burst))
    play(meter, [(pause, amount, None) for pause, amount, _ in history])
    for begin, _ in meter.used:
        for end, _ in meter.used:
            spent = sum(amount for at, amount in meter.used if begin <= at <= end)
            assert spent <= limit + burst + limit * max(end - begin, 0) / (10 * SECOND) + 1e-6


@EXAMPLES
@given(st.sampled_from(("token_bucket", "gcra")), st.integers(1, 30), st.integers(0, 20), HISTORY)
def test_a_bucket_lets_in_its_burst_and_its_rate(
    algorithm: Algorithm, limit: int, burst: int, history: list[tuple[int, int, int | None]]
) -> None:
    """Refunds included: what drained while it was held is not given back a second time."""
    meter = Meter(limited(algorithm, limit, burst=burst))
    play(meter, history)
    capacity = bucket_capacity(meter.rule)
    for begin, _ in meter.used:
        for end, _ in meter.used:
            spent = sum(amount for at, amount in meter.used if begin <= at <= end)
            assert spent <= capacity + limit * max(end - begin, 0) / (10 * SECOND) + 1e-6


@EXAMPLES
@given(st.integers(1, 30), HISTORY)
def test_a_fixed_window_holds_no_more_than_the_limit(limit: int, history: list[tuple[int, int, int | None]]) -> None:
    meter = Meter(limited("fixed_window", limit))
    play(meter, history)
    for window in {at // (10 * SECOND) for at, _ in meter.used}:
        assert sum(amount for at, amount in meter.used if at // (10 * SECOND) == window) <= limit


@EXAMPLES
@given(st.integers(1, 10), st.lists(st.tuples(st.booleans(), st.integers(1, 3)), max_size=50))
def test_no_more_are_under_way_than_allowed(limit: int, steps: list[tuple[bool, int]]) -> None:
    meter = Meter(limited("concurrency", limit, unit="concurrency"))
    for asks, amount in steps:
        if asks:
            meter.ask(amount)
        elif meter.open:
            meter.settle(0, 99)
        assert sum(amount for _, amount in meter.open) <= limit
        assert holds.standing(meter.rule, meter.state, meter.now).remaining == limit - sum(n for _, n in meter.open)


@EXAMPLES
@given(st.sampled_from(RATES), st.integers(1, 30), st.integers(0, 20), HISTORY, st.integers(1, 30))
def test_waiting_as_told_is_enough_and_not_much_too_long(
    algorithm: Algorithm, limit: int, burst: int, history: list[tuple[int, int, int | None]], amount: int
) -> None:
    meter = Meter(limited(algorithm, limit, burst=0 if algorithm == "fixed_window" else burst))
    play(meter, history)
    wait = meter.wait(amount)
    if wait == NEVER:
        assert amount > max(limit + burst, bucket_capacity(meter.rule)) or amount > bucket_capacity(meter.rule)
    elif wait:
        meter.now += max(wait - 2 * meter.rule.tick, 0)
        assert wait <= 2 * meter.rule.tick or meter.wait(amount) > 0
        meter.now += 2 * meter.rule.tick
        assert meter.wait(amount) == 0


@EXAMPLES
@given(st.sampled_from(RATES), st.integers(1, 30), HISTORY, st.sampled_from((HOUR, -HOUR, -1, -SECOND)))
def test_a_clock_that_jumps_lets_in_no_more_than_the_new_time_allows(
    algorithm: Algorithm, limit: int, history: list[tuple[int, int, int | None]], jump: int
) -> None:
    """Case S13. Back: it stands still, so nothing comes free. On: an hour has passed, no more. Never below nothing."""
    meter = Meter(limited(algorithm, limit))
    play(meter, history)
    left = holds.standing(meter.rule, meter.state, meter.now).remaining
    meter.now += jump
    after = holds.standing(meter.rule, meter.state, meter.now).remaining
    assert after <= left if jump < 0 else after >= left
    play(meter, history)
    assert min([*meter.state[:2], 0]) == 0
    assert 0 <= holds.standing(meter.rule, meter.state, meter.now).remaining <= limit


@EXAMPLES
@given(st.sampled_from((*RATES, "concurrency")), st.integers(1, 30), HISTORY)
def test_after_its_reset_a_state_is_as_good_as_none(
    algorithm: Algorithm, limit: int, history: list[tuple[int, int, int | None]]
) -> None:
    """What the garbage collection of the engines relies on."""
    meter = Meter(limited(algorithm, limit))
    play(meter, history)
    while meter.open:
        meter.settle(0, meter.open[0][1])
    meter.now += holds.standing(meter.rule, meter.state, meter.now).reset
    fresh = holds.standing(meter.rule, [], meter.now)
    assert holds.standing(meter.rule, meter.state, meter.now).remaining == fresh.remaining


def test_what_is_not_used_is_free_at_once_and_what_was_is_not() -> None:
    for algorithm in RATES:
        meter = Meter(limited(algorithm, 10))
        assert meter.ask(10)
        meter.settle(0, 4)
        assert (meter.ask(7), meter.ask(6)) == (False, True), algorithm


def test_use_beyond_the_hold_counts_even_when_its_window_is_over() -> None:
    for algorithm in ("sliding_window", "sliding_log", "fixed_window"):
        meter = Meter(limited(algorithm, 10))
        assert meter.ask(2)
        meter.now += 25 * SECOND
        meter.settle(0, 9)
        assert (meter.ask(4), meter.ask(3)) == (False, True), algorithm


def test_what_was_held_in_a_window_that_is_over_is_not_given_back_in_this_one() -> None:
    for algorithm in ("sliding_window", "sliding_log", "fixed_window"):
        meter = Meter(limited(algorithm, 10))
        assert meter.ask(8)
        meter.now += 25 * SECOND
        assert meter.ask(8)
        meter.settle(0, 0)
        assert (meter.ask(3), meter.ask(2)) == (False, True), algorithm


def test_a_gcra_for_requests_spaces_them() -> None:
    """Without a burst, one at a time; ten in ten seconds are one a second."""
    meter = Meter(limited("gcra", 10, unit="requests"))
    assert (meter.ask(1), meter.ask(1)) == (True, False)
    assert meter.wait(1) == SECOND
    meter.now += SECOND
    assert meter.ask(1)


def test_who_waits_for_a_place_is_told_to_try_again_soon() -> None:
    meter = Meter(limited("concurrency", 2, unit="concurrency"))
    assert meter.ask(2)
    assert (meter.wait(1), meter.wait(3)) == (SOON, NEVER)


def test_a_sliding_log_never_grows_beyond_its_entries_and_never_lets_in_too_much() -> None:
    meter = Meter(limited("sliding_log", 5000))
    for _ in range(LOG_ENTRIES + 500):
        meter.now += 20
        assert meter.ask(1)
    assert len(meter.state) == 2 + 2 * LOG_ENTRIES
    assert holds.standing(meter.rule, meter.state, meter.now).remaining == 5000 - LOG_ENTRIES - 500


def test_whatever_was_used_beyond_a_limit_stays_countable() -> None:
    """No level grows beyond what a script counts exactly, and no standing tells of more than a year or so."""
    for algorithm in ("token_bucket", "sliding_window"):
        meter = Meter(limited(algorithm, 1, per=DAY, burst=1))
        assert meter.ask(1)
        meter.settle(0, 10**12)
        assert meter.state[0] == LEVEL_MAX
        assert holds.standing(meter.rule, meter.state, meter.now).reset == FAR


def test_a_soft_limit_counts_what_it_lets_in() -> None:
    for algorithm in (*RATES, "concurrency"):
        soft = Limit(unit="tokens", algorithm=algorithm, limit=5, per=10 * SECOND, hard=False)
        meter = Meter(rule(soft, slot="a", scope="tenant", subject="a"))
        assert all(meter.ask(4) for _ in range(3)), algorithm
        assert holds.standing(meter.rule, meter.state, meter.now).remaining == 0
