"""How long a provider asks to be left alone, read from the headers of its answer.

It knows the spellings of `retry-after`. It must not know what anyone does with the answer.
"""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST = 1_000_000.0
"""Seconds; a longer wait is taken for nonsense."""

_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+", re.ASCII)


def retry_after(headers: Mapping[bytes, bytes], wall: float) -> float | None:
    """Seconds to wait, counted from `wall` (Unix seconds); None where nothing valid is asked.

    `retry-after-ms` wins over `retry-after`, which may be a whole or broken number of seconds or an HTTP date.
    A date that has passed asks for no wait: 0.
    """
    millis = _number(headers.get(b"retry-after-ms"))
    if millis is not None:
        return _sane(millis / 1000)
    value = headers.get(b"retry-after")
    seconds = _number(value)
    if seconds is not None:
        return _sane(seconds)
    return _until(value, wall)


def _number(value: bytes | None) -> float | None:
    text = (value or b"").decode("latin-1").strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _sane(seconds: float) -> float | None:
    return seconds if seconds <= LONGEST else None


def _until(value: bytes | None, wall: float) -> float | None:
    if not value:
        return None
    try:
        date = parsedate_to_datetime(value.decode("ascii"))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    when = date.replace(tzinfo=UTC) if date.tzinfo is None else date
    return _sane(max(when.timestamp() - wall, 0.0))
