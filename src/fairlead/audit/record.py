"""A request's record as an entry: everything that it says, in whole numbers, with the personal fields set apart.

Pure. It knows both shapes. It must not know keys or files.
"""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec

from fairlead.audit.entry import Entry, Outcome
from fairlead.canonical.routing import RequestRecord

PERSONAL = ("user", "tags", "metadata", "content", "trace")
"""Fields that are, or may hold, what a person can be known by: they are never in the open."""
OWN_PLACE = frozenset({"id", "at", "tenant", "key", *PERSONAL})
NOTHING: frozenset[str] = frozenset()
AS_THEY_ARE = frozenset({str, int, bool})
MICROS = 1_000_000
OUTCOMES: dict[str, Outcome] = {"finished": "done", "refused": "denied"}
"""By how it ended; everything else has failed."""


def entry_of(record: RequestRecord) -> Entry:
    """The entry of a request, but for what is personal."""
    return Entry(
        at=round(record.at * MICROS),
        action="request",
        actor=record.key or "nobody",
        tenant=record.tenant,
        object=record.asked,
        outcome=OUTCOMES.get(record.ended, "failed"),
        request=record.id,
        detail=_said(record, OWN_PLACE),
    )


def personal(record: RequestRecord) -> bytes:
    """What is personal in a record, as JSON; empty: nothing is."""
    values = {name: plain(value) for name in PERSONAL if (value := getattr(record, name))}
    return msgspec.json.encode(values, order="sorted") if values else b""


def plain(value: Any) -> Any:
    """A value of a record in JSON's words. Every fraction in a record is a time in seconds: whole microseconds here."""
    kind = type(value)
    if kind is float:
        return round(value * MICROS)
    if kind is tuple:
        return [plain(one) for one in value]
    return _said(value, NOTHING) if isinstance(value, msgspec.Struct) else value


def _said(value: msgspec.Struct, without: frozenset[str]) -> dict[str, Any]:
    """The fields that are not as they are by default."""
    fields, values_of = _plan(type(value), without)
    said: dict[str, Any] = {}
    for (name, default), found in zip(fields, values_of(value), strict=True):
        if found is not default and found != default:
            kind = type(found)
            said[name] = found if kind in AS_THEY_ARE else plain(found)
    return said


@cache
def _plan(
    kind: type[msgspec.Struct], without: frozenset[str]
) -> tuple[tuple[tuple[str, Any], ...], Callable[[msgspec.Struct], tuple[Any, ...]]]:
    """The fields with their defaults, and what reads them all at once."""
    fields = tuple((field.name, field.default) for field in msgspec.structs.fields(kind) if field.name not in without)
    names = [name for name, _ in fields]
    values_of = attrgetter(*names) if len(names) > 1 else lambda value: (getattr(value, names[0]),)
    return fields, values_of
