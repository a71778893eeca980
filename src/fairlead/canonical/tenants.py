"""Who calls and who pays: tiers, tenants, virtual keys, and what else is limited.

Values only. It must not know how a key is presented, stored or checked.
"""

import msgspec

from fairlead.canonical.limits import Limit, Scope


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of limits. `models` empty: every route."""

    name: str
    limits: tuple[Limit, ...] = ()
    models: tuple[str, ...] = ()


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """Who pays. Its limits hold for all of its keys together."""

    name: str
    tier: str = ""
    limits: tuple[Limit, ...] = ()
    """The tier's, with the tenant's own in their place."""
    models: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    residency: str | None = None
    """Only deployments of this region are ever tried."""
    self_hosted: bool = False
    """Only deployments that we run ourselves are ever tried."""
    strict: bool = False
    """Refused, and not served on a local share, while the shared state cannot be reached."""


class VirtualKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client's credential stands for. `models` and `routes` empty: all; `cidrs` empty: from anywhere."""

    id: str
    name: str = ""
    tenant: str = ""
    tier: str = ""
    limits: tuple[Limit, ...] = ()
    """Its own, in the place of its tier's."""
    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    cidrs: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    expires_at: float | None = None
    """Unix seconds."""
    user: str = ""
    """The end user that the credential itself names, whatever the request says; empty: it names none."""


class Scoped(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a scope beyond tenants and keys: each subject that `match` covers has a count of its own."""

    scope: Scope
    match: str = "*"
    limits: tuple[Limit, ...] = ()


def overridden(base: tuple[Limit, ...], own: tuple[Limit, ...]) -> tuple[Limit, ...]:
    """`base` with every unit that `own` names taken from `own`."""
    units = {limit.unit for limit in own}
    return (*(limit for limit in base if limit.unit not in units), *own)
