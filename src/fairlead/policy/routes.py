"""Which route serves a model: the one with exactly that name, else the longest wildcard that covers it."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import quote

import msgspec

from fairlead.canonical.routing import Choice, Deployment, Facts, Route

REMEMBERED = 1024
"""Models of which it is remembered how a wildcard route serves them."""
PLAIN = "/.:@-_"
"""What of a client's model name records and headers have as it is, besides letters and digits."""

Known = Mapping[str, Mapping[str, Facts]]


class Routes:
    """The routes of one snapshot, quick to look up. `known` tells of models behind wildcards, by provider."""

    def __init__(self, routes: Iterable[Route], known: Known = {}) -> None:  # noqa: B006 - never written to
        routes = tuple(routes)
        self._exact = {route.model: route for route in routes if not route.model.endswith("*")}
        wild = [(route.model[:-1], route) for route in routes if route.model.endswith("*")]
        self._wild = sorted(wild, key=lambda entry: -len(entry[0]))
        self._known = known
        self._covering = lru_cache(REMEMBERED)(self._find_covering)

    def find(self, model: str) -> Route | None:
        """The route that serves `model`; None: there is none. What stands behind a wildcard is told of that model."""
        return self._exact.get(model) or self._covering(model)

    def _find_covering(self, model: str) -> Route | None:
        route = next((route for prefix, route in self._wild if model.startswith(prefix)), None)
        if route is None or not self._known:
            return route
        return msgspec.structs.replace(route, choices=tuple(self._told(choice, model) for choice in route.choices))

    def _told(self, choice: Choice, asked: str) -> Choice:
        """A wildcard's deployment with what is known of the very model; what the configuration says stays."""
        deployment = choice.deployment
        facts = self._known.get(deployment.provider, {}).get(served_model(deployment, asked))
        if deployment.model != "*" or facts is None:
            return choice
        told = msgspec.structs.replace(
            deployment,
            price=deployment.price or facts.price,
            context=deployment.context or facts.context,
            max_output=deployment.max_output or facts.max_output,
            tools=facts.tools if deployment.tools is None else deployment.tools,
            vision=facts.vision if deployment.vision is None else deployment.vision,
        )
        return msgspec.structs.replace(choice, deployment=told)


def served_model(deployment: Deployment, asked: str) -> str:
    """The model id to send: a wildcard deployment serves whatever name was asked for."""
    return asked.removeprefix(f"{deployment.provider}/") if deployment.model == "*" else deployment.model


def served_name(deployment: Deployment, asked: str) -> str:
    """`provider/model` as records have it: a wildcard is called by the model that was really asked for."""
    if deployment.model != "*":
        return deployment.name
    return f"{deployment.provider}/{quote(served_model(deployment, asked), safe=PLAIN)}"


def covers(pattern: str, model: str) -> bool:
    """Whether a model name, or a pattern with `*` at its end, stands for `model`."""
    return model.startswith(pattern[:-1]) if pattern.endswith("*") else model == pattern
