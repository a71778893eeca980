"""Ten wrong guesses a minute, by address."""

from fairlead.control import guesses
from fairlead.control.guesses import Guesses


def test_the_eleventh_guess_of_a_minute_waits_for_its_end() -> None:
    seen = Guesses()
    for number in range(10):
        assert not seen.must_wait("a", 100.0 + number)
        seen.missed("a", 100.0 + number)
    assert seen.must_wait("a", 110.0)
    assert seen.must_wait("a", 159.9)
    assert not seen.must_wait("a", 160.0)
    assert not seen.must_wait("b", 110.0)
    seen.missed("a", 160.0)
    assert not seen.must_wait("a", 160.0)


def test_guessing_on_from_time_to_time_never_waits() -> None:
    seen = Guesses()
    for number in range(100):
        assert not seen.must_wait("a", number * 7.0)
        seen.missed("a", number * 7.0)


def test_many_addresses_take_bounded_memory_and_the_latest_are_remembered() -> None:
    seen = Guesses()
    for _ in range(10):
        seen.missed("first", 1.0)
    for number in range(guesses.ADDRESSES):
        for _ in range(10):
            seen.missed(f"a{number}", 2.0)
    assert len(seen._missed) == guesses.ADDRESSES
    assert not seen.must_wait("first", 2.0)
    assert seen.must_wait("a0", 2.0)
