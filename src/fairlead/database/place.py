"""Where the database is, as a value, and the one error that it gives.

It imports no driver, so that processes which only pass a Place on stay small.
"""

import re
from pathlib import Path

import msgspec

FILE = "fairlead.db"
SCHEMES = ("postgresql://", "postgres://")

_URL = re.compile(
    r"(\w+)://(?:([^:@/?#]*)(?::[^@/?#]*)?@)?((?:\[[^\]@/]*\]|[^:@/?#\[]*)(?::\d*)?(?:/[^@?#]*)?)(?:\?.*)?"
)


class DatabaseError(Exception):
    """The database cannot be used; the message names it and the way out, and holds no password."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The file in `data`, or what `url` names."""

    data: Path
    url: str | None = None

    @property
    def is_embedded(self) -> bool:
        return self.url is None

    @property
    def file(self) -> Path:
        return self.data / FILE

    @property
    def name(self) -> str:
        """As messages and logs have it."""
        return str(self.file) if self.url is None else _without_password(self.url)

    def __repr__(self) -> str:
        return f"Place({self.name})"


def check_url(text: str) -> None:
    """Raises ValueError, in words that can follow the name of the setting, for a URL of no database that we know."""
    if not text.startswith(SCHEMES):
        raise ValueError("must be postgresql://user@host/name, or null for the embedded database")


def _without_password(url: str) -> str:
    """Scheme, user, host and name; of a URL that does not read clearly, nothing but the scheme."""
    parts = _URL.fullmatch(url)
    if parts is None:
        return f"{url.partition('://')[0]}://..."
    scheme, user, rest = parts.groups()
    return f"{scheme}://{user}@{rest}" if user else f"{scheme}://{rest}"
