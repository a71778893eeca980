"""What works and is probably not meant: dead routes, unknown prices, fallbacks that can do less than the first choice.

It looks at a configuration that compiled, and reports warnings only. It must not change anything.
"""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from fairlead.canonical.routing import Choice, Deployment, Route, Snapshot
from fairlead.catalog.table import Catalog
from fairlead.config.callers import overlap
from fairlead.config.model import Config
from fairlead.config.problems import Findings, did_you_mean
from fairlead.config.references import remote_credentials
from fairlead.policy.routes import covers
from fairlead.policy.select import is_within

_ABILITIES: dict[str, Callable[[Deployment], bool | None]] = {
    "tools": lambda deployment: deployment.tools,
    "images": lambda deployment: deployment.vision,
}


class _Subject(msgspec.Struct, frozen=True):
    """All that a check looks at, and where it reports."""

    config: Config
    snapshot: Snapshot
    catalog: Catalog
    findings: Findings


def review(config: Config, snapshot: Snapshot, catalog: Catalog, findings: Findings) -> None:
    """Adds a warning to `findings` for everything suspicious."""
    subject = _Subject(config, snapshot, catalog, findings)
    if not config.routes:
        findings.warn("routes", "there are no routes, so no request can be served")
    _unused_providers(subject)
    _bare_urls(subject)
    _files(subject)
    _idle_tenants(subject)
    _idle_limits(subject)
    _unpriced_budgets(subject)
    priced: set[str] = set()
    for index, route in enumerate(snapshot.routes):
        _dead(subject, index, route)
        _prices(subject, index, route, priced)
        _abilities(subject, index, route)


def _unused_providers(subject: _Subject) -> None:
    used = {choice.deployment.provider for route in subject.snapshot.routes for choice in route.choices}
    for name in subject.config.providers:
        if name not in used:
            subject.findings.warn(f"providers.{name}", f"no route uses the provider {name!r}")


def _bare_urls(subject: _Subject) -> None:
    """The dialect's own path is appended to `base_url`, and hardly any server has it at its root."""
    for name, provider in subject.config.providers.items():
        if provider.base_url and urlsplit(provider.base_url).path in ("", "/"):
            path = f"providers.{name}.base_url"
            subject.findings.warn(path, "the URL has no path; most APIs begin at /v1")


def _files(subject: _Subject) -> None:
    paths = {
        f"providers.{name}.{key}": getattr(provider, key)
        for name, provider in subject.config.providers.items()
        for key in ("ca", "client_cert")
    }
    if subject.config.server.tls is not None:
        paths |= {"server.tls.cert": subject.config.server.tls.cert, "server.tls.key": subject.config.server.tls.key}
    for path, file in paths.items():
        if file is not None and not Path(file).is_file():
            subject.findings.warn(path, f"there is no file {file!r}")


def _dead(subject: _Subject, index: int, route: Route) -> None:
    path = f"routes[{index}]"
    credentials = [choice.deployment.credential for choice in route.choices]
    known = subject.snapshot.secrets.keys() | remote_credentials(subject.config).keys()
    if all(name and name not in known for name in credentials):
        subject.findings.warn(path, f"the route {route.model!r} is dead: none of its deployments has a credential")
    elif not any(choice.weight for choice in route.choices if choice.rank == 0):
        subject.findings.warn(path, f"every first choice of the route {route.model!r} has weight 0")
    targets = {name for other in subject.config.routes for name in other.fallback.to}
    unasked = subject.config.keys and all(
        key.models and not any(overlap(name, route.model) for name in key.models) for key in subject.config.keys
    )
    if unasked and not subject.config.issuers and route.model not in targets:
        subject.findings.warn(path, f"the route {route.model!r} is dead: no key may ask for it")


def _idle_tenants(subject: _Subject) -> None:
    """A tenant whose residency or demands no deployment meets can be served nothing."""
    deployments = {choice.deployment for route in subject.snapshot.routes for choice in route.choices}
    for name, tenant in subject.snapshot.tenants.items():
        fit = [
            deployment
            for deployment in deployments
            if (tenant.residency is None or is_within(deployment.region, tenant.residency))
            and (deployment.self_hosted or not tenant.self_hosted)
        ]
        if deployments and not fit:
            where = f" in {tenant.residency!r}" if tenant.residency else ""
            own = " that is self-hosted" if tenant.self_hosted else ""
            subject.findings.warn(
                f"tenants.{name}", f"no deployment{where}{own} serves the tenant {name!r}; give providers a region"
            )


def _idle_limits(subject: _Subject) -> None:
    """Limits on deployments and tenants that there are not, and tiers that allow models that nobody serves."""
    deployments = {choice.deployment.name for route in subject.snapshot.routes for choice in route.choices}
    tenants = subject.snapshot.tenants.keys()
    for index, limit in enumerate(subject.config.limits):
        path, match = f"limits[{index}].match", limit.match
        if limit.scope == "deployment" and not any(covers(match, name) or "*" in name for name in deployments):
            subject.findings.warn(path, f"no route has the deployment {match!r}{did_you_mean(match, deployments)}")
        if limit.scope == "tenant" and not any(covers(match, name) for name in tenants):
            subject.findings.warn(path, f"there is no tenant {match!r}{did_you_mean(match, tenants)}")
    routes = {route.model for route in subject.config.routes}
    for name, tier in subject.config.tiers.items():
        for place, asked in enumerate(tier.models):
            if not any(overlap(asked, route) for route in routes):
                path = f"tiers.{name}.models[{place}]"
                subject.findings.warn(path, f"no route serves {asked!r}{did_you_mean(asked, routes)}")


def _unpriced_budgets(subject: _Subject) -> None:
    """A budget of a deployment counts what it costs; without a price it counts nothing."""
    unknown = {
        choice.deployment.name
        for route in subject.snapshot.routes
        for choice in route.choices
        if choice.deployment.price is None and not choice.deployment.self_hosted and choice.deployment.model != "*"
    }
    for index, limit in enumerate(subject.config.limits):
        for name in sorted(unknown) if limit.scope == "deployment" and limit.budget else ():
            if covers(limit.match, name):
                why = f"no price is known for {name!r}, so this budget counts nothing for it; give it a price"
                subject.findings.warn(f"limits[{index}].budget", why)


def _prices(subject: _Subject, index: int, route: Route, priced: set[str]) -> None:
    for choice in route.choices:
        deployment = choice.deployment
        silent = deployment.model == "*" or deployment.self_hosted or deployment.price is not None
        if silent or deployment.name in priced:
            continue
        priced.add(deployment.name)
        subject.findings.warn(
            _path_of(choice, index, subject.config),
            f"no price is known for {deployment.name!r}, so its cost will be unknown; give price to set one",
        )


def _abilities(subject: _Subject, index: int, route: Route) -> None:
    """A request that the first deployment can serve must not fail on a later one for what that one cannot do."""
    first, *later = route.choices
    for choice in later:
        lacking = _lacking(first.deployment, choice.deployment)
        if lacking:
            subject.findings.warn(
                _path_of(choice, index, subject.config),
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
