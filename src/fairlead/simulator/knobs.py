"""What can be varied by name: traffic, faults, and what a route says of retries, backoff, cooldown, times and weights.

A name and a text make one setting of another; what a value may be is what `fairlead.yaml` allows. It must not know why
a setting is varied.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from fairlead.canonical.routing import Route
from fairlead.config import model
from fairlead.config.problems import did_you_mean
from fairlead.config.shape import record_of
from fairlead.config.units import Unit, parse_number
from fairlead.simulator.faults import FAULTS, Struck, fault, parse
from fairlead.simulator.setting import EVERYONE, Setting, SettingError, deployments_of, names_of

RPS = "rps"
LEAST_RPS, MOST_RPS = 1e-6, 1e6
"""Requests per second."""
WEIGHT = "weight."
ROUTE_KNOBS = {
    "retry.attempts": ("retry", "attempts"),
    "retry.max_attempts": ("retry", "max_attempts"),
    "retry.budget": ("retry", "budget"),
    "backoff.base": ("retry", "backoff", "base"),
    "backoff.cap": ("retry", "backoff", "cap"),
    "cooldown.after": ("cooldown", "after"),
    "cooldown.for": ("cooldown", "for"),
    "timeout.first_token": ("timeout", "first_token"),
    "timeout.total": ("timeout", "total"),
}
"""Where `fairlead.yaml` has it, below a route."""
WEIGHING = frozenset({"weighted", "least_busy", "sticky"})
"""The strategies to which weights say something."""
_COMPILED = {"timeout": "timeouts", "for": "duration"}
"""What a compiled route calls otherwise than the file."""
_FAULT = re.compile(rf"(.+)\.({'|'.join(FAULTS)})(?::[\d.]+)?", re.ASCII)
"""Whom a fault strikes, and which: without its Retry-After."""


def assigned(text: str) -> tuple[str, str]:
    """The name and the value of `NAME=VALUE`. Raises SettingError."""
    name, equals, value = text.rpartition("=")
    if not equals or not name or not value:
        raise SettingError(f"{text!r} is not NAME=VALUE, such as openai.error=0.05 or retry.attempts=2")
    return name.strip(), value.strip()


def with_knob(setting: Setting, name: str, text: str) -> Setting:
    """The setting in which `name` is what `text` says, as people write it: `0.05`, `2`, `300ms`.

    - `rps`: requests per second of everyone who has no rate of their own.
    - `<provider|deployment|*>.<fault>`, such as `openai.429:2`: the share of its attempts that the fault strikes,
      beside its other faults; for `slow` also `0.05x4`.
    - a name of ROUTE_KNOBS, or `weight.<deployment>`: of every route, or with `<route>:` before it of that one.

    What is only in another of the setting's configurations changes nothing here.

    Raises SettingError for a name that is not there and for a value that cannot be.
    """
    varied = _varied(setting, name, text)
    if varied is not None:
        return varied
    others = (msgspec.structs.replace(setting, snapshot=other) for other in setting.compared)
    if any(_varied(other, name, text) is not None for other in others):
        return setting
    hint = did_you_mean(name, _names(setting))
    known = f"; write rps, PROVIDER.FAULT, {', '.join(ROUTE_KNOBS)} or weight.PROVIDER/MODEL"
    raise SettingError(f"there is nothing called {name!r} to vary{hint or known}")


def covers(name: str, other: str) -> bool:
    """Whether whatever `other` varies is varied by `name` as well: `retry.attempts` covers `chat:retry.attempts`, and
    `openai.429` covers `openai/gpt.429:2`.
    """
    wide, narrow = _FAULT.fullmatch(name), _FAULT.fullmatch(other)
    if wide is None or narrow is None:
        return other == name or other.endswith(f":{name}")
    (target, what), (place, also) = wide.groups(), narrow.groups()
    return what == also and (target in {EVERYONE, place} or place.startswith(f"{target}/"))


def value_of(route: Route, knob: str) -> float:
    """What a route says of one of ROUTE_KNOBS; times in seconds."""
    value: Any = route
    for word in ROUTE_KNOBS[knob]:
        value = getattr(value, _COMPILED.get(word, word))
    return float(value)


def unit_of(knob: str) -> Unit:
    """How people write a value of one of ROUTE_KNOBS."""
    return _unit(model.Route, ROUTE_KNOBS[knob])


def _varied(setting: Setting, name: str, text: str) -> Setting | None:
    """None: the setting's own configuration has nothing of that name."""
    found = (vary(setting, name, text) for vary in (_with_rate, _with_route_knob, _with_weight, _with_fault))
    return next((one for one in found if one is not None), None)


def _with_rate(setting: Setting, name: str, text: str) -> Setting | None:
    if name != RPS:
        return None
    loads = setting.scenario.traffic
    if loads and all(load.rps is not None for load in loads.values()):
        raise SettingError(f"rps={text} changes nothing: every load of the scenario has a rate of its own")
    try:
        rps = parse_number(text)
    except ValueError as error:
        raise SettingError(f"{name}: {error}") from None
    if not LEAST_RPS <= rps <= MOST_RPS:
        raise SettingError(f"{name}: {text!r} is not a number from {LEAST_RPS:g} to {MOST_RPS:g}")
    return msgspec.structs.replace(setting, rps=rps)


def _with_route_knob(setting: Setting, name: str, text: str) -> Setting | None:
    route, knob = _scoped(setting, name)
    if knob not in ROUTE_KNOBS:
        return None
    value = _read(unit_of(knob), name, text)
    path = [_COMPILED.get(word, word) for word in ROUTE_KNOBS[knob]]
    return _with_routes(
        setting, [_put(one, path, value) if route in (one.model, "") else one for one in _routes(setting)]
    )


def _with_weight(setting: Setting, name: str, text: str) -> Setting | None:
    only, knob = _scoped(setting, name)
    deployment = knob.removeprefix(WEIGHT)
    if deployment == knob or deployment not in _deployments(setting):
        return None
    value = _read(_unit(model.Deployment, ("weight",)), name, text)
    meant = [
        route
        for route in _routes(setting)
        if only in (route.model, "") and any(choice.deployment.name == deployment for choice in route.choices)
    ]
    if not meant:
        raise SettingError(f"{name}: {deployment!r} is not in the route {only!r}")
    changed = {route.model: _weighed(route, deployment, value, name) for route in meant if route.select in WEIGHING}
    if not changed:
        raise SettingError(f"{name}: {meant[0].model!r} selects by {meant[0].select!r}, to which weights say nothing")
    return _with_routes(setting, [changed.get(route.model, route) for route in _routes(setting)])


def _with_fault(setting: Setting, name: str, text: str) -> Setting | None:
    targets = sorted(_targets(setting), key=len, reverse=True)
    target = next((one for one in targets if name.startswith(f"{one}.")), None)
    if target is None:
        return None
    what = name.removeprefix(f"{target}.")
    try:
        fault(what)
        struck, *more = parse(f"{what}={text}")
    except ValueError as error:
        raise SettingError(f"{name}: {error}") from None
    if more:
        raise SettingError(f"{name}: {text!r} is not one rate")
    faults = dict(setting.faults)
    for place in (target, *_narrower(setting, target)):
        others = [one for one in _present(setting, place) if one.plain != struck.plain]
        rest = sum(one.rate for one in others)
        if rest + struck.rate > 1.0 + 1e-9:
            raise SettingError(
                f"{name}={text} is too much: the other faults of {place!r} strike {rest:g} of its attempts, and all "
                "together at most 1"
            )
        faults[place] = (*others, struck)
    return msgspec.structs.replace(setting, faults=faults)


def _narrower(setting: Setting, target: str) -> list[str]:
    """Whoever has faults of their own and is a part of the target."""
    own = {*setting.faults, *(name for name, one in setting.scenario.providers.items() if one.faults)}
    if target == EVERYONE:
        return sorted(own - {EVERYONE})
    providers = _deployments(setting)
    return sorted(name for name in own if name != target and providers.get(name) == target)


def _present(setting: Setting, place: str) -> tuple[Struck, ...]:
    """The faults that a provider, a deployment or everyone has now."""
    wider = (place, _deployments(setting).get(place, place))
    for name in (*wider, EVERYONE):
        if name in setting.faults:
            return setting.faults[name]
    told = (setting.scenario.providers[name].faults for name in wider if name in setting.scenario.providers)
    return next((faults for faults in told if faults is not None), ())


def _scoped(setting: Setting, name: str) -> tuple[str, str]:
    """The one route that a name is about (empty: every route), and what of it."""
    models = [route.model for route in _routes(setting) if name.startswith(f"{route.model}:")]
    route = max(models, key=len, default="")
    return route, name.removeprefix(f"{route}:") if route else name


def _weighed(route: Route, deployment: str, weight: float, name: str) -> Route:
    choices = tuple(
        msgspec.structs.replace(choice, weight=weight) if choice.deployment.name == deployment else choice
        for choice in route.choices
    )
    if not any(choice.weight for choice in choices):
        raise SettingError(f"{name}={weight:g}: every weight of {route.model!r} is 0; at least one must be more")
    return msgspec.structs.replace(route, choices=choices)


def _put(struct: Any, path: list[str], value: object) -> Any:
    """The frozen value with another one somewhere in it."""
    name, *rest = path
    return msgspec.structs.replace(struct, **{name: _put(getattr(struct, name), rest, value) if rest else value})


def _read(unit: Unit, name: str, text: str) -> Any:
    try:
        return unit.parse(text)
    except ValueError as error:
        raise SettingError(f"{name}: {error}") from None


@cache
def _unit(section: type[msgspec.Struct], path: tuple[str, ...]) -> Unit:
    """What the configuration says of the values at a place below a section."""
    shape: Any = record_of(section)
    for word in path:
        shape = shape.field(word).shape
    return shape.unit  # type: ignore[no-any-return]


def _routes(setting: Setting) -> tuple[Route, ...]:
    return setting.snapshot.routes


def _with_routes(setting: Setting, routes: list[Route]) -> Setting:
    return msgspec.structs.replace(setting, snapshot=msgspec.structs.replace(setting.snapshot, routes=tuple(routes)))


def _deployments(setting: Setting) -> dict[str, str]:
    """Every deployment, with its provider."""
    return {name: deployment.provider for name, deployment in deployments_of(setting.snapshot).items()}


def _targets(setting: Setting) -> set[str]:
    """Whom faults can strike."""
    return {EVERYONE, *names_of(setting.snapshot)}


def _names(setting: Setting) -> Iterator[str]:
    """Everything that can be varied."""
    yield RPS
    yield from (f"{target}.{name}" for target in _targets(setting) for name in FAULTS)
    of_routes = [*ROUTE_KNOBS, *(WEIGHT + name for name in _deployments(setting))]
    yield from of_routes
    yield from (f"{route.model}:{name}" for route in _routes(setting) for name in of_routes)
