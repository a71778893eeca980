"""Usage that has no cost, told once per deployment and hour: an unknown price must be seen, and is never 0.

It knows records. It must not know where they come from, nor what prices there are.
"""

import logging
from collections.abc import Iterable, Iterator

import msgspec

from fairlead.canonical.routing import RequestRecord
from fairlead.canonical.usage import Usage

log = logging.getLogger("fairlead.control")

HOUR = 3600
REMEMBERED = 48
"""Hours before the latest; of what is older it is not told again."""


class Sighting(msgspec.Struct, frozen=True):
    """The first usage without a cost that a deployment had in an hour."""

    deployment: str
    """`provider/model`, as the record has it."""
    hour: int
    """Unix seconds at which the hour began."""
    request: str
    reason: str


class Unpriced:
    """Looks through records, in whatever order they come."""

    def __init__(self) -> None:
        self._seen: dict[int, set[str]] = {}

    def tell(self, records: Iterable[RequestRecord]) -> None:
        """One warning for each deployment and hour that is new among those of `records`."""
        for found in self.look(records):
            log.warning("price_unknown", extra=msgspec.to_builtins(found))

    def look(self, records: Iterable[RequestRecord]) -> list[Sighting]:
        """What `tell` would say of them."""
        return [found for record in records for found in self._new(record)]

    def _new(self, record: RequestRecord) -> Iterator[Sighting]:
        hour = int(record.at // HOUR) * HOUR
        if self._seen and hour < max(self._seen) - REMEMBERED * HOUR:
            return
        for deployment, reason in _without_cost(record):
            told = self._seen.setdefault(hour, set())
            if deployment not in told:
                told.add(deployment)
                yield Sighting(deployment, hour, record.id, reason)
        for old in [begun for begun in self._seen if begun < max(self._seen) - REMEMBERED * HOUR]:
            del self._seen[old]


def _without_cost(record: RequestRecord) -> Iterator[tuple[str, str]]:
    for attempt in record.attempts:
        if attempt.usage is not None and attempt.cost is None:
            yield attempt.deployment, "no price is known for a failed attempt that may be charged"
    if record.usage is not None and record.unpriced:
        yield record.served, _reason(record.price, record.usage)


def _reason(price: str, usage: Usage) -> str:
    if not price:
        return "no price is known; give the deployment a price"
    service = f" of service {usage.service!r}" if usage.service else ""
    return f"the price of {price!r} does not tell what usage{service} like this costs"
