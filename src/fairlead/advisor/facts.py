"""What is known of gateways: facts with source and date, and which one decides where sources disagree.

Pure: texts come in. It must not know what the facts are used for.
"""

import tomllib
from collections.abc import Iterator
from datetime import date
from typing import Literal

import msgspec

Way = Literal["self-hosted", "hybrid", "managed"]
WAYS: tuple[Way, ...] = ("self-hosted", "hybrid", "managed")
Value = bool | int | float | str | tuple[str, ...]
By = Literal["ours", "vendor", "rival", "third party"]


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a fact is from. `speaker` is the gateway whose words they are, "rival" for one that is not in the table, or
    "third party"."""

    url: str
    date: date
    speaker: str


class Name(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a kind of fact is called, and its unit."""

    title: str
    unit: str


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fact as the table has it."""

    name: str
    value: Value
    source: str
    ways: tuple[Way, ...] = WAYS
    paid: bool = False
    outside: bool = False
    """Texts go to another vendor's service for it."""
    note: str = ""
    decides: bool = False
    why: str = ""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that stands by itself: value, unit, where and when it was said, and by whom."""

    name: str
    title: str
    value: Value
    unit: str
    source: str
    date: date
    by: By
    ways: tuple[Way, ...]
    paid: bool
    outside: bool
    note: str
    decides: bool
    why: str


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """A product with all that is known of it."""

    id: str
    title: str
    facts: tuple[Fact, ...]

    def fact(self, name: str, way: Way) -> Fact | None:
        """The fact that decides for this way of running it; None: no source says."""
        found = [fact for fact in self.facts if fact.name == name and way in fact.ways]
        return next((fact for fact in found if fact.decides), found[0] if found else None)

    def number(self, name: str, way: Way) -> float | None:
        """The figure that decides; None: no source gives one."""
        fact = self.fact(name, way)
        return float(fact.value) if fact is not None and isinstance(fact.value, int | float) else None

    def ways(self) -> list[Way]:
        """The ways in which it can be run."""
        return [way for way in WAYS if self.has("runs", way)]

    def has(self, name: str, way: Way) -> bool:
        """Whether a source says so, and none that decides says otherwise."""
        fact = self.fact(name, way)
        return fact is not None and bool(fact.value)


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known, as of a day."""

    version: str
    gateways: dict[str, Gateway]
    titles: dict[str, str]
    """What each name of a fact is called."""


class _Product(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    facts: tuple[Row, ...]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    sources: dict[str, Source]
    names: dict[str, Name]
    gateways: dict[str, _Product]


def parse(text: str) -> Facts:
    """The facts that a TOML text holds.

    Raises ValueError where a row is malformed or unsourced, where nobody knows whose words it has, or where rows
    disagree and none decides with a reason.
    """
    table = msgspec.convert(tomllib.loads(text), _Table)
    gateways = {}
    for name, product in table.gateways.items():
        facts = tuple(_fact(name, row, table) for row in product.facts)
        gateways[name] = Gateway(id=name, title=product.title, facts=facts)
        for quarrel in _quarrels(gateways[name]):
            raise ValueError(f"{name}: {quarrel}")
    for problem in _speakers(table):
        raise ValueError(problem)
    unused = table.sources.keys() - {row.source for product in table.gateways.values() for row in product.facts}
    if unused:
        raise ValueError(f"sources of no fact: {', '.join(sorted(unused))}")
    titles = {name: row.title for name, row in table.names.items()}
    return Facts(version=table.version, gateways=gateways, titles=titles)


def _fact(gateway: str, row: Row, table: _Table) -> Fact:
    source, name = table.sources.get(row.source), table.names.get(row.name)
    if source is None or name is None:
        raise ValueError(f"{gateway}: {row.name!r} has no known name or source: {row.source!r}")
    return Fact(
        name=row.name,
        title=name.title,
        value=row.value,
        unit=name.unit,
        source=source.url,
        date=source.date,
        by=_by(gateway, source.speaker),
        ways=row.ways,
        paid=row.paid,
        outside=row.outside,
        note=row.note,
        decides=row.decides,
        why=row.why,
    )


def _by(gateway: str, speaker: str) -> By:
    if speaker == "fairlead":
        return "ours"
    if speaker == gateway:
        return "vendor"
    return "third party" if speaker == "third party" else "rival"


def _speakers(table: _Table) -> Iterator[str]:
    """Whose words nobody knows."""
    known = [*table.gateways, "rival", "third party"]
    for name, source in table.sources.items():
        if source.speaker not in known:
            yield f"speaker {source.speaker!r} of {name!r} must be among {', '.join(known)}"


def _quarrels(gateway: Gateway) -> Iterator[str]:
    """Where facts speak of the same thing and it is not said which one decides, and why."""
    for way in WAYS:
        for name in {fact.name for fact in gateway.facts}:
            same = [fact for fact in gateway.facts if fact.name == name and way in fact.ways]
            deciding = [fact for fact in same if fact.decides]
            if len(same) > 1 and len(deciding) != 1:
                yield f"{len(same)} facts {name!r} for {way}, of which {len(deciding)} decide"
            if any(not fact.why for fact in deciding):
                yield f"{name!r} decides without a reason"
