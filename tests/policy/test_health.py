"""Cooldown, breaker and retry budget as pure transitions."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.canonical.errors import KINDS
from fairlead.canonical.routing import Cooldown, Failed
from fairlead.policy.health import (
    HEALTHY,
    PROBES,
    RESERVE,
    WINDOW,
    Health,
    Retries,
    answered,
    expected_ttft,
    failed,
    is_available,
    is_cooling,
    retried,
    slowed,
    tried,
)

AFTER_THREE = Cooldown(after=3, duration=30.0)


def fail(health: Health, at: float, kind: str = "server_error", retry_after: float | None = None) -> Health:
    return failed(health, Failed(at=at, kind=kind, retry_after=retry_after), AFTER_THREE, Random(1))


def opened(at: float = 100.0) -> Health:
    health = HEALTHY
    for _ in range(3):
        health = fail(health, at)
    return health


def test_a_few_failures_in_a_row_cool_it_for_about_the_configured_time() -> None:
    health = fail(fail(HEALTHY, 100.0), 100.0)
    assert is_available(health, 100.0)
    health = fail(health, 100.0)
    assert 124.0 <= health.cooldown_until <= 136.0
    assert health.cause == "server_error"


def test_an_answer_between_failures_starts_the_row_anew() -> None:
    health = fail(fail(HEALTHY, 100.0), 100.0)
    health = fail(answered(health, 100.0, 0.1, 10.0), 100.0)
    assert is_available(health, 100.0)


def test_half_of_many_calls_failing_opens_it() -> None:
    health = HEALTHY
    for _ in range(10):
        health = fail(answered(health, 100.0, 0.1, 10.0), 100.0)
    assert is_cooling(health, 100.0)


def test_repeated_opening_lasts_longer_each_time() -> None:
    first = opened()
    again = fail(first, first.cooldown_until + 1.0)
    assert again.cooldown_until - first.cooldown_until - 1.0 > 1.3 * (first.cooldown_until - 100.0)


def test_a_half_open_deployment_gets_a_few_probes_and_two_good_ones_close_it() -> None:
    health = opened()
    now = health.cooldown_until
    for _ in range(PROBES):
        assert is_available(health, now)
        health = tried(health)
    assert not is_available(health, now)
    health = answered(health, now, 0.1, 10.0)
    assert health.openings == 1
    assert is_available(health, now)
    health = answered(health, now, 0.1, 10.0)
    assert health.openings == 0
    assert is_available(health, now)


def test_a_bad_probe_opens_it_again() -> None:
    health = opened()
    now = health.cooldown_until
    assert is_cooling(fail(tried(health), now), now)


def test_a_limited_deployment_is_not_sick() -> None:
    health = HEALTHY
    for _ in range(50):
        health = fail(health, 100.0, "rate_limited", retry_after=2.0)
    assert health.cooldown_until == 102.0
    assert health.openings == 0


def test_a_shorter_cooldown_never_replaces_a_longer_one() -> None:
    health = fail(HEALTHY, 100.0, "rate_limited", retry_after=60.0)
    assert fail(health, 101.0, "rate_limited", retry_after=1.0).cooldown_until == 160.0


def test_retry_after_counts_for_a_sick_one_too() -> None:
    assert fail(HEALTHY, 100.0, "overloaded", retry_after=9.0).cooldown_until == 109.0


def test_one_that_is_nearly_always_slow_is_opened() -> None:
    health = HEALTHY
    for _ in range(25):
        health = answered(health, 100.0, 20.0, 10.0)
    assert is_cooling(slowed(health, 100.0, AFTER_THREE, Random(1)), 100.0)
    assert slowed(health, 100.0, AFTER_THREE, Random(1)).cause == "slow"
    quick = HEALTHY
    for _ in range(25):
        quick = answered(quick, 100.0, 0.1, 10.0)
    assert slowed(quick, 100.0, AFTER_THREE, Random(1)) is quick


def test_an_old_latency_fades() -> None:
    health = answered(HEALTHY, 100.0, 2.0, 10.0)
    assert expected_ttft(health, 100.0) == 2.0
    assert expected_ttft(health, 400.0) < 0.1


@given(
    events=st.lists(
        st.tuples(st.sampled_from(["answer", *sorted(KINDS)]), st.floats(0, 5), st.one_of(st.none(), st.floats(0, 90))),
        max_size=60,
    )
)
def test_a_cooldown_only_ever_grows(events: list[tuple[str, float, float | None]]) -> None:
    """Whatever happens in between, an instant until which a deployment rests is never moved closer."""
    health, now = HEALTHY, 1.0
    for what, gap, retry_after in events:
        now += gap
        before = health.cooldown_until
        health = answered(health, now, 0.1, 1.0) if what == "answer" else fail(health, now, what, retry_after)
        assert health.cooldown_until >= before
        assert health.probes >= 0
        assert health.failures <= health.calls + 1e-9


@given(gaps=st.lists(st.floats(0, 2), max_size=200), share=st.floats(0, 0.5))
def test_retries_never_pass_their_share_and_reserve(gaps: list[float], share: float) -> None:
    """retries <= share * calls + RESERVE * (1 + t / WINDOW), however they are spread."""
    retries, health, now, granted = Retries(), HEALTHY, 1.0, 0
    for gap in gaps:
        now += gap
        health = answered(health, now, 0.1, 1.0)
        while (paid := retried(retries, health, now, share)) is not None:
            retries, granted = paid, granted + 1
    assert granted <= share * len(gaps) + RESERVE * (1 + (now - 1.0) / WINDOW) + 1e-6


def test_a_used_up_budget_comes_back_with_time() -> None:
    used = Retries(RESERVE, 100.0)
    assert retried(used, HEALTHY, 100.0, 0.1) is None
    assert retried(used, HEALTHY, 102.0, 0.1) is not None


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_can_be_learned_from(kind: str) -> None:
    health = fail(HEALTHY, 100.0, kind, retry_after=5.0)
    assert health.cooldown_until == (0.0 if kind == "limited" else 105.0)
    assert health.failures == (1.0 if KINDS[kind].sickness else 0.0)


def test_failures_that_were_under_way_do_not_lengthen_an_open_breaker() -> None:
    """Fifty requests that fail together open it once, not fifty times."""
    health = opened()
    for _ in range(50):
        assert fail(health, 100.5).cooldown_until == health.cooldown_until
        health = fail(health, 100.5)
    assert health.openings == 1


def test_a_limit_of_ours_cools_nothing() -> None:
    """It is looked at by each request anyway, and what was held may be given back before it said."""
    limited = Failed(at=5.0, kind="limited", retry_after=60.0)
    assert failed(HEALTHY, limited, Cooldown(), Random(1)) == HEALTHY
