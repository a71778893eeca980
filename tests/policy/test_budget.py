"""Budgets are never overspent, and their periods are the calendar's."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.canonical.limits import DAY, MONTH, NEVER, SECOND, WEEK, Algorithm, Demand, Granted, Limit, Rule, rule
from fairlead.policy import holds
from fairlead.policy.budget import BUDGETS, period, seeded
from fairlead.policy.limits import GRAINS, SOON, State

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
START = 1_800_000_000 * SECOND
HOUR = 3600 * SECOND
EXAMPLES = settings(max_examples=400, deadline=None)


def budget(algorithm: Algorithm, limit: int, per: int = DAY) -> Rule:
    bound = Limit(unit="money", algorithm=algorithm, limit=limit, per=per)
    return rule(bound, slot="acme", scope="tenant", subject="acme")


class Purse:
    """A budget and its state, what was spent when, and what is held."""

    def __init__(self, limit: Rule) -> None:
        self.rule = limit
        self.state: State = []
        self.now = START
        self.spent: list[tuple[int, int]] = []
        self.open: list[tuple[int, int]] = []

    def ask(self, amount: int) -> bool:
        verdict, new = holds.reserve([Demand(self.rule, amount)], [self.state], self.now)
        if new is None:
            return False
        assert isinstance(verdict, Granted)
        self.state = new[0]
        self.open.append((verdict.since, amount))
        return True

    def settle(self, used: int) -> None:
        since, held = self.open.pop(0)
        self.state = holds.settle(Demand(self.rule, held), self.state, self.now, since, used)
        self.spent.append((self.now, used))

    def wait(self, amount: int) -> int:
        return holds.reserve([Demand(self.rule, amount)], [self.state], self.now)[0].standings[0].wait

    def held(self) -> int:
        return sum(amount for _, amount in self.open)


PAUSES = st.integers(0, HOUR) | st.integers(0, 2 * DAY)
HISTORY = st.lists(st.tuples(PAUSES, st.integers(1, 60), st.none() | st.integers(0, 60)), max_size=50)


def play(purse: Purse, history: list[tuple[int, int, int | None]]) -> None:
    for pause, amount, used in history:
        purse.now += pause
        purse.ask(amount)
        if used is not None and purse.open:
            purse.settle(min(used, purse.open[0][1]))


@EXAMPLES
@given(st.integers(1, 100), st.sampled_from((DAY, WEEK, MONTH)), HISTORY)
def test_no_calendar_period_is_overspent(limit: int, per: int, history: list[tuple[int, int, int | None]]) -> None:
    purse = Purse(budget("calendar", limit, per))
    for step in history:
        play(purse, [step])
        begin, end = period(per, purse.now)
        assert purse.held() + sum(amount for at, amount in purse.spent if begin <= at < end) <= limit


@EXAMPLES
@given(st.integers(1, 100), HISTORY)
def test_no_rolling_window_is_overspent(limit: int, history: list[tuple[int, int, int | None]]) -> None:
    purse = Purse(budget("rolling", limit))
    for step in history:
        play(purse, [step])
        assert purse.held() + sum(amount for at, amount in purse.spent if purse.now - DAY < at) <= limit


@EXAMPLES
@given(st.sampled_from(sorted(BUDGETS)), st.integers(1, 100), HISTORY, st.integers(1, 100))
def test_waiting_as_told_is_enough_unless_it_is_still_held(
    algorithm: Algorithm, limit: int, history: list[tuple[int, int, int | None]], amount: int
) -> None:
    purse = Purse(budget(algorithm, limit))
    play(purse, history)
    while purse.open:
        purse.settle(purse.open[0][1])
    wait = purse.wait(amount)
    if wait == NEVER:
        assert amount > limit
    elif wait:
        purse.now += wait - 1
        assert purse.wait(amount) > 0
        purse.now += 1
        assert purse.wait(amount) == 0


def test_a_rolling_budget_comes_back_within_a_grain_of_its_window() -> None:
    purse = Purse(budget("rolling", 10))
    assert purse.ask(10)
    purse.settle(10)
    assert DAY < purse.wait(1) <= DAY + DAY // GRAINS + 1


@pytest.mark.parametrize("kind", ["calendar", "rolling"])
def test_where_only_what_is_held_stands_in_the_way_it_is_worth_asking_again_soon(kind: Any) -> None:
    purse = Purse(budget(kind, 10))
    assert purse.ask(4)
    purse.settle(4)
    assert purse.ask(6)
    assert purse.wait(6) == SOON
    assert purse.wait(7) > SOON, "four are spent"


def test_a_request_that_ends_in_the_next_period_is_paid_for_by_it() -> None:
    purse = Purse(budget("calendar", 100))
    assert purse.ask(80)
    purse.now += DAY
    assert purse.wait(21) > 0, "it is still held"
    purse.settle(70)
    assert (purse.ask(31), purse.ask(30)) == (False, True)


def test_use_beyond_the_hold_is_counted_and_refuses_the_next() -> None:
    for algorithm in sorted(BUDGETS):
        purse = Purse(budget(algorithm, 100))
        assert purse.ask(10)
        purse.settle(130)
        assert not purse.ask(1), algorithm
        assert holds.standing(purse.rule, purse.state, purse.now).remaining == 0


@EXAMPLES
@given(st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2200, 1, 1)))
def test_periods_are_the_calendars(at: dt.datetime) -> None:
    at = at.replace(tzinfo=dt.UTC)
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    monday = day - dt.timedelta(days=day.weekday())
    first = day.replace(day=1)
    next_first = (first + dt.timedelta(days=31)).replace(day=1)
    assert period(DAY, micros(at)) == (micros(day), micros(day + dt.timedelta(days=1)))
    assert period(WEEK, micros(at)) == (micros(monday), micros(monday + dt.timedelta(days=7)))
    assert period(MONTH, micros(at)) == (micros(first), micros(next_first))


def micros(at: dt.datetime) -> int:
    return (at - EPOCH) // dt.timedelta(microseconds=1)


@EXAMPLES
@given(st.sampled_from(sorted(BUDGETS)), st.integers(1, 100), HISTORY, st.sampled_from((HOUR, -HOUR, -1)))
def test_a_clock_that_jumps_makes_no_money(
    algorithm: Algorithm, limit: int, history: list[tuple[int, int, int | None]], jump: int
) -> None:
    """Case S13: back, nothing comes free; on, no more than the time allows; what is held stays held."""
    purse = Purse(budget(algorithm, limit))
    play(purse, history)
    left = holds.standing(purse.rule, purse.state, purse.now).remaining
    purse.now += jump
    after = holds.standing(purse.rule, purse.state, purse.now).remaining
    assert after <= limit - purse.held()
    if jump < 0:
        assert after <= left
    while purse.open:
        purse.settle(0)
    assert 0 <= holds.standing(purse.rule, purse.state, purse.now).remaining <= limit


@EXAMPLES
@given(st.sampled_from(sorted(BUDGETS)), st.lists(st.tuples(st.integers(-3 * DAY, 0), st.integers(0, 20)), max_size=20))
def test_a_past_that_was_told_counts_as_if_it_had_been_spent_here(
    algorithm: Algorithm, past: list[tuple[int, int]]
) -> None:
    limit = budget(algorithm, 1000)
    spendings = sorted((START + at, amount) for at, amount in past)
    state = seeded(limit, spendings, START)
    begin = period(DAY, START)[0] if algorithm == "calendar" else START - DAY
    counted = 1000 - holds.standing(limit, state, START).remaining
    least = sum(amount for at, amount in spendings if at > begin)
    most = sum(amount for at, amount in spendings if at > begin - DAY // GRAINS - 1)
    assert least <= counted <= (least if algorithm == "calendar" else most)


@pytest.mark.parametrize("algorithm", sorted(BUDGETS))
def test_a_budget_is_kept_for_as_long_as_a_request_may_hold_of_it(algorithm: Algorithm) -> None:
    limit = budget(algorithm, 10)
    assert holds.lifetime(limit, 5) == DAY
    assert holds.lifetime(limit, 2 * DAY) == 2 * DAY


@pytest.mark.parametrize("algorithm", sorted(BUDGETS))
def test_a_soft_budget_counts_what_it_lets_in(algorithm: Algorithm) -> None:
    soft = Limit(unit="money", algorithm=algorithm, limit=5, per=DAY, hard=False)
    purse = Purse(rule(soft, slot="a", scope="tenant", subject="a"))
    assert all(purse.ask(4) for _ in range(3))
    purse.settle(9)
    assert holds.standing(purse.rule, purse.state, purse.now).remaining == 0
