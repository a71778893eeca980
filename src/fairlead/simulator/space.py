"""Which settings `suggest` may try: a place in it says every route's retries, backoff, cooldown and weights.

A place is the values of its knobs by name; steps lead from one to the next. It must not know what a place is worth.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial, reduce
from math import floor

import msgspec

from fairlead.canonical.routing import Route
from fairlead.policy.routes import Routes
from fairlead.simulator.knobs import ROUTE_KNOBS, WEIGHING, WEIGHT, unit_of, value_of, with_knob
from fairlead.simulator.setting import Setting

Place = dict[str, float]
"""By knob, such as `chat:retry.attempts`; times in seconds, weights as parts of 100."""
Step = Callable[[Place], Place | None]
"""None: there is no further one in this direction."""

LADDERS = {
    "retry.attempts": (0.0, 1.0, 2.0, 3.0, 4.0, 5.0),
    "cooldown.after": (1.0, 2.0, 3.0, 5.0, 10.0, 20.0),
    "cooldown.for": (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0),
    "backoff.base": (0.05, 0.1, 0.2, 0.5, 1.0, 2.0),
    "backoff.cap": (0.5, 1.0, 2.0, 4.0, 8.0, 16.0),
}
"""The values that are tried, beside the present one."""
STARTS = (
    {"retry.attempts": 0.0, "cooldown.after": 2.0, "cooldown.for": 10.0},
    {"retry.attempts": 3.0, "backoff.base": 0.1, "backoff.cap": 2.0, "cooldown.after": 5.0, "cooldown.for": 10.0},
)
"""Where else to begin: with routes that go elsewhere at once, and with patient ones."""
NEARLY = 1e-6
FAVORITES = 4
"""The deployments of a route that may be all of its traffic to begin with."""


class Space(msgspec.Struct, frozen=True):
    """Every place that can be reached from the present one."""

    setting: Setting
    present: Place
    ladders: dict[str, tuple[float, ...]]
    """By knob."""
    groups: tuple[tuple[str, ...], ...]
    """Knobs that are the weights of deployments among which a route chooses."""

    def starts(self) -> Iterator[Place]:
        """The present place and a few others."""
        yield self.present
        for start in STARTS:
            yield self.present | {name: start.get(_knob(name), self.present[name]) for name in self.ladders}
        for number in range(min(max(map(len, self.groups), default=0), FAVORITES)):
            yield reduce(partial(_favored, number), self.groups, self.present)

    def steps(self, grains: Sequence[float]) -> Iterator[Step]:
        """Every direction in which a place can be left. Shares of traffic move by each of the grains, in parts of 100:
        those of one deployment up or down, and the others keep their proportions.
        """
        for group in self.groups:
            yield partial(self._back, group)
            for grain in grains:
                for number in range(len(group)):
                    yield from (partial(_shift, group, number, way) for way in (grain, -grain))
        for name, ladder in self.ladders.items():
            yield partial(self._back, (name,))
            yield from (partial(_climb, name, ladder, way) for way in (1, -1))

    def changes(self, place: Place) -> dict[str, str]:
        """What is otherwise than at present, by knob, as people write it."""
        changed = {name for name in self.ladders if place[name] != self.present[name]}
        for group in self.groups:
            if any(place[name] != self.present[name] for name in group):
                changed.update(group)
        # Weights of 0 come last, so that no step on the way leaves a route without any.
        return {
            name: _written(name, place[name])
            for name in sorted(place, key=lambda name: place[name] == 0.0)
            if name in changed
        }

    def at(self, place: Place) -> Setting:
        return reduce(lambda setting, change: with_knob(setting, *change), self.changes(place).items(), self.setting)

    def distance(self, place: Place) -> float:
        """Steps from the present place."""
        steps = sum(
            abs(ladder.index(place[name]) - ladder.index(self.present[name])) for name, ladder in self.ladders.items()
        )
        moved = sum(abs(place[name] - self.present[name]) for group in self.groups for name in group) / 2
        return steps + moved / 10.0

    def _back(self, names: tuple[str, ...], place: Place) -> Place | None:
        """Back to what is now, in one thing."""
        back = place | {name: self.present[name] for name in names}
        return back if back != place else None


def space(setting: Setting, asked: Collection[str] = ()) -> Space:
    """What can be varied of the routes that are asked for: weights only where they say something. `asked` are the
    models that requests ask for; empty: the setting's own traffic says it.
    """
    present: Place = {}
    ladders: dict[str, tuple[float, ...]] = {}
    groups: list[tuple[str, ...]] = []
    for route in _serving(setting, asked or _models(setting)):
        first = [choice for choice in route.choices if choice.rank == route.choices[0].rank]
        if route.select in WEIGHING and len(first) > 1:
            total = sum(choice.weight for choice in first)
            shares = {f"{route.model}:{WEIGHT}{one.deployment.name}": one.weight / total * 100.0 for one in first}
            present |= {name: round(share, 1) for name, share in shares.items()}
            groups.append(tuple(shares))
        for knob, ladder in LADDERS.items():
            name = f"{route.model}:{knob}"
            present[name] = value_of(route, knob)
            ladders[name] = tuple(sorted({*ladder, present[name]}))
    return Space(setting, present, ladders, tuple(groups))


def effective(place: Place) -> tuple[float, ...]:
    """Equal for places that cannot differ in what they do: backoff says nothing without retries, nor a cap that no wait
    reaches.
    """
    acting = dict(place)
    for name in place:
        if _knob(name) == "retry.attempts":
            base, cap = (f"{name.removesuffix('retry.attempts')}backoff.{part}" for part in ("base", "cap"))
            longest = place[base] * 2.0 ** (place[name] - 1) if place[name] else 0.0
            acting[base], acting[cap] = min(place[base], longest), min(place[cap], longest)
    return tuple(acting.values())


def _models(setting: Setting) -> list[str]:
    """What the setting's own traffic asks for."""
    plain = [route.model for route in setting.snapshot.routes if not route.model.endswith("*")]
    loads = list(setting.scenario.traffic.values())
    return plain if not loads else [model for load in loads for model in load.model or plain]


def _serving(setting: Setting, models: Collection[str]) -> list[Route]:
    """The routes that some of the models are served by."""
    routes = Routes(setting.snapshot.routes, setting.snapshot.facts)
    serving = {route.model for route in map(routes.find, models) if route is not None}
    return [route for route in setting.snapshot.routes if route.model in serving]


def _knob(name: str) -> str:
    """Without the route."""
    return next((knob for knob in ROUTE_KNOBS if name.endswith(f":{knob}")), "")


def _written(name: str, value: float) -> str:
    knob = _knob(name)
    return f"{value:g}" if not knob or unit_of(knob).plain else unit_of(knob).format(value)


def _climb(name: str, ladder: tuple[float, ...], way: int, place: Place) -> Place | None:
    index = ladder.index(place[name]) + way
    return place | {name: ladder[index]} if 0 <= index < len(ladder) else None


def _shift(group: tuple[str, ...], number: int, way: float, place: Place) -> Place | None:
    """To the next multiple of `way` in its direction, so that shares are round numbers."""
    now = place[group[number]]
    share = min(max((floor(now / way + NEARLY) + 1) * way, 0.0), 100.0) + 0.0  # no -0.0
    return _shared(place, group, number, share) if share != now else None


def _favored(number: int, place: Place, group: tuple[str, ...]) -> Place:
    return _shared(place, group, number, 100.0) if number < len(group) else place


def _shared(place: Place, group: tuple[str, ...], number: int, share: float) -> Place:
    """One of the group gets this share, and the others the rest in their proportions."""
    others = [name for index, name in enumerate(group) if index != number]
    before = sum(place[name] for name in others)
    rest = 100.0 - share
    parts = {name: rest * (place[name] / before if before else 1.0 / len(others)) for name in others}
    return place | {name: round(part, 1) for name, part in parts.items()} | {group[number]: share}
