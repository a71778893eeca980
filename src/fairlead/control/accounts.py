"""What the audit trail is told of a change to a key.

Pure. It knows keys and entries. It must not know how either is kept.
"""

from typing import Any

import msgspec

from fairlead.audit.change import Change
from fairlead.audit.entry import Entry
from fairlead.config.limits import written_limits
from fairlead.database.keys import Key

PERSONAL = ("name", "tags", "metadata")
"""What of a key may name a person."""


class Author(msgspec.Struct, frozen=True):
    """Who changes keys, and in whose trail that is told."""

    actor: str
    machine: str = ""
    """Empty: whichever machine comes first."""


def change_of(action: str, key: Key, *, at: float, actor: str, **more: Any) -> Change:
    """A key as it stands after a change. Its text and its MACs are no part of a Key."""
    said = {
        "tier": key.tier,
        "limits": _whole(written_limits(key.limits)),
        "models": key.models,
        "routes": key.routes,
        "cidrs": key.cidrs,
        "expires_at": _micros(key.expires_at),
        "revoked_at": _micros(key.revoked_at),
        **more,
    }
    personal = {name: value for name in PERSONAL if (value := getattr(key, name))}
    return Change(
        entry=Entry(
            at=round(at * 1_000_000),
            action=action,
            actor=actor,
            tenant=key.tenant,
            object=key.id,
            detail={name: value for name, value in said.items() if value},
        ),
        subject=f"key:{key.id}",
        personal=msgspec.json.encode(personal, order="sorted").decode(),
    )


def _micros(at: float | None) -> int | None:
    return None if at is None else round(at * 1_000_000)


def _whole(value: Any) -> Any:
    """Without fractions, which do not read the same everywhere: those become text."""
    match value:
        case float():
            return str(value)
        case dict():
            return {name: _whole(one) for name, one in value.items()}
        case list() | tuple():
            return [_whole(one) for one in value]
    return value
