"""A Config + the environment → the Snapshot that workers serve from, and what is wrong with it.

It must not know YAML. Reading files and the environment is passed in, so the same input gives the same Snapshot.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping

import msgspec

from fairlead.canonical import routing
from fairlead.canonical.tenants import VirtualKey
from fairlead.catalog.table import Catalog
from fairlead.config import model, stores, tenancy
from fairlead.config.deployments import Endpoint, deployment_of, endpoints
from fairlead.config.issuers import issuers_of
from fairlead.config.limits import check_limits, check_tenant, check_tier, limits_of, scoped_of, tenants_of, tiers_of
from fairlead.config.problems import Findings, did_you_mean
from fairlead.config.secrets import (
    Fetched,
    Secret,
    UnaskedError,
    UnresolvedError,
    is_placeholder,
    read_text,
    resolve,
)
from fairlead.config.units import is_loopback

SHORTEST_KEY = 20
SHORTEST_PEPPER = 32
GENERATED = "fl_"
"""How a key begins that was made at run time; it carries a checksum."""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What compiling needs of the machine and of us."""

    environ: Mapping[str, str]
    catalog: Catalog
    pepper: bytes = b""
    read_file: Callable[[str], str] = read_text
    shortest_key: int = SHORTEST_KEY
    fetched: Fetched | None = None
    """What stores over the network gave; None: none has been asked, and their absence is no news."""


def compile_config(config: model.Config, world: World, findings: Findings) -> routing.Snapshot | None:
    """The Snapshot, or None once `findings` hold an error."""
    known = endpoints(config, world.catalog, findings)
    own: dict[str, tuple[routing.Choice, ...]] = {}
    for index, route in enumerate(config.routes):
        _unique(route.model, own, f"routes[{index}].model", findings)
        own[route.model] = _choices(route, known, world.catalog, findings, path=f"routes[{index}]")
    _check_fallbacks(config, findings)
    if findings.has_errors():
        return None
    routes = tuple(_route(route, own, config) for route in config.routes)
    secrets = _secrets(known, routes, world, findings)
    pepper = _pepper(config.pepper, "pepper", world, findings) or world.pepper
    snapshot = routing.Snapshot(
        version="",
        routes=routes,
        keys=_keys(config, pepper, world, findings),
        pepper=pepper,
        old_pepper=_pepper(config.old_pepper, "old_pepper", world, findings),
        tiers=tiers_of(config, findings),
        tenants=tenants_of(config, findings),
        scoped=scoped_of(config, findings),
        sharing=_sharing(config, world, findings),
        issuers=issuers_of(config, (), findings),
        secrets=secrets,
        server=_server(config.server),
        open=not (config.keys or config.issuers) and is_loopback(config.server.listen.host),
    )
    _check_exposure(config, world, findings)
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
        value = _resolved(secret, path, world, findings)
        if value is not None:
            values[name] = value
    return values


def _resolved(secret: Secret, path: str, world: World, findings: Findings) -> str | None:
    try:
        return resolve(secret, world.environ, world.read_file, world.fetched)
    except UnaskedError:
        return None
    except UnresolvedError as error:
        findings.warn(path, str(error))
        return None


def _pepper(secret: Secret | None, path: str, world: World, findings: Findings) -> bytes:
    """The bytes of a pepper; empty where none is configured, or none can be used."""
    if secret is None:
        return b""
    value = _resolved(secret, path, world, findings)
    if value is not None and len(value) < SHORTEST_PEPPER:
        findings.error(
            path, f"has {len(value)} characters; it must have {SHORTEST_PEPPER} or more: openssl rand -hex 32 makes one"
        )
    return (value or "").encode()


def _sharing(config: model.Config, world: World, findings: Findings) -> routing.Sharing:
    """Where limits are counted. A URL that cannot be resolved leaves the state to this machine, with a warning."""
    value = _resolved(config.state, "state", world, findings) or "local"
    if value != "local":
        try:
            stores.checked(value, stores.STATE_SCHEMES, "redis://host:6379 or valkey://host:6379")
        except ValueError as error:
            findings.error("state", str(error))
    return routing.Sharing(state=value, instances=config.outage.instances, float=config.outage.budget)


def _keys(config: model.Config, pepper: bytes, world: World, findings: Findings) -> dict[str, VirtualKey]:
    models = {route.model for route in config.routes}
    found: dict[str, VirtualKey] = {}
    names: set[str] = set()
    for index, key in enumerate(config.keys):
        path = f"keys[{index}]"
        if key.name in names:
            findings.error(f"{path}.name", f"a key named {key.name!r} is here already")
        names.add(key.name)
        _check_key(key, config, models, findings, path=path)
        value = _resolved(key.key, f"{path}.key", world, findings)
        if value is None or not _is_usable(value, world, findings, path=f"{path}.key"):
            continue
        digest = hmac.digest(pepper, value.encode(), "sha256").hex()
        if digest in found:
            findings.error(f"{path}.key", f"the keys {found[digest].name!r} and {key.name!r} are the same")
        found[digest] = _key(key)
    return found


def _key(key: tenancy.Key) -> VirtualKey:
    return VirtualKey(
        id=key.name,
        name=key.name,
        tenant=key.tenant or "",
        tier=key.tier or "",
        limits=limits_of(key.limits),
        models=key.models or key.limits.models,
        routes=key.routes,
        cidrs=key.cidrs,
        tags=tuple(sorted(key.tags.items())),
        expires_at=key.expires,
    )


def _is_usable(value: str, world: World, findings: Findings, *, path: str) -> bool:
    """Whether a key that lets others in may be used: nobody can guess it, and it is not of those made at run time."""
    if len(value) < world.shortest_key:
        findings.error(path, f"the key has {len(value)} characters; it must have {world.shortest_key} or more")
        return False
    if is_placeholder(value):
        findings.error(path, "the key is an example's placeholder; make one of your own, with `openssl rand -hex 24`")
        return False
    if value.startswith(GENERATED):
        findings.error(path, f"keys that begin with {GENERATED} are made by 'fairlead keys create'; choose another")
        return False
    return True


def _check_key(key: tenancy.Key, config: model.Config, models: set[str], findings: Findings, *, path: str) -> None:
    check_tenant(key.tenant, config, findings, path=f"{path}.tenant")
    check_tier(key.tier, config, findings, path=f"{path}.tier")
    check_limits(key.limits, findings, path=f"{path}.limits")
    for place, name in enumerate(key.models):
        if not any(overlap(name, route) for route in models):
            findings.error(f"{path}.models[{place}]", f"no route serves {name!r}{did_you_mean(name, models)}")
    for place, name in enumerate(key.routes):
        if name not in models:
            findings.error(f"{path}.routes[{place}]", f"there is no route {name!r}{did_you_mean(name, models)}")


def overlap(one: str, other: str) -> bool:
    """Whether two model names, either of them perhaps a wildcard, can mean the same model."""
    short, long = one.rstrip("*"), other.rstrip("*")
    if one.endswith("*") and other.endswith("*"):
        return short.startswith(long) or long.startswith(short)
    if one.endswith("*"):
        return other.startswith(short)
    return one.startswith(long) if other.endswith("*") else one == other


def _check_exposure(config: model.Config, world: World, findings: Findings) -> None:
    """No keys and no admin key are for loopback only."""
    if not (config.keys or config.issuers or is_loopback(config.server.listen.host)):
        findings.warn(
            "server.listen", "no keys here and not on loopback: only keys of 'fairlead keys create' are taken"
        )
    beyond = not is_loopback(config.admin.listen.host)
    if config.admin.key is None:
        if beyond:
            findings.error("admin.listen", "without admin.key the admin port listens on loopback only")
        return
    value = _resolved(config.admin.key, "admin.key", world, findings)
    if value is not None:
        _is_usable(value, world, findings, path="admin.key")
    elif not config.admin.key.is_remote and beyond:
        findings.error("admin.key", "the admin port would listen beyond loopback without a key")
    elif not config.admin.key.is_remote or world.fetched is not None:
        findings.warn("admin.key", "until it has a value, the admin port answers nobody")


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
        (snapshot.tiers, snapshot.tenants, snapshot.scoped, snapshot.issuers),
        (shared, snapshot.sharing.instances, snapshot.sharing.float),
        hmac.digest(snapshot.pepper, b"pepper" + snapshot.old_pepper, "sha256").hex(),
        macs,
    )
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:12]
