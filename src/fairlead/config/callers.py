"""The keys of the configuration, what their MACs are made with, where limits are counted, and who may listen where.

It must not know YAML, routes' deployments or traffic.
"""

import hmac

from fairlead.canonical.credential import MARK
from fairlead.canonical.routing import Sharing
from fairlead.canonical.tenants import VirtualKey
from fairlead.config import stores, tenancy
from fairlead.config.limits import check_limits, check_tenant, check_tier, limits_of
from fairlead.config.model import Config
from fairlead.config.problems import Findings, did_you_mean
from fairlead.config.secrets import Secret, is_placeholder
from fairlead.config.units import is_loopback
from fairlead.config.world import World, is_strong, resolved

SHORTEST_PEPPER = 32
EARLY = "has no value; it is needed at the start, before any store is asked: write it here, or as env:// or file://"
GENERATED = MARK.decode()
"""How a key begins that was made at run time; it carries a checksum."""


def pepper_of(secret: Secret | None, path: str, world: World, findings: Findings) -> bytes:
    """The bytes of a pepper; empty where none is configured, or none can be used."""
    if secret is None:
        return b""
    value = resolved(secret, path, world, findings)
    _check_there(secret, value, path, findings)
    if value is not None and len(value) < SHORTEST_PEPPER:
        findings.error(
            path, f"has {len(value)} characters; it must have {SHORTEST_PEPPER} or more: openssl rand -hex 32 makes one"
        )
    elif value is not None and (is_placeholder(value) or len(set(value)) < SHORTEST_PEPPER // 4):
        findings.error(path, "can be guessed; make one of your own: openssl rand -hex 32")
    return (value or "").encode()


def check_database(config: Config, world: World, findings: Findings) -> None:
    """A database of several machines must be one that each of them can name, with one pepper for all."""
    if config.database is None:
        return
    value = resolved(config.database, "database", world, findings)
    if value is None:
        findings.error("database", EARLY)
    else:
        try:
            stores.checked(value, stores.DATABASE_SCHEMES, "postgresql://user:password@host/name")
        except ValueError as error:
            findings.error("database", str(error))
    if config.pepper is None:
        findings.error(
            "database", "machines that share a database need one pepper; set pepper to what openssl rand -hex 32 makes"
        )


def sharing_of(config: Config, world: World, findings: Findings) -> Sharing:
    """Where limits are counted."""
    value = resolved(config.state, "state", world, findings)
    if value is None:
        findings.error("state", EARLY)
    elif value != "local":
        try:
            stores.checked(value, stores.STATE_SCHEMES, "redis://host:6379 or valkey://host:6379")
        except ValueError as error:
            findings.error("state", str(error))
    return Sharing(state=value or "local", instances=config.outage.instances, float=config.outage.budget)


def _check_there(secret: Secret, value: str | None, path: str, findings: Findings) -> None:
    """Reports what is configured and empty: going on without it would let in, or let through, what it is there for."""
    if value is None and not secret.is_remote:
        findings.error(path, "has no value; give it one, or remove the line")


def keys_of(config: Config, pepper: bytes, world: World, findings: Findings) -> dict[str, VirtualKey]:
    """What each of the configuration's keys stands for, by its MAC."""
    models = {route.model for route in config.routes}
    found: dict[str, VirtualKey] = {}
    names: set[str] = set()
    for index, key in enumerate(config.keys):
        path = f"keys[{index}]"
        if key.name in names:
            findings.error(f"{path}.name", f"a key named {key.name!r} is here already")
        names.add(key.name)
        _check_key(key, config, models, findings, path=path)
        value = resolved(key.key, f"{path}.key", world, findings)
        if value is None or not _is_usable(value, world, findings, path=f"{path}.key"):
            continue
        digest = hmac.digest(pepper, value.encode(), "sha256").hex()
        if digest in found:
            findings.error(f"{path}.key", f"the keys {found[digest].name!r} and {key.name!r} are the same")
        found[digest] = _key(key)
    return found


def check_exposure(config: Config, world: World, findings: Findings) -> None:
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
    value = resolved(config.admin.key, "admin.key", world, findings)
    if value is not None:
        is_strong(value, "admin.key", world, findings)
    elif not config.admin.key.is_remote and beyond:
        findings.error("admin.key", "the admin port would listen beyond loopback without a key")
    elif not config.admin.key.is_remote or world.fetched is not None:
        findings.warn("admin.key", "until it has a value, the admin port answers nobody")


def overlap(one: str, other: str) -> bool:
    """Whether two model names, either of them perhaps a wildcard, can mean the same model."""
    short, long = one.rstrip("*"), other.rstrip("*")
    if one.endswith("*") and other.endswith("*"):
        return short.startswith(long) or long.startswith(short)
    if one.endswith("*"):
        return other.startswith(short)
    return one.startswith(long) if other.endswith("*") else one == other


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
    if value.startswith(GENERATED):
        findings.error(path, f"keys that begin with {GENERATED} are made by 'fairlead keys create'; choose another")
        return False
    return is_strong(value, path, world, findings)


def _check_key(key: tenancy.Key, config: Config, models: set[str], findings: Findings, *, path: str) -> None:
    check_tenant(key.tenant, config, findings, path=f"{path}.tenant")
    check_tier(key.tier, config, findings, path=f"{path}.tier")
    check_limits(key.limits, findings, path=f"{path}.limits")
    for place, name in enumerate(key.models):
        if not any(overlap(name, route) for route in models):
            findings.error(f"{path}.models[{place}]", f"no route serves {name!r}{did_you_mean(name, models)}")
    for place, name in enumerate(key.routes):
        if name not in models:
            findings.error(f"{path}.routes[{place}]", f"there is no route {name!r}{did_you_mean(name, models)}")
