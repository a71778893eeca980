"""Tokens for tests, right and wrong: any header and any claims, signed with joserfc, which never sees them as JSON."""

import json
import warnings
from base64 import urlsafe_b64encode
from functools import cache
from typing import Any

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from fairlead.canonical.tenants import Claims, Issuer

ISSUER = "https://issuer.example/realms/a"
AUDIENCE = "fairlead"
NOW = 1_800_000_000.0


@cache
def rsa(name: str = "rsa", bits: int = 2048) -> RSAKey:
    """A key of its own for each name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the short ones are meant to be
        return RSAKey.generate_key(bits, {"kid": name})


@cache
def ec(name: str = "ec", curve: Any = "P-256") -> ECKey:
    return ECKey.generate_key(curve, {"kid": name})


@cache
def ed(name: str = "ed") -> OKPKey:
    return OKPKey.generate_key("Ed25519", {"kid": name})


def public(*keys: Key | dict[str, Any]) -> str:
    """A JSON Web Key Set of public keys; a dict goes in as it is."""
    return json.dumps({"keys": [key if isinstance(key, dict) else key.as_dict(private=False) for key in keys]})


def issuer(*keys: Key | dict[str, Any], **settings: Any) -> Issuer:
    """An issuer with these keys; without any, with one RSA key."""
    settings.setdefault("issuer", ISSUER)
    settings.setdefault("audience", (AUDIENCE,))
    settings.setdefault("claims", Claims())
    return Issuer(jwks=public(*(keys or (rsa(),))), **settings)


def encoded(part: bytes) -> bytes:
    return urlsafe_b64encode(part).rstrip(b"=")


def claims(**more: Any) -> dict[str, Any]:
    """Claims that are right; None takes one away."""
    found = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": int(NOW), "exp": int(NOW) + 600, **more}
    return {name: value for name, value in found.items() if value is not None}


def token(
    body: dict[str, Any] | bytes | None = None,
    *,
    key: Key | None = None,
    algorithm: str = "RS256",
    header: dict[str, Any] | bytes | None = None,
) -> bytes:
    """A signed token. `header` adds to the usual one, None takes a member away; bytes go in as they are."""
    signer = key or rsa()
    if not isinstance(header, bytes):
        usual = {"alg": algorithm, "kid": signer.kid, "typ": "JWT", **(header or {})}
        header = json.dumps({name: value for name, value in usual.items() if value is not None}).encode()
    payload = body if isinstance(body, bytes) else json.dumps(claims() if body is None else body).encode()
    signed = encoded(header) + b"." + encoded(payload)
    return signed + b"." + encoded(JWSRegistry.algorithms[algorithm].sign(signed, signer))
