"""What the claims of a proven token mean: whether it holds now and here, and which caller it stands for.

Time is an argument. It must not know how a token is written or signed. Whoever comes this far has a token of an issuer
that is trusted, so a refusal may say what is wrong with it.
"""

import hashlib
import re
from collections.abc import Container
from typing import Any

import msgspec

from fairlead.canonical.errors import GatewayError
from fairlead.canonical.tenants import Issuer, VirtualKey

LATEST = 2**53
"""Unix seconds beyond which an instant is none."""
LONGEST_NAME = 128
MOST_VALUES = 64
"""The most models, and the most values of one tag, that a token may name."""
LONGEST_VALUE = 256

_UNSAFE = re.compile(r"[^A-Za-z0-9._@|+=/-]")
_MISSING = object()


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """The names that claims may name."""

    tenants: Container[str] = frozenset()
    tiers: Container[str] = frozenset()


def check(issuer: Issuer, claims: dict[str, Any], now: float) -> float:
    """Refuses a token that is not for us, or not for now; else gives the instant until which it holds."""
    audience = claims.get("aud")
    meant = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(name, str) and name in issuer.audience for name in meant):
        raise refusal("this token is for another audience; ask its issuer for one that is meant for this gateway")
    expires = _instant(claims, "exp")
    if expires is None:
        raise refusal("this token has no 'exp'; ask its issuer for one that expires")
    if now >= expires + issuer.leeway:
        raise refusal("this token has expired; get a new one from its issuer")
    begins = max(_instant(claims, "nbf") or 0.0, _instant(claims, "iat") or 0.0)
    if now < begins - issuer.leeway:
        raise refusal("this token is not valid yet; compare the issuer's clock with this machine's")
    return expires + issuer.leeway


def caller(issuer: Issuer, claims: dict[str, Any], known: Known, expires_at: float) -> VirtualKey:
    """The caller that a token stands for. A claim that the configuration asks for must be there and usable."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise refusal("this token has no 'sub'; ask its issuer for one that names its subject")
    named = issuer.claims
    tenant = _name(claims, named.tenant) if named.tenant else issuer.tenant
    if tenant and tenant not in known.tenants:
        raise refusal("this token names a tenant that is not known here; ask who runs this gateway to add it")
    tier = _name(claims, named.tier) if named.tier else issuer.tier
    if tier and tier not in known.tiers:
        raise refusal("this token names a tier that is not known here; ask who runs this gateway to add it")
    user = find(claims, named.user)
    return VirtualKey(
        id=f"jwt:{issuer.issuer.partition('://')[2].rstrip('/')}:{cleaned(subject)}",
        tenant=tenant,
        tier=tier,
        tags=tuple((name, value) for name in named.tags for value in _values(claims, name)),
        models=_models(claims, named.models) if named.models else (),
        expires_at=expires_at,
        user=cleaned(user) if isinstance(user, str) else "",
    )


def find(claims: dict[str, Any], name: str) -> Any:
    """The claim of exactly that name, else the one that its dots lead to; a mark of its own where there is none."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for step in name.split("."):
        found = found.get(step, _MISSING) if isinstance(found, dict) else _MISSING
    return found


def cleaned(text: str) -> str:
    """A name as records and counts may hold it: short and plain. Two different texts stay different."""
    plain = _UNSAFE.sub("_", text[:LONGEST_NAME])
    if plain == text:
        return text
    return f"{plain}~{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:32]}"


def refusal(message: str) -> GatewayError:
    return GatewayError("invalid_api_key", message)


def _instant(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST:
        raise refusal(f"{name!r} in this token is not a time; ask its issuer for a new one")
    return float(value)


def _name(claims: dict[str, Any], claim: str) -> str:
    value = find(claims, claim)
    if not isinstance(value, str) or not value:
        raise refusal(f"this token has no name in {claim!r}; ask its issuer to add the claim")
    return value


def _models(claims: dict[str, Any], claim: str) -> tuple[str, ...]:
    """Never empty: that would mean every model."""
    value = find(claims, claim)
    names = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
    if not names or len(names) > MOST_VALUES or not all(_is_short(name) for name in names):
        raise refusal(f"this token names no models in {claim!r}; ask its issuer to add the claim")
    return tuple(names)


def _values(claims: dict[str, Any], claim: str) -> list[str]:
    """The values of a tag; none where the claim is not there or nothing to group by."""
    value = find(claims, claim)
    values = value[:MOST_VALUES] if isinstance(value, list) else [value]
    words = [str(one) if type(one) is int else one for one in values]
    return [word for word in words if _is_short(word)]


def _is_short(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_VALUE and value.isprintable()
