"""A block of header lines from names and values, as both protocols write it.

It knows what may stand in a header line. It must not know what any header means.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def encode(pairs: Iterable[tuple[str, str]]) -> bytes:
    """The header lines of `pairs`, each ending in CRLF, ready for `Exchange.send` and `Client.request`.

    Raises ValueError for a name that is no token and for a value with CR, LF, NUL or a character beyond
    Latin-1: such a value could end the line and begin another. The message names the header, never its value.
    """
    lines: list[str] = []
    for name, value in pairs:
        if not _is_name(name):
            raise ValueError(f"{name!r} is not a header name")
        if "\n" in value or "\r" in value or "\0" in value:
            raise ValueError(f"the value of header {name!r} has a line break or a NUL")
        lines.append(f"{name}: {value}\r\n")
    try:
        return "".join(lines).encode("latin-1")
    except UnicodeEncodeError:
        name = next(line for line in lines if not _is_latin(line)).partition(":")[0]
        raise ValueError(f"the value of header {name!r} has a character beyond Latin-1") from None


@lru_cache(1024)
def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _is_latin(line: str) -> bool:
    return max(line) <= "\xff"
