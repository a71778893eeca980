"""How long an address waits that keeps failing, and what counts as one address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.policy.failures import MOST_FAILURES, WITHIN, Failures, failed, source, wait


def after(instants: list[float]) -> Failures | None:
    found: Failures | None = None
    for now in instants:
        found = failed(found, now)
    return found


def test_twenty_failures_in_a_minute_are_the_last() -> None:
    assert wait(None, 0.0) == 0
    assert wait(after([float(n) for n in range(19)]), 19.0) == 0
    assert wait(after([float(n) for n in range(20)]), 19.0) == 41.0


def test_the_wait_ends_when_it_says() -> None:
    found = after([5.0] * 20)
    assert wait(found, 64.9) == pytest.approx(0.1)
    assert wait(found, 65.0) == 0
    assert failed(found, 65.0) == Failures(1, 65.0)


@given(st.lists(st.floats(0, 600), max_size=300).map(sorted))
def test_no_minute_holds_more_failures_than_two_counts(instants: list[float]) -> None:
    """An address that heeds its waits fails at most twice the limit in any minute."""
    found: Failures | None = None
    made: list[float] = []
    for now in instants:
        if not wait(found, now):
            found = failed(found, now)
            made.append(now)
    for now in made:
        assert sum(now <= other < now + WITHIN for other in made) < 2 * MOST_FAILURES


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("unix:socket", "unix:socket"),
    ],
)
def test_an_address_is_as_much_as_its_holder_did_not_choose(peer: str, expected: str) -> None:
    assert source(peer) == expected
