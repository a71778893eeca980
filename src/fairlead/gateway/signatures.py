"""Signatures of tokens, checked with joserfc. The only file that imports it: nobody without issuers pays for it.

It knows keys and algorithms. It must not know claims, nor read anything of a token but what it is given.
"""

from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key
from joserfc.jws import JWSRegistry

from fairlead.canonical.tenants import Issuer
from fairlead.policy.issuer_keys import PublishedKey, read


class Ring:
    """One issuer's keys, each for the algorithms that both it and the issuer's configuration allow."""

    def __init__(self, issuer: Issuer) -> None:
        self._keys: dict[tuple[str | None, str], Key] = {}
        self._lone: dict[str, Key | None] = {}
        for published in read(issuer.jwks).keys if issuer.jwks else ():
            key = _imported(published)
            if key is None:
                continue
            for algorithm in set(published.algorithms) & set(issuer.algorithms):
                self._keys.setdefault((published.kid, algorithm), key)
                self._lone[algorithm] = None if algorithm in self._lone else key

    def proves(self, kid: str | None, algorithm: str, signed: bytes, signature: bytes) -> bool | None:
        """Whether the key of that id has signed; None: there is no such key for that algorithm.

        A token that names no key is checked with the only one that it can be.
        """
        key = self._lone.get(algorithm) if kid is None else self._keys.get((kid, algorithm))
        if key is None:
            return None
        try:
            return JWSRegistry.algorithms[algorithm].verify(signed, signature, key)
        except (JoseError, ValueError):
            return False


def _imported(published: PublishedKey) -> Key | None:
    """None for a point that is on no curve, or a modulus that is none."""
    try:
        return import_key({**published.jwk})
    except (JoseError, ValueError):
        return None
