"""Case X1: an address that keeps failing waits, and the table of them stays small."""

import pytest

from fairlead.policy import failures as module
from fairlead.policy.failures import Guesses


def failing(guesses: Guesses, peer: str, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        guesses.failed(peer, now)


def test_x1_an_address_waits_after_twenty_failures_and_no_other_does() -> None:
    made = Guesses()
    failing(made, "192.0.2.1", 19)
    assert made.wait("192.0.2.1", 1.0) == 0
    failing(made, "192.0.2.1", 1)
    assert made.wait("192.0.2.1", 1.0) == 59.0
    assert made.wait("192.0.2.2", 1.0) == 0
    assert made.wait("192.0.2.1", 60.0) == 0


def test_x1_a_holder_of_many_addresses_of_one_network_is_one() -> None:
    made = Guesses()
    for number in range(20):
        made.failed(f"2001:db8::{number:x}", 0.0)
    assert made.wait("2001:db8::ffff", 1.0) == 59.0
    assert made.wait("2001:db8:0:1::1", 1.0) == 0


def test_how_many_failures_are_the_last_is_for_its_owner_to_say() -> None:
    made = Guesses(10)
    failing(made, "192.0.2.1", 9)
    assert made.wait("192.0.2.1", 1.0) == 0
    failing(made, "192.0.2.1", 1)
    assert made.wait("192.0.2.1", 1.0) == 59.0


def test_guessing_on_from_time_to_time_never_waits() -> None:
    made = Guesses(10)
    for number in range(100):
        assert made.wait("192.0.2.1", number * 7.0) == 0
        made.failed("192.0.2.1", number * 7.0)


def test_the_table_is_bounded_and_the_oldest_count_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ADDRESSES", 3)
    made = Guesses()
    failing(made, "192.0.2.0", 20)
    failing(made, "192.0.2.1", 20, now=1.0)
    made.failed("192.0.2.2", 2.0)
    made.failed("192.0.2.3", 3.0)
    assert len(made._failures) == 3
    assert made.wait("192.0.2.0", 4.0) == 0
    assert made.wait("192.0.2.1", 4.0) == 57.0


def test_counts_that_are_over_are_forgotten() -> None:
    made = Guesses()
    for number in range(100):
        made.failed(f"192.0.2.{number}", float(number) / 10)
    made.failed("192.0.2.0", 65.0)
    assert list(made._failures) == [f"192.0.2.{number}" for number in range(51, 100)] + ["192.0.2.0"]
