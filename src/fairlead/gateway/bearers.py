"""Callers who present a token of a configured issuer (a JSON Web Token) instead of a virtual key.

It knows how a token is written, and remembers those that it has proven. It must not ask an issuer anything: the control
process fetches keys, and a token's own header leads nowhere. Until a signature is proven every refusal has the same
words; what a proven token lacks is said plainly (policy.claims).
"""

import json
import math
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NoReturn

import msgspec

from fairlead.canonical.errors import GatewayError
from fairlead.canonical.tenants import Issuer, VirtualKey
from fairlead.policy import claims as policy
from fairlead.policy.claims import Known, refusal

LONGEST = 8192
"""Bytes of a token; longer ones are not looked at."""
LONGEST_KID = 512
MOST_PROVEN = 4096
"""Tokens of which it is remembered what they stand for."""
ASK_EVERY = 10.0
"""Seconds after which an issuer's keys may be asked for once more."""
TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
"""What a token may call itself, in lower case. Logout tokens, DPoP proofs and the like are not for callers."""
REFUSED = frozenset({"jku", "x5u", "jwk", "crit", "b64", "zip"})
"""Members of a header that would have a token say how it is to be checked."""

_THREE_PARTS = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*")


class Bearers:
    """The tokens of one snapshot's issuers. `wanted` is told of an issuer that has signed with a key not known here."""

    def __init__(
        self,
        issuers: tuple[Issuer, ...],
        wall: Callable[[], float],
        *,
        known: Known = Known(),  # noqa: B008 - frozen
        wanted: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        if issuers:
            from fairlead.gateway.signatures import Ring

            self._rings = {issuer.issuer: Ring(issuer.jwks) for issuer in issuers}
        self._wall = wall
        self._known = known
        self._wanted = wanted
        self._asked: dict[str, float] = {}
        self._proven: OrderedDict[bytes, tuple[float, VirtualKey]] = OrderedDict()

    def caller(self, token: bytes) -> VirtualKey | None:
        """Whom the token stands for; None: it is no JSON Web Token. Raises GatewayError `invalid_api_key`."""
        if not self._issuers or token.count(b".") != 2:
            return None
        if len(token) > LONGEST:
            raise refusal(f"this token has {len(token)} bytes; at most {LONGEST} are read")
        digest = sha256(token).digest()
        proven = self._proven.get(digest)
        if proven is None or self._wall() >= proven[0]:
            proven = self._prove(token)
            if proven is None:
                return None
            self._proven[digest] = proven
            if len(self._proven) > MOST_PROVEN:
                self._proven.popitem(last=False)
        self._proven.move_to_end(digest)
        return proven[1]

    def _prove(self, token: bytes) -> tuple[float, VirtualKey] | None:
        """Until when the token holds, and for whom."""
        if _THREE_PARTS.fullmatch(token) is None:
            return None
        head, body, tail = token.split(b".")
        header = _object(head)
        if header is None:
            return None
        claims, signature = _object(body), _decoded(tail)
        if claims is None or not signature or not _is_fit(header):
            _refuse()
        issuer = self._issuer(claims.get("iss"), header.get("alg"))
        signed = token[: len(head) + 1 + len(body)]
        proof = self._rings[issuer.issuer].proves(header.get("kid"), header["alg"], signed, signature)
        if proof is None:
            self._ask_for_keys(issuer.issuer)
        if not proof:
            _refuse()
        until = policy.check(issuer, claims, self._wall())
        return until, policy.caller(issuer, claims, self._known, until)

    def _issuer(self, named: Any, algorithm: Any) -> Issuer:
        issuer = self._issuers.get(named) if isinstance(named, str) else None
        if issuer is None or algorithm not in issuer.algorithms:
            _refuse()
        return issuer

    def _ask_for_keys(self, issuer: str) -> None:
        now = self._wall()
        if not 0 <= now - self._asked.get(issuer, -math.inf) < ASK_EVERY:
            self._asked[issuer] = now
            self._wanted(issuer)


def inherited(issuers: tuple[Issuer, ...], former: tuple[Issuer, ...]) -> tuple[Issuer, ...]:
    """`issuers`, those without keys with the keys that we had: a control process that has just begun has none yet."""
    keys = {(issuer.issuer, issuer.jwks_url): issuer.jwks for issuer in former}
    return tuple(
        issuer if issuer.jwks else msgspec.structs.replace(issuer, jwks=keys.get((issuer.issuer, issuer.jwks_url), ""))
        for issuer in issuers
    )


def _refuse() -> NoReturn:
    """One message for every token that is not proven, so that it teaches nothing about what would be."""
    raise GatewayError(
        "invalid_api_key",
        "this token is not accepted here; send one that a configured issuer has signed, as it was issued",
    )


def _is_fit(header: dict[str, Any]) -> bool:
    kid, kind = header.get("kid", ""), header.get("typ", "JWT")
    return (
        REFUSED.isdisjoint(header)
        and isinstance(kid, str)
        and len(kid) <= LONGEST_KID
        and isinstance(kind, str)
        and kind.lower() in TYPES
    )


def _object(part: bytes) -> dict[str, Any] | None:
    """The JSON object that a part of a token holds; None: it is none, or two readers could read it differently."""
    raw = _decoded(part)
    try:
        found = json.loads((raw or b"").decode(), object_pairs_hook=_once, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a member is there twice")
    return found


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _decoded(part: bytes) -> bytes | None:
    """The bytes of a base64url part; None: it is none, or not written as everybody writes it."""
    try:
        raw = urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError:
        return None
    return raw if urlsafe_b64encode(raw).rstrip(b"=") == part else None
