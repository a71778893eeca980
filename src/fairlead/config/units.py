"""How people write amounts in `fairlead.yaml`, and how such a text becomes a value and back.

A `Unit` is all that binding, the JSON Schema and the documentation know of a scalar. It must not know where the text
came from: no files, lines or paths.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

_DURATIONS = {"mo": 2_592_000.0, "w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3}
_SIZES = {"GiB": 1024**3, "MiB": 1024**2, "KiB": 1024, "GB": 1000**3, "MB": 1000**2, "kB": 1000, "B": 1}
_COUNTS = {"G": 1_000_000_000, "M": 1_000_000, "k": 1_000, "": 1}

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|mo|m|h|d|w)", re.ASCII)
_SIZE = re.compile(r"(\d{1,12})(B|kB|MB|GB|KiB|MiB|GiB)?", re.ASCII)
_COUNT = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)([kMG]?)", re.ASCII)
_TYPED = re.compile(
    r"([+-]?(?:\d{1,3}(?:,\d{3}){1,4}|\d{0,15}))((?:\.\d{1,15})?)(?:[eE]([+-]?\d{1,2}))?([kMG%]?)", re.ASCII
)
_POWERS = {"": 0, "k": 3, "M": 6, "G": 9, "%": -2}
_NUMBER = re.compile(r"[+-]?\d{1,15}(?:\.\d{1,15})?(?:[eE][+-]?\d{1,2})?", re.ASCII)
_URL = re.compile(r"https?://(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?(?:/[!-\"$->@-~]*)?")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})", re.ASCII)


class Address(msgspec.Struct, frozen=True):
    """A host and a port to listen on; an IPv6 host has no brackets here."""

    host: str
    port: int


class Unit(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One kind of scalar: `parse` raises ValueError with words that can follow the value's path."""

    name: str
    parse: Callable[[str], Any]
    format: Callable[[Any], str] = str
    schema: dict[str, Any] = msgspec.field(default_factory=lambda: {"type": "string"})
    plain: bool = False
    """Whether quotes make it something else (numbers and booleans)."""


def parse_duration(text: str) -> float:
    """Seconds of `200ms`, `5s`, `1m`, `1h`, `1d`, `1w` or `1mo` (30 days)."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{shown(text)} is not a duration; write a number and a unit: 200ms, 5s, 1m, 1h, 1d, 1w or 1mo"
        )
    return float(match[1]) * _DURATIONS[match[2]]


def format_duration(seconds: float) -> str:
    """The shortest exact way to write a duration: in the largest unit that divides it."""
    for unit, length in _DURATIONS.items():
        if seconds >= length and (seconds / length).is_integer():
            return f"{seconds / length:.0f}{unit}"
    return f"{round(seconds, 6):f}".rstrip("0").rstrip(".") + "s"


def parse_size(text: str) -> int:
    """Bytes of `32MiB`, `64kB` or a bare number of bytes."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{shown(text)} is not a size; write a whole number and a unit: 512KiB, 32MiB or 1GiB")
    return int(match[1]) * _SIZES[match[2] or "B"]


def format_size(size: int) -> str:
    """The shortest exact way to write a size in binary units."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _SIZES[unit] == 0:
            return f"{size // _SIZES[unit]}{unit}"
    return str(size)


def parse_count(text: str) -> int:
    """A whole number: `42`, `20k` or `1M`."""
    match = _COUNT.fullmatch(text)
    value = float(match[1]) * _COUNTS[match[2]] if match else 0.5
    if match is None or not value.is_integer():
        raise ValueError(f"{shown(text)} is not a count; write a whole number, or one with k or M: 500, 20k, 1M")
    return int(value)


def parse_number(text: str) -> float:
    """A number as people type it on a command line: `1000`, `1,000`, `10k`, `0.05`, `5%` or `1e-6`."""
    match = _TYPED.fullmatch(text.strip())
    if match is None or not any(letter.isdigit() for letter in match[1] + match[2]):
        raise ValueError(f"{shown(text)} is not a number; write one such as 0.05, 5%, 1000, 1,000 or 10k")
    whole_part, fraction, power, unit = match.groups()
    return float(f"{whole_part.replace(',', '')}{fraction}e{int(power or 0) + _POWERS[unit]}")


def format_count(count: int) -> str:
    """The shortest exact way to write a count."""
    for suffix, size in _COUNTS.items():
        if count >= size and count % size == 0:
            return f"{count // size}{suffix}"
    return str(count)


def parse_address(text: str) -> Address:
    """`host:port`, the host an address or a name; IPv6 addresses stand in brackets."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ValueError(f"{shown(text)} is not host:port; write for example 127.0.0.1:4000 or [::1]:4000")
    if int(match[2]) > 65535:
        raise ValueError(f"port {match[2]} is larger than 65535")
    return Address(match[1].strip("[]"), int(match[2]))


def format_address(address: Address) -> str:
    """`host:port` again, with brackets around an IPv6 address."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"


def parse_boolean(text: str) -> bool:
    """`true` or `false`, and nothing else: `yes`, `no`, `on` and `off` are words."""
    match text:
        case "true" | "True" | "TRUE":
            return True
        case "false" | "False" | "FALSE":
            return False
    raise ValueError(f"{shown(text)} is not true or false")


def shown(text: str) -> str:
    """A value as a message may show it: quoted and short."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def whole(minimum: int, maximum: int = 10**9) -> Unit:
    """A whole number within bounds."""

    def parse(text: str) -> int:
        value = parse_count(text) if re.fullmatch(r"[0-9]{1,10}", text) else None
        if value is None or not minimum <= value <= maximum:
            raise ValueError(f"{shown(text)} is not a whole number from {minimum} to {maximum}")
        return value

    schema = {"type": "integer", "minimum": minimum, "maximum": maximum}
    return Unit(name="number", parse=parse, schema=schema, plain=True)


def number(minimum: float, maximum: float) -> Unit:
    """A number within bounds."""

    def parse(text: str) -> float:
        value = float(text) if _NUMBER.fullmatch(text) else None
        if value is None or not minimum <= value <= maximum:
            raise ValueError(f"{shown(text)} is not a number from {minimum:g} to {maximum:g}")
        return value

    schema = {"type": "number", "minimum": minimum, "maximum": maximum}
    return Unit(name="number", parse=parse, format=lambda v: f"{v:g}", schema=schema, plain=True)


def positive(unit: Unit) -> Unit:
    """The same unit without zero."""

    def parse(text: str) -> Any:
        value = unit.parse(text)
        if value <= 0:
            raise ValueError(f"{shown(text)} must be more than zero")
        return value

    return msgspec.structs.replace(unit, parse=parse)


def matching(name: str, pattern: str, hint: str) -> Unit:
    """Text of one form."""
    compiled = re.compile(pattern, re.ASCII)

    def parse(text: str) -> str:
        if compiled.fullmatch(text) is None or not text.isprintable():
            raise ValueError(f"{shown(text)} is not {hint}")
        return text

    return Unit(name=name, parse=parse, schema={"type": "string", "pattern": f"^(?:{pattern})$"})


def parse_url(text: str) -> str:
    """An http or https URL without a user, query or fragment; what comes back has no trailing slash."""
    try:
        port_is_valid = urlsplit(text).port != 0
    except ValueError:
        port_is_valid = False
    if any(mark in text for mark in "@?#"):
        # Not shown: what stands there is often a password.
        raise ValueError("must be a URL without user, query and fragment")
    if _URL.fullmatch(text) is None or not port_is_valid:
        raise ValueError(f"{shown(text)} is not an http:// or https:// URL")
    return text.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether nobody outside this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_issuer(text: str) -> str:
    """A URL as it was written, whose answers nobody on the way can change: https, or on this machine."""
    parse_url(text)
    parts = urlsplit(text)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError(f"{shown(text)} is plain http, which anybody on the way can change; write https://")
    return text


def parse_keys_url(text: str) -> str:
    """Such a URL, perhaps with a query: some issuers have one in the URL of their keys."""
    url, _, query = text.partition("?")
    if not query.isascii() or not query.isprintable() or set(query) & set(" #"):
        raise ValueError("must be a URL whose query is ASCII without spaces and fragment")
    parse_issuer(url)
    return text


def _text(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("must not be empty, and must be one line")
    return text


TEXT = Unit(name="text", parse=_text, schema={"type": ["string", "number", "boolean"]})
BOOLEAN = Unit(
    name="true or false", parse=parse_boolean, format=lambda v: str(v).lower(), schema={"type": "boolean"}, plain=True
)
_DURATION_UNIT = Unit(
    name="duration",
    parse=parse_duration,
    format=format_duration,
    schema={"type": "string", "pattern": f"^{_DURATION.pattern}$"},
)
_SIZE_UNIT = Unit(
    name="size",
    parse=parse_size,
    format=format_size,
    schema={"type": ["string", "integer"], "pattern": f"^{_SIZE.pattern}$", "minimum": 1},
)
_COUNT_UNIT = Unit(
    name="count",
    parse=parse_count,
    format=format_count,
    schema={"type": ["string", "integer"], "pattern": f"^{_COUNT.pattern}$", "minimum": 1},
)

Text = Annotated[str, TEXT]
Duration = Annotated[float, positive(_DURATION_UNIT)]
AnyDuration = Annotated[float, _DURATION_UNIT]
Size = Annotated[int, positive(_SIZE_UNIT)]
Count = Annotated[int, positive(_COUNT_UNIT)]
Listen = Annotated[
    Address,
    Unit(
        name="host:port",
        parse=parse_address,
        format=format_address,
        schema={"type": "string", "pattern": f"^{_ADDRESS.pattern}$"},
    ),
]
Url = Annotated[str, Unit(name="URL", parse=parse_url, schema={"type": "string", "pattern": f"^(?:{_URL.pattern})$"})]
IssuerUrl = Annotated[
    str, Unit(name="https URL", parse=parse_issuer, schema={"type": "string", "pattern": f"^(?:{_URL.pattern})$"})
]
"""An issuer is named by its URL to the letter, so a slash at the end stays."""
KeysUrl = Annotated[
    str,
    Unit(
        name="https URL",
        parse=parse_keys_url,
        schema={"type": "string", "pattern": f'^(?:{_URL.pattern})(?:\\?[!-"$-~]*)?$'},
    ),
]
