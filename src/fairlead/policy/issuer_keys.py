"""Which of the keys that an issuer publishes may prove a caller: public ones, for signatures, strong enough.

JSON text in, plain values out. It must not know how keys are fetched, nor how a signature is checked.
"""

from base64 import urlsafe_b64decode
from typing import Any, get_args

import msgspec

from fairlead.canonical.tenants import Signature

MOST_KEYS = 100
SHORTEST_RSA = 2048
"""Bits."""
LONGEST_RSA = 8192
"""Bits; longer ones take milliseconds per token."""
LONGEST_EXPONENT = 8
"""Characters of base64."""

MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
"""The public members of each kind of key; nothing else of a key is kept, and no other kind is taken."""
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
CURVES = {
    ("EC", "P-256"): "ES256",
    ("EC", "P-384"): "ES384",
    ("EC", "P-521"): "ES512",
    ("OKP", "Ed25519"): "EdDSA",
}
RSA = tuple(name for name in get_args(Signature) if name[:2] in ("RS", "PS"))
SPELLINGS = {"Ed25519": "EdDSA"}
"""Newer names of algorithms (RFC 9864)."""


class PublishedKey(msgspec.Struct, frozen=True, kw_only=True):
    """One usable key: `jwk` is its public part, `algorithms` what it may check."""

    kid: str | None
    algorithms: tuple[str, ...]
    jwk: dict[str, str]


class KeySet(msgspec.Struct, frozen=True, kw_only=True):
    keys: tuple[PublishedKey, ...]
    ignored: tuple[str, ...] = ()
    """Why other keys are not used; the reasons name no key material."""

    @property
    def text(self) -> str:
        """The usable keys as a JSON Web Key Set."""
        return msgspec.json.encode({"keys": [key.jwk for key in self.keys]}).decode()


class _Document(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class _UnusableError(Exception):
    """Why a key is not used."""


def read(document: str | bytes) -> KeySet:
    """The keys of a JSON Web Key Set that can be used. ValueError: it is none, or has too many."""
    try:
        found = msgspec.json.decode(document, type=_Document).keys
    except (ValueError, RecursionError):
        raise ValueError("it is not a JSON Web Key Set") from None
    if len(found) > MOST_KEYS:
        raise ValueError(f"it has {len(found)} keys; at most {MOST_KEYS} are taken")
    keys: list[PublishedKey] = []
    ignored: list[str] = []
    for place, jwk in enumerate(found):
        try:
            keys.append(_usable(jwk))
        except _UnusableError as reason:
            ignored.append(f"keys[{place}]: {reason}")
    return KeySet(keys=tuple(keys), ignored=tuple(ignored))


def _usable(jwk: dict[str, Any]) -> PublishedKey:
    kind = jwk.get("kty")
    members = MEMBERS.get(kind) if isinstance(kind, str) else None
    if kind == "oct":
        raise _UnusableError("it is a shared secret; whoever can check with it can sign with it")
    if members is None:
        raise _UnusableError("its kind is not known here")
    if not PRIVATE.isdisjoint(jwk):
        raise _UnusableError("its private part is published with it, so anybody can sign with it")
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise _UnusableError("it is not for signatures")
    kid = jwk.get("kid")
    if not isinstance(kid, str | None) or not all(isinstance(jwk.get(name), str) for name in members):
        raise _UnusableError("it is not complete")
    public = {name: jwk[name] for name in ("kty", *members)}
    own = {"kid": kid} if kid is not None else {}
    algorithms = _algorithms(public, jwk.get("alg"))
    alg = {"alg": algorithms[0]} if "alg" in jwk else {}
    return PublishedKey(kid=kid, algorithms=algorithms, jwk={**public, **own, **alg})


def _algorithms(public: dict[str, str], named: Any) -> tuple[str, ...]:
    """What a key can check, less what it is not meant for."""
    if public["kty"] == "RSA":
        _check_rsa(public)
    able = RSA if public["kty"] == "RSA" else (CURVES.get((public["kty"], public["crv"]), ""),)
    meant = able if named is None else (SPELLINGS.get(named, named),) if isinstance(named, str) else ()
    fit = tuple(name for name in able if name and name in meant)
    if not fit:
        raise _UnusableError("its algorithm or curve is not known here")
    return fit


def _check_rsa(public: dict[str, str]) -> None:
    try:
        bits = int.from_bytes(urlsafe_b64decode(public["n"] + "=="), "big").bit_length()
    except ValueError:
        raise _UnusableError("its modulus is not base64url") from None
    if not SHORTEST_RSA <= bits <= LONGEST_RSA:
        raise _UnusableError(f"it has {bits} bits; from {SHORTEST_RSA} to {LONGEST_RSA} are taken")
    if len(public["e"]) > LONGEST_EXPONENT:
        raise _UnusableError("its exponent is too long")
