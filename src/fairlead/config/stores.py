"""Where shared things are kept, as users write it: `state` and `database`.

Such a URL often holds a password, so it is a secret; unlike other secrets it has a scheme without being a reference.
"""

import re

from fairlead.config.secrets import SCHEMES, Secret, parse_secret
from fairlead.config.units import Unit

STATE_SCHEMES = ("redis", "rediss", "valkey", "valkeys")
DATABASE_SCHEMES = ("postgresql", "postgres")
_URL = re.compile(r"([a-z][a-z0-9+-]*)://([^/?#\s]*)[^\s]*")


class Plain(Secret):
    """A secret that is never a reference, whatever it looks like."""

    __slots__ = ()

    @property
    def reference(self) -> str | None:
        return None


LOCAL = Plain("local")


def parse_state(text: str) -> Secret:
    """`local`, a URL of a Redis or Valkey, or a reference to one. Raises ValueError."""
    return LOCAL if text == "local" else _parse(text, STATE_SCHEMES, "local, redis://host:6379 or valkey://host:6379")


def parse_database(text: str) -> Secret:
    """A URL of a PostgreSQL, or a reference to one. Raises ValueError."""
    return _parse(text, DATABASE_SCHEMES, "null, or postgresql://user:password@host/name")


def checked(url: str, schemes: tuple[str, ...], known: str) -> str:
    """`url` if it is one of these schemes and names a host; raises ValueError, which shows nothing of it."""
    match = _URL.fullmatch(url)
    if match is None or match[1] not in schemes:
        raise ValueError(f"must be {known}, or a reference to such a URL")
    if not match[2].rpartition("@")[2] and "host=" not in url:
        raise ValueError(f"the URL names no host; write {known}")
    return url


def _parse(text: str, schemes: tuple[str, ...], known: str) -> Secret:
    scheme = text.partition("://")[0]
    if scheme in SCHEMES or "environ/" in text:
        return parse_secret(text)
    return Plain(checked(text, schemes, known))


def _shown(secret: Secret) -> str:
    return "local" if secret == LOCAL else secret.reference or "***"


_URLS = "[a-z0-9-]+://.+|os.environ/.+"

STATE = Unit(name="state", parse=parse_state, format=_shown, schema={"type": "string", "pattern": f"^(local|{_URLS})$"})
DATABASE = Unit(
    name="database", parse=parse_database, format=_shown, schema={"type": "string", "pattern": f"^({_URLS})$"}
)
