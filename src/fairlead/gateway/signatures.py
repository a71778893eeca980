"""Signatures of tokens, checked with joserfc. The only file that imports it: nobody without issuers pays for it.

It knows keys and algorithms. It must not know claims, nor read anything of a token but what it is given.
"""

from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key
from joserfc.jws import JWSRegistry

from fairlead.policy.issuer_keys import PublishedKey, read


class Ring:
    """One issuer's keys, each for the algorithms that it is for. Which of those are allowed is for others to ask."""

    def __init__(self, jwks: str) -> None:
        self._keys: dict[tuple[str | None, str], Key] = {}
        self._lone: dict[str, Key | None] = {}
        for published in read(jwks).keys if jwks else ():
            key = _imported(published)
            if key is None:
                continue
            for algorithm in published.algorithms:
                self._keys.setdefault((published.kid, algorithm), key)
                self._lone[algorithm] = None if algorithm in self._lone else key

    def proves(self, kid: str | None, algorithm: str, signed: bytes, signature: bytes) -> bool | None:
        """Whether the key of that id has signed; None: perhaps a key has that is not known here.

        A token that names no key is checked with the only one that it can be, and may be of a later one.
        """
        key = self._lone.get(algorithm) if kid is None else self._keys.get((kid, algorithm))
        if key is None:
            return None
        try:
            right = JWSRegistry.algorithms[algorithm].verify(signed, signature, key)
        except (JoseError, ValueError):
            right = False
        return right or (None if kid is None else False)


def _imported(published: PublishedKey) -> Key | None:
    """None for a point that is on no curve, or a modulus that is none."""
    try:
        return import_key({**published.jwk})
    except (JoseError, ValueError):
        return None
