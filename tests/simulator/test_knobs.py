"""What can be varied by name, and what is said of what cannot."""

import msgspec
import pytest
from tests.simulator.settings import choice, route, setting

from fairlead.canonical.routing import Choice
from fairlead.simulator.faults import Struck, parse
from fairlead.simulator.knobs import ROUTE_KNOBS, assigned, covers, value_of, with_knob
from fairlead.simulator.scenario import Load, Provider, Scenario
from fairlead.simulator.setting import Setting, SettingError

BOTH = setting(
    route(choice("openai/gpt", weight=3), choice("anthropic/claude")),
    route(choice("openai/gpt"), model="fast", select="priority"),
    everyone="429=0.2",
    openai="503=0.1,slow=0.2x4",
)


def weights(found: Setting, number: int = 0) -> dict[str, float]:
    choices: tuple[Choice, ...] = found.snapshot.routes[number].choices
    return {one.deployment.name: one.weight for one in choices}


def faults(found: Setting, place: str) -> dict[str, float]:
    return {struck.name: struck.rate for struck in found.faults[place]}


@pytest.mark.parametrize(
    ("knob", "text", "value"),
    [
        ("retry.attempts", "4", 4),
        ("retry.max_attempts", "9", 9),
        ("retry.budget", "0.5", 0.5),
        ("backoff.base", "300ms", 0.3),
        ("backoff.cap", "3s", 3),
        ("cooldown.after", "7", 7),
        ("cooldown.for", "1m", 60),
        ("timeout.first_token", "12s", 12),
        ("timeout.total", "2m", 120),
    ],
)
def test_a_name_of_a_route_varies_that_and_nothing_else(knob: str, text: str, value: float) -> None:
    found = with_knob(BOTH, knob, text)
    for before, after in zip(BOTH.snapshot.routes, found.snapshot.routes, strict=True):
        assert value_of(after, knob) == value
        assert [name for name in ROUTE_KNOBS if value_of(before, name) != value_of(after, name)] == [knob]
    assert msgspec.structs.replace(found, snapshot=BOTH.snapshot) == BOTH


def test_every_name_of_a_route_is_tested() -> None:
    (mark,) = test_a_name_of_a_route_varies_that_and_nothing_else.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in mark.args[1]} == set(ROUTE_KNOBS)


def test_a_route_before_it_means_that_route_only() -> None:
    found = with_knob(BOTH, "fast:retry.attempts", "3")
    assert [one.retry.attempts for one in found.snapshot.routes] == [0, 3]


def test_the_rate_of_requests() -> None:
    assert with_knob(BOTH, "rps", "7.5").rps == 7.5
    assert with_knob(BOTH, "rps", "1,500").rps == with_knob(BOTH, "rps", "1.5k").rps == 1500


def test_a_rate_that_nobody_has_changes_nothing_and_is_refused() -> None:
    busy = msgspec.structs.replace(BOTH, scenario=Scenario(traffic={"everyone": Load(rps=5.0)}))
    with pytest.raises(SettingError, match="a rate of its own"):
        with_knob(busy, "rps", "7.5")


def test_a_weight() -> None:
    assert weights(with_knob(BOTH, "weight.openai/gpt", "0.5")) == {"openai/gpt": 0.5, "anthropic/claude": 1}
    assert weights(with_knob(BOTH, "chat:weight.openai/gpt", "2"), 1) == {"openai/gpt": 1}


def test_names_with_dots_and_colons_in_them_are_found() -> None:
    odd = setting(route(choice("ollama/llama3.1:8b"), choice("ollama/llama3"), model="a:b"))
    assert weights(with_knob(odd, "a:b:weight.ollama/llama3.1:8b", "4"))["ollama/llama3.1:8b"] == 4
    assert faults(with_knob(odd, "ollama/llama3.1:8b.429:0.5", "0.3"), "ollama/llama3.1:8b") == {"429:0.5": 0.3}


def test_a_fault_joins_the_others_of_its_provider() -> None:
    assert faults(with_knob(BOTH, "openai.error", "0.4"), "openai") == {"503": 0.1, "slow": 0.2, "error": 0.4}


def test_a_fault_takes_the_place_of_the_same_one() -> None:
    assert faults(with_knob(BOTH, "openai.503:2", "0.4"), "openai") == {"slow": 0.2, "503:2": 0.4}
    assert with_knob(BOTH, "openai.slow", "0.1x2").faults["openai"][-1].times == 2


def test_a_provider_that_had_none_of_its_own_keeps_those_of_everyone() -> None:
    assert faults(with_knob(BOTH, "anthropic.error", "0.4"), "anthropic") == {"429": 0.2, "error": 0.4}


def test_a_fault_of_everyone_strikes_those_too_that_have_faults_of_their_own() -> None:
    found = with_knob(BOTH, "*.error", "0.4")
    assert faults(found, "*") == {"429": 0.2, "error": 0.4}
    assert faults(found, "openai") == {"503": 0.1, "slow": 0.2, "error": 0.4}


def test_a_fault_of_a_provider_strikes_its_deployments_that_have_faults_of_their_own() -> None:
    own = msgspec.structs.replace(BOTH, faults={"openai/gpt": parse("cut=0.1")})
    assert faults(with_knob(own, "openai.error", "0.4"), "openai/gpt") == {"cut": 0.1, "error": 0.4}


def test_a_fault_joins_those_of_the_scenario() -> None:
    scenario = Scenario(providers={"openai": Provider(faults=parse("cut=0.1"))})
    plain = msgspec.structs.replace(BOTH, scenario=scenario, faults={})
    assert faults(with_knob(plain, "openai.error", "0.4"), "openai") == {"cut": 0.1, "error": 0.4}
    assert faults(with_knob(plain, "*.error", "0.4"), "openai") == {"cut": 0.1, "error": 0.4}


@pytest.mark.parametrize(
    ("name", "other", "covered"),
    [
        ("retry.attempts", "chat:retry.attempts", True),
        ("chat:retry.attempts", "retry.attempts", False),
        ("*.error", "a/one.error", True),
        ("a.error", "a/one.error", True),
        ("a.error", "ab.error", False),
        ("a/one.error", "a.error", False),
        ("a.429", "a.429:2", True),
        ("a.429:0.5", "a/one:7b.429", True),
        ("a.error", "a.503", False),
        ("weight.a/one", "chat:weight.a/one", True),
        ("rps", "rps", True),
    ],
)
def test_what_covers_another(name: str, other: str, covered: bool) -> None:
    assert covers(name, other) is covered


def test_a_fault_can_be_taken_away() -> None:
    assert with_knob(BOTH, "*.429", "0").faults["*"] == (Struck("429", parse("429=0")[0].fault, 0.0),)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("retry.atempts", "1", "did you mean 'retry.attempts'"),
        ("cht:retry.attempts", "1", "did you mean 'chat:retry.attempts'"),
        ("opnai.error", "0.1", "did you mean 'openai.error'"),
        ("openai.eror", "0.1", "did you mean 'error'"),
        ("weight.openai/gtp", "1", "did you mean 'weight.openai/gpt'"),
        ("moon", "1", "nothing called 'moon'.*write rps"),
        ("fast:weight.anthropic/claude", "1", "'anthropic/claude' is not in the route 'fast'"),
        ("fast:weight.openai/gpt", "1", "'fast' selects by 'priority'"),
        ("retry.attempts", "-1", "retry.attempts: '-1' is not a whole number from 0"),
        ("retry.attempts", "1.5", "'1.5' is not a whole number"),
        ("backoff.base", "200", "'200' is not a duration"),
        ("cooldown.for", "0s", "more than zero"),
        ("rps", "0", "is not a number from 1e-06"),
        ("rps", "many", "is not a number"),
        ("openai.error", "1.2", "from 0 to 1"),
        ("openai.error", "-0.1", "from 0 to 1"),
        ("openai.error", "", "no number"),
        ("openai.error", "0.8", "openai.error=0.8 is too much: the other faults of 'openai' strike 0.3"),
        ("*.error", "0.75", "[*].error=0.75 is too much: the other faults of '[*]' strike 0.2|'openai' strike 0.3"),
        ("openai.error", "0.1,503=0.1", "not one rate"),
        ("openai.error:2", "0.1", "only 429 and 503"),
        ("openai.error", "0.1x4", "only 'slow' takes a factor"),
    ],
)
def test_what_cannot_be_is_told_by_name_and_value(name: str, text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        with_knob(BOTH, name, text)


def test_a_route_keeps_one_weight() -> None:
    one = with_knob(BOTH, "weight.openai/gpt", "0")
    with pytest.raises(SettingError, match="every weight of 'chat' is 0"):
        with_knob(one, "chat:weight.anthropic/claude", "0")


def test_an_assignment() -> None:
    assert assigned("a=b:weight.x/y=3") == ("a=b:weight.x/y", "3")
    for text in ("retry.attempts", "=3", "retry.attempts=", ""):
        with pytest.raises(SettingError, match="is not NAME=VALUE"):
            assigned(text)
