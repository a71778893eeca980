"""What works and is probably not meant: dead routes, unknown prices, fallbacks that can do less than the first choice.

It looks at a configuration that compiled, and reports warnings only. It must not change anything.
"""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from fairlead.canonical.routing import Choice, Deployment, Route, Snapshot
from fairlead.catalog.table import Catalog
from fairlead.config.compile import overlap
from fairlead.config.model import Config
from fairlead.config.problems import Findings

_ABILITIES: dict[str, Callable[[Deployment], bool | None]] = {
    "tools": lambda deployment: deployment.tools,
    "images": lambda deployment: deployment.vision,
}


def review(config: Config, snapshot: Snapshot, catalog: Catalog, findings: Findings) -> None:
    """Adds a warning to `findings` for everything suspicious."""
    if not config.routes:
        findings.warn("routes", "there are no routes, so no request can be served")
    _unused_providers(config, snapshot, findings)
    _bare_urls(config, findings)
    _files(config, findings)
    priced: set[str] = set()
    for index, route in enumerate(snapshot.routes):
        _dead(route, index, config, snapshot, findings)
        _prices(route, index, config, catalog, priced, findings)
        _abilities(route, index, config, findings)


def _unused_providers(config: Config, snapshot: Snapshot, findings: Findings) -> None:
    used = {choice.deployment.provider for route in snapshot.routes for choice in route.choices}
    for name in config.providers:
        if name not in used:
            findings.warn(f"providers.{name}", f"no route uses the provider {name!r}")


def _bare_urls(config: Config, findings: Findings) -> None:
    """The dialect's own path is appended to `base_url`, and hardly any server has it at its root."""
    for name, provider in config.providers.items():
        if provider.base_url and urlsplit(provider.base_url).path in ("", "/"):
            path = f"providers.{name}.base_url"
            findings.warn(path, "the URL has no path; most APIs begin at /v1")


def _files(config: Config, findings: Findings) -> None:
    paths = {
        f"providers.{name}.{key}": getattr(provider, key)
        for name, provider in config.providers.items()
        for key in ("ca", "client_cert")
    }
    if config.server.tls is not None:
        paths |= {"server.tls.cert": config.server.tls.cert, "server.tls.key": config.server.tls.key}
    for path, file in paths.items():
        if file is not None and not Path(file).is_file():
            findings.warn(path, f"there is no file {file!r}")


def _dead(route: Route, index: int, config: Config, snapshot: Snapshot, findings: Findings) -> None:
    path = f"routes[{index}]"
    credentials = [choice.deployment.credential for choice in route.choices]
    if all(name and name not in snapshot.secrets for name in credentials):
        findings.warn(path, f"the route {route.model!r} is dead: none of its deployments has a credential")
    elif not any(choice.weight for choice in route.choices if choice.rank == 0):
        findings.warn(path, f"every first choice of the route {route.model!r} has weight 0")
    targets = {name for other in config.routes for name in other.fallback.to}
    unasked = config.keys and all(
        key.models and not any(overlap(name, route.model) for name in key.models) for key in config.keys
    )
    if unasked and route.model not in targets:
        findings.warn(path, f"the route {route.model!r} is dead: no key may ask for it")


def _prices(route: Route, index: int, config: Config, catalog: Catalog, priced: set[str], findings: Findings) -> None:
    for choice in route.choices:
        deployment = choice.deployment
        silent = deployment.model == "*" or deployment.self_hosted or deployment.price is not None
        if silent or deployment.name in priced:
            continue
        priced.add(deployment.name)
        row = catalog.models.get((deployment.provider, deployment.model))
        why = "no price is known for"
        if row is not None and row.price_up_to is not None:
            why = f"beyond {row.price_up_to} prompt tokens there is another price for"
        findings.warn(
            _path_of(choice, index, config),
            f"{why} {deployment.name!r}, so its cost will be unknown; give price to set one",
        )


def _abilities(route: Route, index: int, config: Config, findings: Findings) -> None:
    """A request that the first deployment can serve must not fail on a later one for what that one cannot do."""
    first, *later = route.choices
    for choice in later:
        lacking = _lacking(first.deployment, choice.deployment)
        if lacking:
            findings.warn(
                _path_of(choice, index, config),
                f"{choice.deployment.name!r} {' and '.join(lacking)}; "
                f"the first deployment of {route.model!r}, {first.deployment.name!r}, has more",
            )


def _lacking(first: Deployment, other: Deployment) -> list[str]:
    lacking = [f"takes no {word}" for word, able in _ABILITIES.items() if able(first) and able(other) is False]
    if first.context is not None and other.context is not None and other.context < first.context:
        lacking.append(f"has a context of {other.context} tokens, not {first.context}")
    return lacking


def _path_of(choice: Choice, index: int, config: Config) -> str:
    """Where the choice comes from: a deployment of the route itself, or its fallback."""
    for place, deployment in enumerate(config.routes[index].deployments):
        if deployment.use == choice.deployment.name:
            return f"routes[{index}].deployments[{place}]"
    return f"routes[{index}].fallback.to"
