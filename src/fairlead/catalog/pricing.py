"""Price tables: what models cost, from which day on. The format of the shipped ones and of your own is the same.

Pure: texts come in. It must not know the configuration, nor which models it serves.
"""

import tomllib
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise

import msgspec

from fairlead.canonical.usage import Change, Price, Usage, cost

DECIMALS = 9
MOST = 1_000_000
"""US dollars per million tokens that nothing costs."""


class TableError(ValueError):
    """The text is no price table. The message names the row and what is wrong with it."""


class SourceRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where figures were taken from, and as of when."""

    what: str
    version: str
    url: str
    license: str
    date: str


class PriceRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What some models of a provider cost from the day `since` (UTC) on, until their next row."""

    provider: str
    models: tuple[str, ...]
    """All names of the model; the first is how the table calls it."""
    price: Price
    source: str
    since: date = msgspec.field(default=date.min, name="from")

    @property
    def title(self) -> str:
        return f"{self.provider}/{self.models[0]}" if self.models else f"{self.provider}/?"


class _Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    sources: dict[str, SourceRow]


class PriceTable:
    """The rows of one or more texts, by provider and model, each model's in the order of their days."""

    def __init__(self, version: str, sources: dict[str, SourceRow], rows: Iterable[PriceRow]) -> None:
        self.version = version
        self.sources = sources
        self._rows: dict[tuple[str, str], list[PriceRow]] = {}
        for row in rows:
            for name in row.models:
                self._add(name, row)

    def models(self) -> Iterator[tuple[str, str]]:
        """Every provider and name that there is a price for."""
        return iter(self._rows)

    def rows(self, provider: str, model: str) -> tuple[PriceRow, ...]:
        """What the model has cost, the oldest first; () where it is not known."""
        return tuple(self._rows.get((provider, model), ()))

    def at(self, provider: str, model: str, at: float) -> Price | None:
        """The price on the day of that instant (Unix seconds)."""
        day = datetime.fromtimestamp(at, UTC).date()
        known = [row for row in self.rows(provider, model) if row.since <= day]
        return known[-1].price if known else None

    def since(self, provider: str, model: str, day: date) -> Price | None:
        """The price on that day, with all that is known to come; what was before is left out."""
        rows = self.rows(provider, model)
        past = [row for row in rows if row.since <= day]
        if not past:
            return None
        later = [Change(begin=_midnight(row.since), price=row.price) for row in rows if row.since > day]
        return msgspec.structs.replace(past[-1].price, changes=tuple(later)) if later else past[-1].price

    def _add(self, name: str, row: PriceRow) -> None:
        rows = self._rows.setdefault((row.provider, name), [])
        if rows and rows[-1].since >= row.since:
            when = "" if row.since == date.min else f" from {row.since}"
            raise TableError(f"{row.provider}/{name}{when}: its rows must be in the order of their days, each day once")
        rows.append(row)


def parse_prices(text: str) -> PriceTable:
    """The table that a TOML text holds. Raises TableError."""
    try:
        table = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"not TOML: {error}") from None
    entries = table.pop("prices", [])
    try:
        head = msgspec.convert(table, _Text)
    except msgspec.ValidationError as error:
        raise TableError(str(error)) from None
    if not isinstance(entries, list):
        raise TableError("prices: write each row under [[prices]]")
    version = f"fairlead {head.version}"
    return PriceTable(version, head.sources, [_row(entry, head, version) for entry in entries])


def _row(entry: object, head: _Text, version: str) -> PriceRow:
    try:
        row = msgspec.convert(entry, PriceRow)
    except msgspec.ValidationError as error:
        names = entry.get("models") if isinstance(entry, dict) else None
        raise TableError(f"prices of {names!r}: {error}") from None
    if not row.models:
        raise TableError(f"{row.title}: models must name at least one")
    if row.source not in head.sources:
        raise TableError(f"{row.title}: source {row.source!r} is not among [sources]: {', '.join(head.sources)}")
    _check(row.price, row.title)
    return msgspec.structs.replace(row, price=_versioned(row.price, version))


def _check(price: Price, title: str) -> None:
    """Refuses what could make a cost wrong in silence."""
    for name in price.__struct_fields__:
        figure = getattr(price, name)
        if isinstance(figure, Decimal) and not _is_price(figure):
            raise TableError(f"{title}: {name} is {figure}; a price is a number from 0, of at most {DECIMALS} decimals")
    if price.changes:
        raise TableError(f"{title}: changes: write a row of its own, with from = the day")
    if any(longer.tokens < 1 for longer in price.above):
        raise TableError(f"{title}: above: tokens must be a whole number from 1")
    if any(one.tokens >= next_.tokens for one, next_ in pairwise(price.above)):
        raise TableError(f"{title}: above: the shorter prompt comes first, each length once")
    if len({service.name for service in price.services}) != len(price.services):
        raise TableError(f"{title}: services: a name is there twice")
    if not all(0 <= hours.begin < hours.end <= 1440 for hours in price.hours):
        raise TableError(f"{title}: hours: begin and end are minutes of the day in UTC, 0 to 1440")
    for inner in price.inner():
        _check(inner, title)


def _is_price(figure: Decimal) -> bool:
    """Few enough digits for exact sums; the largest that is allowed is more than anything costs."""
    return figure.is_finite() and 0 <= figure < MOST and figure == round(figure, DECIMALS)


def _versioned(price: Price, version: str) -> Price:
    """The version is that of the price that is asked, whatever is found in it."""
    return msgspec.structs.replace(price, version=version)


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def reprice(usage: Usage, served: str, at: float, table: PriceTable) -> Decimal | None:
    """What `usage` of `served` (`provider/model`, as a record has it) cost at that instant by `table`.

    The instant is the record's own (Unix seconds). None: the table has no price for it, or none that is certain.
    """
    provider, _, model = served.partition("/")
    price = table.at(provider, model, at)
    return None if price is None else cost(usage, price, at)
