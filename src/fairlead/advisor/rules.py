"""The rules as a table: hard demands, points, and the words for both. It must not know any gateway."""

import tomllib
from typing import Literal

import msgspec

from fairlead.advisor.facts import Way

When = Literal["", "stack", "rps", "budget", "audit", "compliance"]
Kind = Literal["offers", "matches", "each", "word", "scaled", "licence", "features", "cores", "shown", "share"]


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A demand on how a gateway is run: in one of these ways, or else its vendor can show the fact."""

    why: str
    ways: tuple[Way, ...] = ()
    fact: str = ""
    needs: tuple[str, ...] = ()
    """Features that the demand brings with it."""
    inside: bool = False
    """No text may go to another vendor's service, a guardrail's included."""
    title: str = ""


class Merit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule of the ranking. `when` names the input without which it says nothing."""

    rule: str
    kind: Kind
    fact: str
    title: str
    points: float = 0
    when: When = ""
    most: float = 0
    """For `cores` no score falls further; for `scaled` all points are given from this value on."""
    unknown: float = 0
    """Points where no source says."""
    words: dict[str, float] = {}


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All rules. `head_room`: how many times the load a gateway must be shown to hold."""

    start: float
    head_room: float
    budget_examples: tuple[float, ...]
    ways: dict[Way, str]
    ops: dict[str, Place]
    data: dict[str, Place]
    compliance: dict[str, Place]
    features: dict[str, str]
    """What can be required, and the name of the fact that answers."""
    merits: tuple[Merit, ...]


def parse(text: str) -> Rules:
    """The rules that a TOML text holds. Raises ValueError where a row is malformed."""
    return msgspec.convert(tomllib.loads(text), Rules)
