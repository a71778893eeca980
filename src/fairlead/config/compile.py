"""A Config + the environment → the Snapshot that workers serve from, and what is wrong with it.

It must not know YAML. Reading files and the environment is passed in, so the same input gives the same Snapshot.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping

import msgspec

from fairlead.canonical import routing
from fairlead.catalog.table import Catalog
from fairlead.config import model, records
from fairlead.config.callers import check_database, check_exposure, keys_of, pepper_of, sharing_of
from fairlead.config.deployments import Endpoint, deployment_of, endpoints, known_price
from fairlead.config.issuers import issuers_of
from fairlead.config.limits import scoped_of, tenants_of, tiers_of
from fairlead.config.otlp import is_exported
from fairlead.config.problems import Findings, did_you_mean
from fairlead.config.secrets import Secret
from fairlead.config.units import format_size, is_loopback
from fairlead.config.world import World, resolved

SMALLEST_JOURNAL = 256 * 1024
"""Bytes below which workers could hardly ever promise anyone room."""


def compile_config(config: model.Config, world: World, findings: Findings) -> routing.Snapshot | None:
    """The Snapshot, or None once `findings` hold an error."""
    known = endpoints(config, world.catalog, findings)
    own: dict[str, tuple[routing.Choice, ...]] = {}
    for index, route in enumerate(config.routes):
        _unique(route.model, own, f"routes[{index}].model", findings)
        own[route.model] = _choices(route, known, world.catalog, findings, path=f"routes[{index}]")
    _check_fallbacks(config, findings)
    _check_journal(config.journal, findings)
    if findings.has_errors():
        return None
    routes = tuple(_route(route, own, config) for route in config.routes)
    secrets = _secrets(known, routes, world, findings)
    tiers = tiers_of(config, findings)
    pepper = pepper_of(config.pepper, "pepper", world, findings) if config.pepper else world.pepper
    snapshot = routing.Snapshot(
        version="",
        routes=routes,
        keys=keys_of(config, pepper, world, findings),
        pepper=pepper,
        old_pepper=pepper_of(config.old_pepper, "old_pepper", world, findings),
        tiers=tiers,
        tenants=tenants_of(config, tiers, findings),
        scoped=scoped_of(config, findings),
        sharing=sharing_of(config, world, findings),
        journal=_journaling(config.journal),
        tracing=is_exported("traces", config.observability.otlp, world.environ),
        content=config.observability.content == "on",
        facts=_facts(known, routes, world.catalog),
        issuers=issuers_of(config, config.tiers, findings),
        secrets=secrets,
        server=_server(config.server),
        open=not (config.keys or config.issuers) and is_loopback(config.server.listen.host),
    )
    check_database(config, world, findings)
    check_exposure(config, world, findings)
    if findings.has_errors():
        return None
    return msgspec.structs.replace(snapshot, version=_version(snapshot))


def fallback_order(name: str, config: model.Config) -> list[str]:
    """The routes that serve a request for the route `name`, itself first, each once."""
    targets = {route.model: route.fallback.to for route in config.routes}
    order: list[str] = []
    waiting = [name]
    while waiting:
        current = waiting.pop(0)
        if current not in order:
            order.append(current)
            waiting = [*targets.get(current, ()), *waiting]
    return order


def _unique(name: str, seen: Mapping[str, object], path: str, findings: Findings) -> None:
    if name in seen:
        findings.error(path, f"a route for {name!r} is here already; a model has one route")


def _choices(
    route: model.Route, known: dict[str, Endpoint], catalog: Catalog, findings: Findings, *, path: str
) -> tuple[routing.Choice, ...]:
    """The route's own choices; ranks count its priorities from 0."""
    if not route.deployments:
        findings.error(f"{path}.deployments", f"route {route.model!r} has no deployment; name at least one")
    ranks = {priority: rank for rank, priority in enumerate(sorted({d.priority for d in route.deployments}))}
    choices: dict[str, routing.Choice] = {}
    for index, spec in enumerate(route.deployments):
        place = findings.known(f"{path}.deployments[{index}].use")
        if spec.use.endswith("/*") and not route.model.endswith("*"):
            findings.error(place, f"{spec.use!r} needs a wildcard route; {route.model!r} is one model")
        if spec.use in choices:
            findings.error(place, f"{spec.use!r} is in this route twice; use weight instead")
        deployment = deployment_of(spec, known, catalog, findings, path=place)
        if deployment is not None:
            choices[spec.use] = routing.Choice(deployment=deployment, weight=spec.weight, rank=ranks[spec.priority])
    if choices and not any(choice.weight for choice in choices.values()):
        findings.error(f"{path}.deployments", "every weight is 0; at least one must be more")
    return tuple(sorted(choices.values(), key=lambda choice: choice.rank))


def _check_fallbacks(config: model.Config, findings: Findings) -> None:
    targets = {route.model: route.fallback.to for route in config.routes}
    for index, route in enumerate(config.routes):
        for place, target in enumerate(route.fallback.to):
            path = f"routes[{index}].fallback.to[{place}]"
            if target not in targets:
                findings.error(path, f"there is no route {target!r}{did_you_mean(target, targets)}")
            elif route.model in _reachable(target, targets):
                findings.error(path, f"a cycle: {target!r} falls back to {route.model!r} again")


def _reachable(start: str, targets: Mapping[str, tuple[str, ...]]) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        current = waiting.pop()
        if current not in reached:
            reached.add(current)
            waiting.extend(targets.get(current, ()))
    return reached


def _route(route: model.Route, own: Mapping[str, tuple[routing.Choice, ...]], config: model.Config) -> routing.Route:
    retry, timeout = route.retry, route.timeout
    return routing.Route(
        model=route.model,
        choices=tuple(_flattened(fallback_order(route.model, config), own)),
        select=route.select,
        retry=routing.Retry(
            attempts=retry.attempts,
            max_attempts=retry.max_attempts,
            backoff=routing.Backoff(base=retry.backoff.base, cap=retry.backoff.cap, jitter=retry.backoff.jitter),
            on=retry.on,
            budget=retry.budget,
        ),
        fallback=route.fallback.on,
        timeouts=routing.Timeouts(
            total=timeout.total, connect=timeout.connect, first_token=timeout.first_token, idle=timeout.idle
        ),
        cooldown=routing.Cooldown(after=route.cooldown.after, duration=route.cooldown.duration),
    )


def _flattened(order: list[str], own: Mapping[str, tuple[routing.Choice, ...]]) -> Iterator[routing.Choice]:
    """The choices of all routes in order, ranks counted on, each deployment at its first place only."""
    seen: set[str] = set()
    base = 0
    for name in order:
        fresh = [choice for choice in own[name] if choice.deployment.name not in seen]
        seen.update(choice.deployment.name for choice in fresh)
        for choice in fresh:
            yield msgspec.structs.replace(choice, rank=base + choice.rank)
        base += 1 + max((choice.rank for choice in own[name]), default=-1)


def _facts(
    known: dict[str, Endpoint], routes: tuple[routing.Route, ...], catalog: Catalog
) -> dict[str, dict[str, routing.Facts]]:
    """What the catalog knows of the models of each provider that a wildcard leads to."""
    deployments = [choice.deployment for route in routes for choice in route.choices]
    wild = {deployment.provider for deployment in deployments if deployment.model == "*"}
    return {
        provider: {
            name: _fact(known[provider], name, catalog) for name in catalog.names_of(known[provider].known_as or "")
        }
        for provider in sorted(wild)
    }


def _fact(endpoint: Endpoint, name: str, catalog: Catalog) -> routing.Facts:
    row = catalog.models.get((endpoint.known_as or "", name))
    return routing.Facts(
        price=known_price(endpoint, name, catalog),
        context=row.context if row else None,
        max_output=row.max_output if row else None,
        tools=row.tools if row else None,
        vision=row.vision if row else None,
    )


def _secrets(
    known: dict[str, Endpoint], routes: tuple[routing.Route, ...], world: World, findings: Findings
) -> dict[str, str]:
    """The credentials that routes need and that have a value; a warning for each that has none."""
    needed = {choice.deployment.credential for route in routes for choice in route.choices} - {""}
    values: dict[str, str] = {}
    for name in sorted(needed):
        endpoint = known[name]
        variable = next((variable for variable in endpoint.candidates if world.environ.get(variable)), None)
        secret = endpoint.secret or (Secret(f"env://{variable}") if variable else None)
        path = f"{endpoint.path}.api_key" if endpoint.secret else endpoint.path
        if secret is None:
            options = " or ".join(endpoint.candidates)
            findings.warn(path, f"provider {name!r} has no credential; set {options} or give api_key")
            continue
        value = resolved(secret, path, world, findings)
        if value is not None:
            values[name] = value
    return values


def _server(server: model.Server) -> routing.Server:
    return routing.Server(
        host=server.listen.host,
        port=server.listen.port,
        workers=server.workers,
        max_body=server.max_body,
        drain=server.drain,
        header_timeout=server.header_timeout,
        body_timeout=server.body_timeout,
        keep_alive=server.keep_alive,
        tls_cert=server.tls.cert if server.tls else None,
        tls_key=server.tls.key if server.tls else None,
    )


def _check_journal(journal: records.Journal, findings: Findings) -> None:
    if journal.max_size < SMALLEST_JOURNAL:
        least = format_size(SMALLEST_JOURNAL)
        size = format_size(journal.max_size)
        findings.error("journal.max_size", f"{size} has no room for the records of requests; give it {least} or more")


def _journaling(journal: records.Journal) -> routing.Journaling:
    return routing.Journaling(
        sync=journal.sync, segment=journal.segment, rotate=journal.rotate, max_size=journal.max_size
    )


def with_secrets(snapshot: routing.Snapshot, secrets: Mapping[str, str]) -> routing.Snapshot:
    """The same snapshot with other credentials, under the version that this makes."""
    changed = msgspec.structs.replace(snapshot, secrets=dict(secrets))
    return msgspec.structs.replace(changed, version=_version(changed))


def _version(snapshot: routing.Snapshot) -> str:
    """A short hash of all content; secrets go in by their MAC, so that the version tells nothing of them."""
    macs = {
        name: hmac.digest(snapshot.pepper, value.encode(), "sha256").hex() for name, value in snapshot.secrets.items()
    }
    shared = hmac.digest(snapshot.pepper, snapshot.sharing.state.encode(), "sha256").hex()
    content = (
        snapshot.routes,
        snapshot.keys,
        snapshot.server,
        snapshot.open,
        (snapshot.journal, snapshot.tracing, snapshot.content),
        (snapshot.tiers, snapshot.tenants, snapshot.scoped, snapshot.issuers),
        (shared, snapshot.sharing.instances, snapshot.sharing.float),
        hmac.digest(snapshot.pepper, b"pepper" + snapshot.old_pepper, "sha256").hex(),
        macs,
    )
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:12]
