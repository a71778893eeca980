"""Which route serves a model: the one with exactly that name, else the longest wildcard that covers it."""

from collections.abc import Iterable

from fairlead.canonical.routing import Route


class Routes:
    """The routes of one snapshot, quick to look up."""

    def __init__(self, routes: Iterable[Route]) -> None:
        routes = tuple(routes)
        self._exact = {route.model: route for route in routes if not route.model.endswith("*")}
        wild = [(route.model[:-1], route) for route in routes if route.model.endswith("*")]
        self._wild = sorted(wild, key=lambda entry: -len(entry[0]))

    def find(self, model: str) -> Route | None:
        """The route that serves `model`; None: there is none."""
        route = self._exact.get(model)
        if route is None:
            route = next((route for prefix, route in self._wild if model.startswith(prefix)), None)
        return route


def covers(pattern: str, model: str) -> bool:
    """Whether a model name, or a pattern with `*` at its end, stands for `model`."""
    return model.startswith(pattern[:-1]) if pattern.endswith("*") else model == pattern
