"""A request's record as an entry: everything that it says, in whole numbers, with the personal fields set apart.

Pure. It knows both shapes. It must not know keys or files.
"""

from functools import cache
from typing import Any

import msgspec

from fairlead.audit.entry import Entry, Outcome
from fairlead.canonical.routing import RequestRecord

PERSONAL = ("user", "tags", "metadata", "content", "trace")
"""Fields that are, or may hold, what a person can be known by: they are never in the open."""
OWN_PLACE = frozenset({"id", "at", "tenant", "key", *PERSONAL})
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
    return _said(value, frozenset()) if isinstance(value, msgspec.Struct) else value


def _said(value: msgspec.Struct, without: frozenset[str]) -> dict[str, Any]:
    """The fields that are not as they are by default."""
    said: dict[str, Any] = {}
    for name, default in _fields(type(value)):
        found = getattr(value, name)
        if found != default and name not in without:
            kind = type(found)
            said[name] = found if kind is str or kind is int or kind is bool else plain(found)
    return said


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in msgspec.structs.fields(kind))
