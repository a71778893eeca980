"""A provider comes to what it came to when it was recorded."""

import pytest

from fairlead.canonical.routing import Answered, Failed, Timeouts
from fairlead.simulator.faults import Fault
from fairlead.simulator.recorded import Tried
from fairlead.simulator.recorded_provider import RecordedProvider
from fairlead.simulator.traffic import Arrival

DOWN = Fault(kind="overloaded", status=503)
TIMEOUTS = Timeouts(total=60.0, first_token=10.0)
FAR = 1000.0


def asking(at: float = 0.0, answer: int = 11, *, stream: bool = True) -> Arrival:
    return Arrival(at, 0, "chat", 100, answer, stream)


def provider(*tried: Tried) -> RecordedProvider:
    return RecordedProvider(tried, 100.0, 0.02)


def test_the_attempt_nearest_in_time_is_played_again() -> None:
    known = provider(Tried(100.0, 1.0, 0.1), Tried(110.0, 0.2, fault=DOWN), Tried(120.0, 3.0, 0.1))
    outcomes = [known.play(asking(at), at, TIMEOUTS, FAR).outcome for at in (0.0, 4.9, 5.1, 14.9, 15.1, 90.0)]
    assert [type(one) for one in outcomes] == [Answered, Answered, Failed, Failed, Answered, Answered]
    assert [one.at for one in outcomes] == pytest.approx([1.0, 5.9, 5.3, 15.1, 18.1, 93.0])


def test_a_stream_and_a_whole_answer_end_at_the_same_instant() -> None:
    known = provider(Tried(100.0, 1.0, 0.1))
    stream, whole = (known.play(asking(stream=stream), 0.0, TIMEOUTS, FAR) for stream in (True, False))
    assert (stream.outcome.at, stream.ends) == pytest.approx((1.0, 2.0))
    assert (whole.outcome.at, whole.ends) == pytest.approx((2.0, 2.0))


def test_who_tries_again_meets_what_was_recorded_later() -> None:
    """Soon after a failure the nearest attempt is that very failure; it must not fail twice for being alone."""
    known = provider(Tried(100.0, 0.1, fault=DOWN), Tried(105.0, 1.0, 0.1))
    request = asking()
    assert isinstance(known.play(request, 0.0, TIMEOUTS, FAR).outcome, Failed)
    assert isinstance(known.play(request, 0.2, TIMEOUTS, FAR).outcome, Answered)
    assert isinstance(known.play(asking(0.2), 0.2, TIMEOUTS, FAR).outcome, Failed)


def test_the_last_attempt_stands_for_all_that_follow() -> None:
    known = provider(Tried(100.0, 0.1, fault=DOWN))
    request = asking()
    assert all(isinstance(known.play(request, at, TIMEOUTS, FAR).outcome, Failed) for at in (0.0, 0.5, 1.0))


def test_silence_lasts_as_long_as_somebody_waits() -> None:
    known = provider(Tried(100.0, 3.0, fault=Fault(stage="silence", kind="timeout")))
    outcome = known.play(asking(), 0.0, TIMEOUTS, FAR).outcome
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.at) == ("timeout", 10.0)


def test_nobody_waits_longer_than_the_configuration_says() -> None:
    slow = provider(Tried(100.0, 30.0, 0.1))
    outcome = slow.play(asking(), 0.0, TIMEOUTS, FAR).outcome
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.at) == ("timeout", 10.0)


def test_an_answer_that_broke_breaks_after_as_many_tokens() -> None:
    known = provider(Tried(100.0, 1.0, 0.1, broke_after=5))
    played = known.play(asking(answer=20), 0.0, TIMEOUTS, FAR)
    assert played.broken
    assert int(20 * played.part) == 5
    assert played.ends == pytest.approx(1.4)
    assert known.play(asking(answer=3), 0.0, TIMEOUTS, FAR).broken


def test_a_pace_that_is_not_known_is_the_usual_one() -> None:
    lone = provider(Tried(100.0, 1.0))
    assert lone.play(asking(), 0.0, TIMEOUTS, FAR).ends == pytest.approx(1.2)
    among = provider(Tried(100.0, 1.0), Tried(101.0, 1.0, 0.5), Tried(102.0, 1.0, 0.1), Tried(103.0, 1.0, 0.2))
    assert among.play(asking(), 0.0, TIMEOUTS, FAR).ends == pytest.approx(3.0)


def test_what_it_remembers_of_failures_is_bounded() -> None:
    known = provider(Tried(100.0, 0.1, fault=DOWN))
    for number in range(10_000):
        known.play(asking(float(number)), float(number), TIMEOUTS, 1e9)
    assert len(known._failed) <= 4096
