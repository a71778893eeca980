"""What an operator may want of a virtual key, and whether it can be had.

Pure. It knows every field that can be written and what it takes. It must not know how a key is kept or asked for: what
tiers, tenants and routes there are is told in `Terms`.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from fairlead.canonical.limits import Limit
from fairlead.config import tenancy
from fairlead.config.bind import Binder
from fairlead.config.callers import overlap
from fairlead.config.limits import check_limits, limits_of
from fairlead.config.model import Config
from fairlead.config.problems import Findings, did_you_mean
from fairlead.config.shape import record_of
from fairlead.config.source import read_tree
from fairlead.config.units import shown

LONGEST_TEXT = 256
MOST_ENTRIES = 100
"""Of each list and of the tags."""
MOST_METADATA = 16 * 1024
"""Bytes of JSON."""
LAST_INSTANT = 1e11
"""Unix seconds in the year 5138: what is beyond was meant in milliseconds."""

_NAMED = re.compile(r"field `([^`]{1,64})`")
_MODEL = re.compile(r"[^\s*]*\*|[^\s*]+")

Code = Literal[
    "invalid_request_error", "invalid_json", "invalid_api_key", "cross_origin", "not_found", "conflict",
    "too_many_attempts", "state_unavailable", "audit_unavailable",
]  # fmt: skip


class RefusedError(Exception):
    """The wish cannot be granted; `param` is the field that is to blame."""

    def __init__(self, code: Code, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


def read_limits(text: bytes) -> tuple[Limit, ...]:
    """Limits written as in a tier of the configuration. Raises ValueError, in words for whoever wrote them."""
    findings = Findings("limits")
    node = read_tree(text, findings)
    section = Binder(findings).bind(node, record_of(tenancy.Limits), "limits") if node is not None else None
    if isinstance(section, tenancy.Limits):
        check_limits(section, findings, path="limits")
    if findings.has_errors() or not isinstance(section, tenancy.Limits):
        problem = next(iter(findings.in_order()), None)
        raise ValueError(f"{problem.path}: {problem.message}" if problem else "limits must be an object")
    return limits_of(section)


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What there is that a key can name. None: that is not known, and any name is taken."""

    tiers: frozenset[str] | None = None
    tenants: frozenset[str] | None = None
    routes: frozenset[str] | None = None


def terms_of(config: Config) -> Terms:
    """What this configuration has."""
    return Terms(
        tiers=frozenset(config.tiers),
        tenants=frozenset(config.tenants),
        routes=frozenset(route.model for route in config.routes),
    )


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that may be said of a key. Unset: its default in a new key, as it was in an old one."""

    name: str | UnsetType = UNSET
    tenant: str | UnsetType = UNSET
    tier: str | UnsetType = UNSET
    limits: msgspec.Raw | UnsetType = UNSET
    models: tuple[str, ...] | UnsetType = UNSET
    routes: tuple[str, ...] | UnsetType = UNSET
    cidrs: tuple[str, ...] | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    expires_at: float | UnsetType | None = UNSET
    """Unix seconds; null: never."""


def read(body: bytes, shape: type[Any]) -> Any:
    """`body` as a value of `shape`. Raises RefusedError, also for a field that nobody knows."""
    try:
        return msgspec.json.decode(body or b"{}", type=shape)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        named = _NAMED.search(message)
        field = place.strip(".`") or (named[1] if named else None)
        raise RefusedError("invalid_request_error", message, field) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RefusedError("invalid_json", "the body is not JSON, or nests too deep") from None


def checked(wish: Wish, terms: Terms, now: float) -> dict[str, Any]:
    """The fields that the wish names, as they are stored. Raises RefusedError at the first that cannot be had."""
    return {
        field: check(value, terms, now)
        for field, check in _CHECKS.items()
        if (value := getattr(wish, field)) is not UNSET
    }


def _refuse(field: str, message: str) -> RefusedError:
    return RefusedError("invalid_request_error", f"{field} {message}", field)


def one_line(field: str, value: str, *, empty: bool = False) -> str:
    """One line that is printable, so that it can stand in a log or a table and means the same everywhere."""
    if not value.isprintable() or value != value.strip():
        raise _refuse(field, "must be one line of printable text without blanks at its ends")
    if len(value) > LONGEST_TEXT or (not value and not empty):
        raise _refuse(field, f"must have 1 to {LONGEST_TEXT} characters, not {len(value)}")
    return value


def _one_of(field: str, value: str, known: Iterable[str] | None) -> str:
    value = one_line(field, value, empty=True)
    if value and known is not None and value not in (names := set(known)):
        raise _refuse(field, f"is {shown(value)}, which the configuration does not have{did_you_mean(value, names)}")
    return value


def _few(field: str, values: Iterable[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(values))
    if len(found) > MOST_ENTRIES:
        raise _refuse(field, f"has {len(found)} entries; the most is {MOST_ENTRIES}")
    return found


def _models(values: tuple[str, ...], terms: Terms, _now: float) -> tuple[str, ...]:
    for value in _few("models", values):
        if _MODEL.fullmatch(one_line("models", value)) is None:
            raise _refuse("models", f"has {shown(value)}; a * may stand at a model's end and nowhere else")
        if terms.routes is not None and not any(overlap(value, route) for route in terms.routes):
            raise _refuse("models", f"has {shown(value)}, which no route serves{did_you_mean(value, terms.routes)}")
    return _few("models", values)


def _routes(values: tuple[str, ...], terms: Terms, _now: float) -> tuple[str, ...]:
    return tuple(_one_of("routes", one_line("routes", value), terms.routes) for value in _few("routes", values))


def _cidrs(values: tuple[str, ...], _terms: Terms, _now: float) -> tuple[str, ...]:
    try:
        return _few("cidrs", (str(ipaddress.ip_network(value)) for value in values))
    except ValueError as error:
        raise _refuse("cidrs", f"must hold networks such as 10.0.0.0/8: {shown(str(error))}") from None


def _limits(text: msgspec.Raw, _terms: Terms, _now: float) -> tuple[Limit, ...]:
    try:
        return read_limits(bytes(text))
    except (ValueError, RecursionError) as error:
        raise _refuse("limits", f"cannot be used: {error}") from None


def _tags(values: dict[str, str], _terms: Terms, _now: float) -> tuple[tuple[str, str], ...]:
    _few("tags", values)
    return tuple((one_line("tags", name), one_line("tags", value)) for name, value in values.items())


def _metadata(value: dict[str, Any], _terms: Terms, _now: float) -> dict[str, Any]:
    size = len(msgspec.json.encode(value))
    if size > MOST_METADATA:
        raise _refuse("metadata", f"has {size} bytes of JSON; the most is {MOST_METADATA}")
    return value


def _end(value: float | None, _terms: Terms, now: float) -> float | None:
    if value is not None and not now < value < LAST_INSTANT:
        raise _refuse("expires_at", f"is {value:.15g}; it must be an instant to come, in Unix seconds")
    return value


_CHECKS: dict[str, Callable[[Any, Terms, float], Any]] = {
    "name": lambda value, _terms, _now: one_line("name", value),
    "tenant": lambda value, terms, _now: _one_of("tenant", value, terms.tenants),
    "tier": lambda value, terms, _now: _one_of("tier", value, terms.tiers),
    "limits": _limits,
    "models": _models,
    "routes": _routes,
    "cidrs": _cidrs,
    "tags": _tags,
    "metadata": _metadata,
    "expires_at": _end,
}
"""Every field of a Wish. What is not here cannot be written."""
