"""The settings that a search may try."""

from typing import Any

import pytest
import yaml
from tests.simulator.settings import choice, route, setting

from fairlead.canonical.routing import Choice, Retry
from fairlead.simulator.knobs import with_knob
from fairlead.simulator.space import Place, Space, effective, space
from fairlead.simulator.yaml_lines import lines

THREE = setting(route(choice("a/x", weight=2), choice("b/x"), choice("c/x"), choice("d/x", rank=1)))
NAMES = tuple(f"chat:weight.{name}/x" for name in "abc")


def weights(place: Place) -> tuple[float, ...]:
    return tuple(place[name] for name in NAMES)


def reached(where: Space, grain: float) -> set[tuple[float, ...]]:
    found = (step(where.present) for step in where.steps((grain,)))
    return {weights(place) for place in found if place is not None}


def test_the_present_place_changes_nothing() -> None:
    where = space(THREE)
    assert weights(where.present) == (50, 25, 25)
    assert where.changes(where.present) == {}
    assert where.at(where.present) == THREE
    assert where.distance(where.present) == 0


def test_shares_move_to_round_numbers_and_the_others_keep_their_proportions() -> None:
    assert reached(space(THREE), 20.0) >= {(60, 20, 20), (40, 30, 30), (40, 40, 20), (53.3, 20, 26.7)}


def test_a_share_never_leaves_0_to_100() -> None:
    alone = space(with_knob(with_knob(THREE, "weight.b/x", "0"), "weight.c/x", "0"))
    assert weights(alone.present) == (100, 0, 0)
    assert reached(alone, 20.0) == {(100, 0, 0), (80, 10, 10), (80, 20, 0), (80, 0, 20)}


def test_weights_can_pass_on_from_one_to_the_other() -> None:
    """On the way there is always one that is not 0, in whatever order they are set."""
    where = space(with_knob(setting(route(choice("a/x"), choice("b/x"))), "weight.b/x", "0"))
    place = where.present | {"chat:weight.a/x": 0.0, "chat:weight.b/x": 100.0}
    choices: tuple[Choice, ...] = where.at(place).snapshot.routes[0].choices
    assert [one.weight for one in choices] == [0, 100]


def test_the_present_value_is_a_step_of_its_ladder() -> None:
    where = space(with_knob(THREE, "cooldown.for", "7s"))
    fors = {place["chat:cooldown.for"] for step in where.steps(()) if (place := step(where.present)) is not None}
    assert fors == {5, 7, 10}


def test_a_step_back_takes_one_thing_back() -> None:
    where = space(THREE)
    place = where.present | {"chat:retry.attempts": 3.0, "chat:cooldown.after": 5.0}
    found = [step(place) for step in where.steps(())]
    assert place | {"chat:retry.attempts": 0.0} in found
    assert place | {"chat:cooldown.after": 3.0} in found


def test_starts_are_places_of_the_space() -> None:
    where = space(THREE)
    starts = list(where.starts())
    assert starts[0] == where.present
    assert {weights(place) for place in starts} == {(50, 25, 25), (100, 0, 0), (0, 100, 0), (0, 0, 100)}
    for place in starts:
        where.at(place)
        where.distance(place)


@pytest.mark.parametrize(
    ("attempts", "same", "base", "cap"),
    [
        (0, True, 1.0, 0.5),
        (1, True, 0.2, 16.0),
        (1, False, 0.1, 8.0),
        (2, True, 0.2, 0.4),
        (2, False, 0.2, 0.3),
        (3, False, 0.2, 0.4),
    ],
)
def test_backoff_that_never_acts_makes_no_other_place(attempts: float, same: bool, base: float, cap: float) -> None:
    """At most 0.2 s, 0.4 s and 0.8 s are waited at present."""
    present = space(THREE).present | {"chat:retry.attempts": attempts}
    other = present | {"chat:backoff.base": base, "chat:backoff.cap": cap}
    assert (effective(present) == effective(other)) is same


def test_of_recorded_requests_the_routes_that_serve_them_are_varied() -> None:
    """A wildcard among them, and no route that nobody asks for."""
    asked, idle, served = (
        THREE.snapshot.routes[0],
        route(choice("a/x"), model="idle"),
        route(choice("a/*"), model="g-*"),
    )
    where = space(setting(asked, idle, served), {"chat", "g-4", "unknown"})
    assert {name.partition(":")[0] for name in where.present} == {"chat", "g-*"}


def test_lines_are_what_the_configuration_takes() -> None:
    routes = (route(choice("a/x"), choice("b/llama3:8b")), route(choice("a/x"), model="*", retry=Retry(attempts=2)))
    text = "\n".join(
        lines(
            routes,
            {
                "*:backoff.base": "50ms",
                "*:retry.attempts": "3",
                "chat:cooldown.for": "5s",
                "chat:weight.b/llama3:8b": "30",
                "chat:weight.a/x": "70",
            },
        )
    )
    chat: dict[str, Any] = {
        "model": "chat",
        "deployments": [{"use": "a/x", "weight": 70}, {"use": "b/llama3:8b", "weight": 30}],
        "cooldown": {"for": "5s"},
    }
    assert yaml.safe_load(text) == {
        "routes": [chat, {"model": "*", "retry": {"attempts": 3, "backoff": {"base": "50ms"}}}]
    }


def test_no_change_is_no_line() -> None:
    assert lines(THREE.snapshot.routes, {}) == []
