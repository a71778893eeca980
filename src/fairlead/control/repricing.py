"""What requests of the past would have cost with another table of prices.

Pure: records and prices in, sums out.
"""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

import msgspec

from fairlead.canonical.routing import RequestRecord
from fairlead.canonical.usage import Usage
from fairlead.catalog import pricing
from fairlead.catalog.pricing import PriceTable
from fairlead.control.instants import format_instant
from fairlead.control.tally import dollars, money
from fairlead.database.requests import tag_of
from fairlead.database.usage import By

NOTHING = Decimal(0)


class Repriced(msgspec.Struct, frozen=True, kw_only=True):
    """One name's requests that used something, in US dollars."""

    name: str
    requests: int
    cost: Decimal
    """As it was told then."""
    repriced: Decimal
    unpriced: int
    """Requests for which the table has no price; they are in neither sum."""


def reprice(records: Iterable[RequestRecord], table: PriceTable, by: By) -> tuple[list[Repriced], Repriced]:
    """By name, the dearest first, and all together."""
    sums: dict[str, tuple[int, Decimal, Decimal, int]] = {}
    everything = (0, NOTHING, NOTHING, 0)
    for record in records:
        if record.usage is None:
            continue
        counts = _counts(record, record.usage, table)
        everything = _plus(everything, counts)
        for name in NAMES[by](record):
            sums[name] = _plus(sums.get(name, (0, NOTHING, NOTHING, 0)), counts)
    rows = [_repriced(name, counts) for name, counts in sums.items()]
    return sorted(rows, key=lambda row: (-row.repriced, row.name)), _repriced("", everything)


def _counts(record: RequestRecord, usage: Usage, table: PriceTable) -> tuple[int, Decimal, Decimal, int]:
    found = pricing.reprice(usage, record.served, record.at, table)
    if found is None:
        return 1, NOTHING, NOTHING, 1
    return 1, dollars(*money(record.cost)), found, 0


def _plus(
    one: tuple[int, Decimal, Decimal, int], other: tuple[int, Decimal, Decimal, int]
) -> tuple[int, Decimal, Decimal, int]:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3]


def _repriced(name: str, counts: tuple[int, Decimal, Decimal, int]) -> Repriced:
    return Repriced(name=name, requests=counts[0], cost=counts[1], repriced=counts[2], unpriced=counts[3])


def _tags(record: RequestRecord) -> Iterator[str]:
    yield from {tag_of(pair) for pair in record.tags}


NAMES: dict[By, Callable[[RequestRecord], Iterable[str]]] = {
    "tenant": lambda record: (record.tenant,),
    "key": lambda record: (record.key,),
    "model": lambda record: (record.asked if record.served else record.route,),
    "deployment": lambda record: (record.served,),
    "day": lambda record: (format_instant(record.answered_at)[:10],),
    "tag": _tags,
    "user": lambda record: (record.user,) if record.user else (),
}
"""What a record counts for."""
