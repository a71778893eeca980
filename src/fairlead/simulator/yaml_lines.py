"""What was varied as lines of `fairlead.yaml`. It must not know why these values were chosen."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fairlead.canonical.routing import Route
from fairlead.simulator.knobs import ROUTE_KNOBS, WEIGHT

Tree = dict[str, Any]
"""Texts, and further trees."""
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")


def lines(routes: Sequence[Route], changes: Mapping[str, str]) -> list[str]:
    """The routes with nothing but what changes, in the order of the file.

    `changes` are by knob with its route, such as `chat:retry.attempts`.
    """
    found = ["routes:"] if changes else []
    for route in routes:
        own = {name.removeprefix(f"{route.model}:"): text for name, text in changes.items()}
        weights = {name.removeprefix(WEIGHT): text for name, text in own.items() if name.startswith(WEIGHT)}
        tree: Tree = {}
        for knob, path in ROUTE_KNOBS.items():
            if knob in own:
                _put(tree, path, own[knob])
        if weights or tree:
            found.append(f"  - model: {_plain(route.model)}")
        if weights:
            found.append("    deployments:")
            names = [choice.deployment.name for choice in route.choices]
            found += [f"      - {{use: {_plain(name)}, weight: {weights[name]}}}" for name in names if name in weights]
        found += _block(tree, "    ")
    return found


def _put(tree: Tree, path: Sequence[str], text: str) -> None:
    first, *rest = path
    if not rest:
        tree[first] = text
        return
    _put(tree.setdefault(first, {}), rest, text)


def _block(tree: Tree, indent: str) -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, str):
            yield f"{indent}{key}: {value}"
        else:
            yield f"{indent}{key}:"
            yield from _block(value, f"{indent}  ")


def _plain(name: str) -> str:
    """In quotes where YAML would take it for something else."""
    return name if _PLAIN.fullmatch(name) else json.dumps(name)
