"""Suggestions in small cases whose best setting is known."""

from collections.abc import Sequence

import msgspec
import pytest
from tests.simulator.settings import BOUNDLESS, choice, route, setting

from fairlead.canonical.routing import Retry
from fairlead.simulator.knobs import assigned, with_knob
from fairlead.simulator.report import Suggestion
from fairlead.simulator.setting import Setting
from fairlead.simulator.simulate import simulate
from fairlead.simulator.slo import parse
from fairlead.simulator.suggest import FEWEST, ROUNDS, suggest
from fairlead.simulator.summary import Summary

NEVER = Retry(attempts=0, on=frozenset())
CHEAP, DEAR = choice("openai/gpt", dollars="1"), choice("anthropic/claude", dollars="3")
TWO = setting(route(CHEAP, DEAR, retry=NEVER, fallback=False), requests=1000, openai="error=0.1")
"""Neither retries nor fallback: what goes to the cheap one fails one time in ten."""


class Counting:
    """Simulates, and counts."""

    def __init__(self) -> None:
        self.settings: list[Setting] = []

    def __call__(self, asked: Setting) -> Summary:
        self.settings.append(asked)
        return simulate(asked)


def suggested(present: Setting, targets: str) -> Suggestion:
    return suggest(present, parse(targets) if targets else (), simulate)


def shares(found: Suggestion) -> Sequence[float]:
    return [float(found.changes[f"chat:weight.{name}"]) for name in ("openai/gpt", "anthropic/claude")]


def test_the_weights_that_just_meet_a_success_rate() -> None:
    """1 - 0.1 * cheap must be 0.95, and surely so: up to half may go to the cheap one, and as much as can be does."""
    start = with_knob(TWO, "weight.anthropic/claude", "9")
    found = suggested(msgspec.structs.replace(start, requests=2000), "success=0.95")
    cheap, dear = shares(found)
    assert found.reached
    assert cheap + dear == 100
    assert 25 <= cheap <= 55
    assert found.after.success_rate.low >= 0.95
    assert found.after.cost_per_1000.high < found.before.cost_per_1000.low


def test_a_lower_target_is_cheaper() -> None:
    low, high = (suggested(TWO, f"success={rate}").after.cost_per_1000 for rate in (0.87, 0.97))
    assert low.high < high.low


def test_everything_goes_to_the_cheap_one_when_fallback_catches_what_fails() -> None:
    caught = setting(route(CHEAP, DEAR, retry=NEVER), requests=1000, openai="error=0.1")
    found = suggested(caught, "success=0.99")
    assert found.reached
    assert shares(found) == [100, 0]


def test_as_many_retries_as_it_takes() -> None:
    """1 - 0.3 ** 4 = 0.9919 is the first that is more than 0.98; the next cost nothing and win hardly anything."""
    alone = setting(route(CHEAP, retry=Retry(attempts=0, budget=BOUNDLESS)), requests=2000, openai="error=0.3")
    found = suggested(alone, "success=0.98")
    assert found.reached
    assert found.changes["chat:retry.attempts"] == "3"


def test_changes_and_lines_and_figures_say_the_same() -> None:
    found = suggested(TWO, "success=0.95")
    varied = TWO
    for name, text in found.changes.items():
        varied = with_knob(varied, *assigned(f"{name}={text}"))
    assert simulate(varied) == found.after
    assert simulate(TWO) == found.before
    cheap, dear = shares(found)
    assert found.lines[:5] == [
        "routes:",
        "  - model: chat",
        "    deployments:",
        f"      - {{use: openai/gpt, weight: {cheap:g}}}",
        f"      - {{use: anthropic/claude, weight: {dear:g}}}",
    ]
    assert [one.met for one in found.targets_after] == [True]


def test_what_cannot_be_reached_is_told_with_what_comes_closest() -> None:
    dead = setting(route(CHEAP, retry=NEVER), requests=1000, openai="error=0.5")
    found = suggested(dead, "success=0.9")
    assert not found.reached
    assert not found.changes
    assert not found.lines
    assert found.told[0] == (
        f"none of the {found.settings} settings that were tried meets success=0.9; the present one comes closest"
    )
    (judged,) = found.targets_after
    assert "and should be at least 0.9: missed by 0." in judged.told
    assert judged.missing == pytest.approx(0.9 - found.after.success_rate.low)


def test_the_closest_is_closer_than_the_present() -> None:
    both = with_knob(TWO, "anthropic.error", "0.04")
    found = suggested(msgspec.structs.replace(both, requests=2000), "success=0.99")
    assert not found.reached
    assert found.targets_after[0].missing < found.targets_before[0].missing
    assert shares(found) == [0, 100]


@pytest.mark.parametrize("targets", ["", "cost=0.1", "latency_p99=1s"])
def test_nothing_is_saved_by_losing_requests(targets: str) -> None:
    """What fails costs nothing; without a target for it, still no more may fail than now."""
    found = suggested(TWO, targets)
    lost, before = (1 - one.success_rate.value for one in (found.after, found.before))
    assert lost <= 1.05 * before + 1e-4


def test_a_setting_that_is_the_best_stays() -> None:
    alone = setting(route(CHEAP, retry=Retry(attempts=0, budget=BOUNDLESS)), requests=1000)
    found = suggested(alone, "success=0.9")
    assert (found.reached, found.changes, found.lines) == (True, {}, [])
    assert found.told[0].startswith("the present setting meets success=0.9, and none of the")


def test_only_what_the_strategy_uses_is_varied() -> None:
    counting = Counting()
    first = setting(route(CHEAP, DEAR, retry=NEVER, select="round_robin"), requests=1000, openai="error=0.1")
    suggest(first, parse("success=0.999"), counting)
    for one in counting.settings:
        assert [choice.weight for choice in one.snapshot.routes[0].choices] == [1, 1]


def test_only_routes_that_are_asked_for_are_varied() -> None:
    idle = route(choice("openai/gpt"), model="idle-*")
    found = suggested(setting(route(CHEAP, DEAR, retry=NEVER), idle, requests=1000, openai="error=0.1"), "success=0.99")
    assert found.changes
    assert all(name.startswith("chat:") for name in found.changes)


def test_no_more_simulations_than_the_rounds_have_and_the_same_each_time() -> None:
    counting, heard = Counting(), list[float]()
    present = msgspec.structs.replace(TWO, requests=2 * FEWEST, rps=200.0)
    found = suggest(present, parse("success=0.95"), counting, tell=heard.append)
    # The places that a round begins with are looked at in any case, and the last ones once more.
    assert len(counting.settings) <= sum(part.simulations + part.kept + 1 for part in ROUNDS)
    assert heard == sorted(heard)
    assert heard[-1] <= 1
    assert found == suggest(present, parse("success=0.95"), simulate)


def test_free_deployments_are_named() -> None:
    unknown = msgspec.structs.replace(DEAR, deployment=msgspec.structs.replace(DEAR.deployment, price=None))
    found = suggested(setting(route(CHEAP, unknown, retry=NEVER), requests=1000), "success=0.9")
    assert found.told[-1] == "no price is known of anthropic/claude, so what they answer counts as free"


def test_what_a_suggestion_makes_worse_is_named() -> None:
    """Money is saved at a provider that fails more often: whoever takes it is told what that costs."""
    found = suggested(TWO, "success=0.5")
    (worse,) = [told for told in found.told if told.startswith("what gets worse by more than chance: ")]
    assert "the success rate (from 0.9" in worse
    assert "the time to the first token" not in worse


def test_retries_are_told_by_all_that_they_cost() -> None:
    alone = setting(route(CHEAP, retry=Retry(attempts=0, budget=BOUNDLESS)), requests=2000, openai="error=0.3")
    found = suggested(alone, "success=0.98")
    (worse,) = [told for told in found.told if told.startswith("what gets worse by more than chance: ")]
    assert "the attempts per request (from 1 to 1." in worse
    assert "the mean of the latency that failed attempts add" in worse


def test_what_was_only_lucky_is_not_suggested() -> None:
    """With the chance of the search three retries seem to cost half; with any other they cost what they cost."""
    alone = setting(route(CHEAP, retry=Retry(attempts=0, budget=BOUNDLESS)), requests=1000, openai="error=0.01")

    def simulated(asked: Setting) -> Summary:
        found = simulate(asked)
        lucky = asked.seed == alone.seed and asked.snapshot.routes[0].retry.attempts == 3
        return msgspec.structs.replace(found, cost_per_1000=found.cost_per_1000.scaled(0.5)) if lucky else found

    assert not suggest(alone, parse("success=0.9"), simulated).changes
