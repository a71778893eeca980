"""Where shared things are kept, as users write it: `state` and `database`.

Such a URL often holds a password, so it is a secret; unlike other secrets it has a scheme without being a reference.
"""

import re
from collections.abc import Callable

from fairlead.config.secrets import SCHEMES, Secret, parse_local, parse_secret
from fairlead.config.units import Unit

STATE_SCHEMES = ("redis", "rediss", "valkey", "valkeys", "redis+unix", "valkey+unix", "unix")
DATABASE_SCHEMES = ("postgresql", "postgres")
LAST_PORT = 65535
_PORT = re.compile(r"(?:.*@)?(?:\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?")
"""User, host and port; several hosts are the driver's matter."""
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
    if text == "local":
        return LOCAL
    return _parse(text, parse_secret, STATE_SCHEMES, "local, redis://host:6379 or valkey://host:6379")


def parse_database(text: str) -> Secret:
    """A URL of a PostgreSQL, or a reference to one that needs no store: it is opened first. Raises ValueError."""
    return _parse(text, parse_local, DATABASE_SCHEMES, "null, or postgresql://user:password@host/name")


def checked(url: str, schemes: tuple[str, ...], known: str) -> str:
    """`url` if it is one of these schemes and names a host; raises ValueError, which shows nothing of it."""
    match = _URL.fullmatch(url)
    if match is None or match[1] not in schemes:
        raise ValueError(f"must be {known}, or a reference to such a URL")
    if not (match[2].rpartition("@")[2] or "host=" in url or "unix" in match[1]):
        raise ValueError(f"the URL names no host; write {known}")
    if "," not in match[2] and ((at := _PORT.fullmatch(match[2])) is None or int(at[1] or 0) > LAST_PORT):
        raise ValueError(f"the URL's port is no port number; write {known}")
    return url


def _parse(text: str, reference: Callable[[str], Secret], schemes: tuple[str, ...], known: str) -> Secret:
    scheme = text.partition("://")[0]
    if scheme in SCHEMES or text.startswith("os.environ/"):
        return reference(text)
    return Plain(checked(text, schemes, known))


def _shown(secret: Secret) -> str:
    return "local" if secret == LOCAL else secret.reference or "***"


_URLS = "[a-z0-9-]+://.+|os.environ/.+"

STATE = Unit(name="state", parse=parse_state, format=_shown, schema={"type": "string", "pattern": f"^(local|{_URLS})$"})
DATABASE = Unit(
    name="database", parse=parse_database, format=_shown, schema={"type": "string", "pattern": f"^({_URLS})$"}
)
