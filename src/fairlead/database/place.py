"""Where the database is, as a value, and the one error that it gives.

It imports no driver, so that processes which only pass a Place on stay small.
"""

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

FILE = "fairlead.db"
SCHEMES = ("postgresql", "postgres")


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
    if text.partition("://")[0] not in SCHEMES:
        raise ValueError("must be postgresql://user@host/name, or null for the embedded database")


def _without_password(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(a URL that cannot be read)"
    user, _, host = parts.netloc.rpartition("@")
    user = user.partition(":")[0]
    return f"{parts.scheme}://{user}@{host}{parts.path}" if user else f"{parts.scheme}://{host}{parts.path}"
