"""An alert says what was spent, once, and never what was only held."""

import pytest

from fairlead.canonical.limits import DAY, DOLLAR, SECOND, Limit, Rule, rule
from fairlead.control.alerts import LOOKS, Alerts
from fairlead.state.channel import Notice
from fairlead.state.port import Spending

NOON = 20_000 * DAY + DAY // 2
BUDGET = rule(
    Limit(unit="money", algorithm="calendar", limit=10 * DOLLAR, per=DAY, alerts=(50, 80)),
    slot="acme",
    scope="tenant",
    subject="acme",
)


class Books:
    """A ledger of one budget."""

    def __init__(self) -> None:
        self.spent: int | None = 0

    async def past(self, rule: Rule, now: int) -> Spending | None:
        return None if self.spent is None else Spending(rule, ((now - SECOND, self.spent),))


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[int, float]]:
    found = [record.__dict__ for record in caplog.records if record.message == "budget_alert"]
    return [(record["percent"], record["spent"]) for record in found]


def notice(percent: int, period: int = 1) -> Notice:
    return Notice("alert", rule=BUDGET, percent=percent, period=period)


async def test_what_is_held_raises_no_alert_until_it_is_spent(caplog: pytest.LogCaptureFixture) -> None:
    books = Books()
    alerts = Alerts(books.past)
    alerts.heed(notice(80), BUDGET)
    await alerts.look(NOON)
    assert told(caplog) == []
    books.spent = 6 * DOLLAR
    await alerts.look(NOON)
    await alerts.look(NOON)
    assert told(caplog) == [(50, 6.0)], "no other request has to come for it"
    books.spent = 8 * DOLLAR
    await alerts.look(NOON)
    assert told(caplog) == [(50, 6.0), (80, 8.0)]
    assert alerts.count == 2


async def test_it_is_said_once_in_a_period_and_again_in_the_next(caplog: pytest.LogCaptureFixture) -> None:
    books = Books()
    books.spent = 5 * DOLLAR
    alerts = Alerts(books.past)
    for period in (1, 1, 2, 2):
        alerts.heed(notice(50, period), BUDGET)
        await alerts.look(NOON)
    assert told(caplog) == [(50, 5.0), (50, 5.0)]


async def test_a_ledger_that_is_down_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    books = Books()
    books.spent = None
    alerts = Alerts(books.past)
    alerts.heed(notice(50), BUDGET)
    await alerts.look(NOON)
    books.spent = 9 * DOLLAR
    await alerts.look(NOON)
    assert told(caplog) == [(80, 9.0)]


async def test_a_lesser_word_does_not_hide_a_higher_degree(caplog: pytest.LogCaptureFixture) -> None:
    books = Books()
    alerts = Alerts(books.past)
    for percent in (80, 50):
        alerts.heed(notice(percent), BUDGET)
    for books.spent in (5 * DOLLAR, 8 * DOLLAR):
        await alerts.look(NOON)
    assert told(caplog) == [(50, 5.0), (80, 8.0)]


async def test_who_is_not_spoken_of_any_more_is_not_looked_at_for_ever() -> None:
    looks = 0

    async def past(rule: Rule, now: int) -> Spending | None:
        nonlocal looks
        looks += 1
        return Spending(rule, ())

    alerts = Alerts(past)
    alerts.heed(notice(50), BUDGET)
    for _ in range(LOOKS + 5):
        await alerts.look(NOON)
    assert looks == LOOKS
