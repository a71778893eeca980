"""How people write a moment in the past, and how an answer writes one."""

import contextlib
from datetime import UTC, datetime

from fairlead.config.units import parse_duration, shown
from fairlead.database.fit import LAST_INSTANT

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_instant(text: str, now: float) -> float:
    """Unix seconds of `7d` (before `now`), a date, an instant (UTC where it names no zone) or Unix seconds.

    Raises ValueError, in words that can follow the name of what was written.
    """
    with contextlib.suppress(ValueError):
        return max(now - parse_duration(text), 0.0)
    at = _read(text)
    if at is None:
        raise ValueError(f"{shown(text)} is no time; write 7d (ago), 2027-01-31, 2027-01-31T12:00:00Z or Unix seconds")
    if not 0.0 <= at < LAST_INSTANT:
        raise ValueError(f"{shown(text)} is before 1970 or after 5138")
    return at


def format_instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(text: str) -> float | None:
    with contextlib.suppress(ValueError):
        found = datetime.fromisoformat(text)
        return ((found if found.tzinfo else found.replace(tzinfo=UTC)) - _EPOCH).total_seconds()
    with contextlib.suppress(ValueError):
        return float(text)
    return None
