"""What is counted while a simulation runs: lines that widen and lose nothing, rests, openings of a breaker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulator.worlds import arrival

from fairlead.canonical.routing import Answered, Failed
from fairlead.policy.health import Health
from fairlead.simulator.measures import BATCHES, BINS, Line, Measures, Seen
from fairlead.simulator.providers import Played

INSTANTS = st.floats(0, 1e6)


@given(st.lists(st.tuples(INSTANTS, st.integers(1, 100)), max_size=50))
def test_a_line_loses_nothing_as_it_widens(added: list[tuple[float, int]]) -> None:
    line = Line()
    for at, amount in added:
        line.add(at, amount)
    assert sum(line.bins) == sum(amount for _, amount in added)
    assert len(line.bins) <= BINS
    widest = max((at for at, _ in added), default=0.0)
    assert line.width == 1.0 or line.width * BINS / 2 <= widest + line.width
    for at, _ in added:
        assert line.bins[int(at / line.width)] > 0


@given(st.lists(st.tuples(INSTANTS, st.floats(0, 5000)), max_size=20))
def test_spans_add_up_and_no_bin_has_more_than_its_width(spans: list[tuple[float, float]]) -> None:
    line = Line()
    for begin, lasting in spans:
        line.span(begin, begin + lasting)
    assert sum(line.bins) == pytest.approx(sum(lasting for _, lasting in spans), abs=1e-4)
    assert all(value <= line.width * len(spans) + 1e-6 for value in line.bins)


def test_a_span_lies_in_the_bins_that_it_covers() -> None:
    line = Line()
    line.span(1.25, 4.5)
    assert line.bins == [0.0, 0.75, 1.0, 1.0, 0.5]


def test_in_the_end_all_lines_have_bins_of_one_width() -> None:
    """Or else a deployment that nobody asks any more would seem to get more attempts than there are requests."""
    measures = Measures(20, ["s"], ["a", "b"])
    for number in range(10):
        measures.arrives(number, arrival(number))
        measures.seen["a"].load.add(number)
    measures.arrives(10, arrival(BINS * 4 - 1))
    measures.over(BINS * 4.0)
    assert (measures.seen["a"].load.width, measures.seen["a"].load.bins) == (4.0, [4.0, 4.0, 2.0])
    assert measures.arrived.bins[:3] == [4.0, 4.0, 2.0]
    assert (measures.seen["b"].resting.width, measures.seen["b"].resting.bins) == (4.0, [])


def test_requests_belong_to_batches_of_one_size() -> None:
    measures = Measures(1000, ["a"], [])
    assert len(measures.batches) == BATCHES
    for number in range(1000):
        batch, tally = measures.arrives(number, arrival())
        assert batch.senders[0] is tally
    assert [batch.senders[0].requests for batch in measures.batches] == [50] * BATCHES


def test_a_handful_of_requests_has_a_batch_each() -> None:
    assert [len(Measures(total, ["a"], []).batches) for total in (0, 1, 3)] == [1, 1, 3]


def test_an_attempt_counts_where_it_began() -> None:
    """So that the share of attempts that failed is one of those that were made then."""
    measures = Measures(1, ["s"], ["a"])
    batch, seen = measures.batches[0], measures.seen["a"]
    measures.attempt(batch, "a", 3.0, Played(Failed(at=13.0, kind="timeout"), 13.0, waited=0.5))
    measures.attempt(batch, "a", 3.5, Played(Answered(at=4.0), 4.0))
    tried = batch.tried["a"]
    assert (tried.attempts, tried.answered, dict(seen.failures)) == (2, 1, {"timeout": 1})
    assert seen.load.bins == [0, 0, 0, 2]
    assert seen.trouble.bins == [0, 0, 0, 1]
    assert (tried.queued, tried.waited) == (1, 0.5)


def test_what_a_limit_of_ours_stopped_is_no_attempt_on_the_provider() -> None:
    measures = Measures(1, ["s"], ["a"])
    batch, seen = measures.batches[0], measures.seen["a"]
    measures.attempt(batch, "a", 3.0, Played(Failed(at=3.0, kind="limited"), 3.0))
    assert (batch.tried["a"].attempts, batch.tried["a"].limited) == (0, 1)
    assert (dict(seen.failures), seen.load.bins, seen.trouble.bins) == ({}, [], [])


def cooling(until: float, openings: int = 1) -> Health:
    return Health(cooldown_until=until, openings=openings)


def test_rest_counts_once_however_often_it_is_prolonged() -> None:
    seen = Seen()
    seen.learned(0, cooling(15.0), 10.0)
    seen.learned(0, cooling(15.0), 11.0)
    seen.learned(0, cooling(18.0), 12.0)
    seen.over(100.0)
    assert sum(seen.resting.bins) == 8.0
    assert seen.openings == 1


def test_rest_is_counted_up_to_the_end_and_no_further() -> None:
    seen = Seen()
    seen.learned(0, cooling(400.0), 10.0)
    seen.over(30.0)
    assert sum(seen.resting.bins) == 20.0
    assert len(seen.resting.bins) <= 31


def test_workers_rest_apart() -> None:
    seen = Seen()
    seen.learned(0, cooling(15.0), 10.0)
    seen.learned(1, cooling(15.0), 10.0)
    seen.over(15.0)
    assert (sum(seen.resting.bins), seen.openings) == (10.0, 2)


def test_every_opening_of_a_breaker_counts() -> None:
    """One that opens while half open, and one that opens after it had closed."""
    seen = Seen()
    seen.learned(0, cooling(15.0), 10.0)
    seen.learned(0, cooling(25.0, openings=2), 16.0)
    assert seen.openings == 2
    seen.learned(0, Health(cooldown_until=25.0), 27.0)
    assert not seen.states
    seen.learned(0, cooling(35.0), 30.0)
    assert seen.openings == 3
    seen.over(100.0)
    assert sum(seen.resting.bins) == 5.0 + 9.0 + 5.0


def spent(line: Line) -> float:
    return sum(line.bins)


def test_a_breakers_states_are_told_apart_from_a_cooldown() -> None:
    """A Retry-After cools it for 4 s; then it opens for 5 s, and lets probes through until it closes."""
    seen = Seen()
    seen.learned(0, cooling(14.0, openings=0), 10.0)
    seen.learned(0, cooling(25.0), 20.0)
    seen.learned(0, Health(cooldown_until=25.0), 32.0)
    seen.over(100.0)
    assert (spent(seen.resting), spent(seen.open), spent(seen.half_open)) == (9.0, 5.0, 7.0)
    assert seen.open.bins[20:26] == [1.0] * 5
    assert seen.half_open.bins[25:] == [1.0] * 7


def test_a_breaker_stays_half_open_to_the_end() -> None:
    seen = Seen()
    seen.learned(0, cooling(15.0), 10.0)
    seen.over(100.0)
    assert (spent(seen.open), spent(seen.half_open)) == (5.0, 85.0)
