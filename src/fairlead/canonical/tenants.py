"""Who calls and who pays: tiers, tenants, virtual keys, issuers of tokens, and what else is limited.

Values only. It must not know how a key is presented, stored or checked.
"""

from typing import Literal

import msgspec

from fairlead.canonical.limits import Limit, Scope

Signature = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""How a token may be signed. Never `none`, and never with a shared secret: whoever can check one can make one."""


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
    content: bool | None = None
    """Whether its prompts and answers are recorded; None: as for everybody."""


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


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """Which claims of a token say what. A dot leads into a nested object; empty: no claim says it."""

    tenant: str = ""
    tier: str = ""
    tags: tuple[str, ...] = ()
    models: str = ""
    user: str = "sub"


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """Whose tokens stand for callers, and what a caller with such a token is. Times in seconds."""

    issuer: str
    """Exactly as the claim `iss` has it."""
    audience: tuple[str, ...]
    """A token must be for one of them."""
    jwks_url: str = ""
    """Where its keys are published; empty: where its discovery document says."""
    algorithms: tuple[Signature, ...] = ("RS256", "ES256")
    leeway: float = 30.0
    refresh: float = 600.0
    claims: Claims = Claims()
    tenant: str = ""
    """The tenant of all of its callers, where no claim says it; so `tier`."""
    tier: str = ""
    jwks: str = ""
    """Its public keys, a JSON Web Key Set; empty: none have been fetched yet, so no token is proven."""


class Scoped(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a scope beyond tenants and keys: each subject that `match` covers has a count of its own."""

    scope: Scope
    match: str = "*"
    limits: tuple[Limit, ...] = ()


def overridden(base: tuple[Limit, ...], own: tuple[Limit, ...]) -> tuple[Limit, ...]:
    """`base` with every unit that `own` names taken from `own`."""
    units = {limit.unit for limit in own}
    return (*(limit for limit in base if limit.unit not in units), *own)
