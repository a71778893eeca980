"""Two simulations of the same requests, compared batch by batch."""

import msgspec
import pytest
from tests.simulator.settings import BOUNDLESS, choice, route, setting

from fairlead.canonical.routing import Retry
from fairlead.simulator.compare import differences
from fairlead.simulator.knobs import with_knob
from fairlead.simulator.report import Difference
from fairlead.simulator.setting import Setting
from fairlead.simulator.simulate import simulate
from fairlead.simulator.statistics import Interval
from fairlead.simulator.summary import FIGURES, figure

PRESENT = msgspec.structs.replace(
    setting(
        route(choice("openai/gpt"), choice("anthropic/claude", dollars="3"), retry=Retry(attempts=1, budget=BOUNDLESS)),
        requests=6000,
        everyone="error=0.1",
    ),
    seed=3,
)


def differ(before: Setting, after: Setting) -> dict[str, Difference]:
    return {one.figure: one for one in differences(simulate(before), simulate(after))}


def width(interval: Interval) -> float:
    return interval.high - interval.low


def test_a_setting_does_not_differ_from_itself() -> None:
    found = differ(PRESENT, PRESENT)
    assert list(found) == list(FIGURES)
    assert all(one.difference == Interval(0.0, 0.0, 0.0) and not one.beyond_chance for one in found.values())


def test_a_difference_is_from_the_first_to_the_second() -> None:
    found = differ(PRESENT, with_knob(PRESENT, "backoff.base", "2s"))["added_latency_ms.mean"]
    assert found.difference.value == pytest.approx(found.after.value - found.before.value)
    assert found.difference.value > 0
    assert found.beyond_chance


def test_what_changes_nothing_is_not_beyond_chance() -> None:
    """Other chance, same setting: hardly any of the figures seem to differ."""
    found = differ(PRESENT, msgspec.structs.replace(PRESENT, seed=2))
    assert sum(one.beyond_chance for one in found.values()) <= 3


def test_a_small_difference_that_two_intervals_do_not_show_is_found() -> None:
    found = differ(PRESENT, with_knob(PRESENT, "*.error", "0.105"))["attempts_per_request"]
    assert found.before.high > found.after.low, "the intervals overlap"
    assert found.beyond_chance


def test_the_same_chance_makes_the_interval_narrower() -> None:
    """Many small differences are compared, so that none of them need be lucky."""
    changes = {"retry.attempts": "2", "*.error": "0.11", "weight.openai/gpt": "1.1", "backoff.base": "300ms"}
    paired = apart = 0.0
    for change in changes.items():
        changed = with_knob(PRESENT, *change)
        paired += width(differ(PRESENT, changed)["attempts_per_request"].difference)
        apart += width(differ(PRESENT, msgspec.structs.replace(changed, seed=2))["attempts_per_request"].difference)
    assert paired < 0.6 * apart


def test_different_numbers_of_requests_are_not_compared() -> None:
    with pytest.raises(ValueError, match="6000 and 2000 requests"):
        differences(simulate(PRESENT), simulate(msgspec.structs.replace(PRESENT, requests=2000)))


def test_batches_are_means_of_the_figures() -> None:
    found = simulate(PRESENT)
    assert set(found.batches) == set(FIGURES)
    for name in ("success_rate", "attempts_per_request", "cost_per_1000"):
        values = [value for value in found.batches[name] if value is not None]
        assert sum(values) / len(values) == pytest.approx(figure(found, name).value)


def test_batches_in_which_nothing_was_answered_are_left_out() -> None:
    dead = with_knob(PRESENT, "*.error", "1")
    found = simulate(dead)
    assert found.batches["latency_ms.p99"] == [None] * 20
    assert not differ(PRESENT, dead)["latency_ms.p99"].beyond_chance
