"""What records add to the sums of the database: usage by the hour, labels, waste, spend.

Pure: records in, sums out. It knows what each count means. It must not know tables or transactions.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from operator import add

import msgspec

from fairlead.canonical.routing import RequestRecord
from fairlead.canonical.usage import Usage
from fairlead.database import fit
from fairlead.database.requests import tag_of
from fairlead.database.spend import Spent
from fairlead.database.usage import DAY
from fairlead.policy.rules import Spender, spenders, user_of

HOUR = 3600
GRAINS = (1, DAY)
PICOS = 1_000_000
"""In a millionth of a dollar."""
DEAREST = Decimal(1_000_000)
"""Dollars: more than any request can cost; what says more is no price."""
ERRORS = frozenset({"failed", "cut", "lost"})
WASTED = frozenset({"cut", "client_gone"})
"""Ends after which what was used was of no use."""
NOTHING = Usage()
_SCALE = Decimal(10**12)

Place = tuple[int | str, ...]
Counts = tuple[int, ...]
Kind = tuple[int, str, str, str, str, str, str, tuple[tuple[str, str], ...]]


class Tally(msgspec.Struct):
    """Sums by grain, hour and names, in the order of the tables' columns."""

    sums: dict[Place, Counts] = {}
    labels: dict[Place, Counts] = {}
    wasted: dict[Place, Counts] = {}
    spent: dict[tuple[Spender, int], int] = {}

    def rows(self) -> Iterator[Spent]:
        """What is added to the ledger."""
        for (whose, hour), micros in self.spent.items():
            yield Spent(whose.scope, subject_of(whose), hour, micros)


def tally(records: Iterable[RequestRecord]) -> Tally:
    """What these records come to.

    Records of one kind, alike in all names but the user's, are summed first: names are looked at once per kind.
    """
    kinds: dict[Kind, tuple[RequestRecord, list[Counts]]] = {}
    users: defaultdict[tuple[int, str, str], list[Counts]] = defaultdict(list)
    found = Tally()
    for record in records:
        hour = int(fit.seconds(record.at) + fit.seconds(record.duration)) // HOUR
        counts = _counts(record)
        names = (record.tenant, record.key, record.asked, record.route, record.served, record.wildcard)
        kinds.setdefault((hour, *names, record.tags), (record, []))[1].append(counts)
        if record.user:
            users[hour, record.tenant, record.user].append(counts)
        for deployment, cause, cost in _waste(record):
            whose = (fit.text(record.tenant), fit.text(deployment), fit.text(cause))
            _count(found.wasted, hour, whose, (1, *money(cost), int(cost is None)))
    for kind, (first, of_kind) in kinds.items():
        _sum_up(found, kind[0], msgspec.structs.replace(first, user=""), _together(of_kind))
    for (hour, tenant, user), of_user in users.items():
        counts = _together(of_user)
        _add(found.labels, ("user", DAY, hour // DAY * DAY, fit.text(tenant), fit.text(user)), counts)
        _spend(found, (user_of(tenant, user),), hour, counts[-1])
    return found


def money(cost: str | None) -> tuple[int, int]:
    """Millionths of a dollar, and millionths of a millionth beyond them."""
    try:
        amount = Decimal(cost or 0)
        if 0 <= amount < DEAREST:
            return divmod(int((amount * _SCALE).to_integral_value()), PICOS)
    except InvalidOperation:  # it is no number
        pass
    return 0, 0


def dollars(micros: int, picos: int) -> Decimal:
    """What two such sums come to."""
    return (Decimal(micros) * PICOS + picos) / _SCALE


def subject_of(whose: Spender) -> str:
    """Tenants may have keys and users of the same name."""
    return f"{whose.slot}/{whose.subject}".replace("\0", "\ufffd")


def _model(record: RequestRecord) -> str:
    """What was asked for, once something answered it; else the route, so that nobody can fill tables with names."""
    return record.asked if record.served else record.route


def _sum_up(found: Tally, hour: int, like: RequestRecord, counts: Counts) -> None:
    """Adds what records `like` this one came to in an hour; it names no user."""
    tenant = fit.text(like.tenant)
    names = (tenant, *map(fit.text, (like.key, _model(like), like.served)))
    _count(found.sums, hour, names, counts)
    for label in {tag_of(pair) for pair in like.tags}:
        _count(found.labels, hour, (tenant, label), counts, first=("tag",))
    _spend(found, spenders(like), hour, counts[-1])


def _spend(found: Tally, payers: Iterable[Spender], hour: int, micros: int) -> None:
    if micros:
        for whose in payers:
            found.spent[whose, hour] = found.spent.get((whose, hour), 0) + micros


def _counts(record: RequestRecord) -> Counts:
    usage = record.usage or NOTHING
    attempts = record.attempts
    used = (usage.input, usage.output, usage.cache_read, usage.cache_write, usage.reasoning)
    return (
        1,
        int(record.ended in ERRORS),
        int(record.ended == "refused"),
        len(attempts),
        len({attempt.deployment for attempt in attempts}) - 1 if len(attempts) > 1 else 0,
        *fit.counts(used),
        *money(record.cost),
        int(record.unpriced),
        fit.count(record.charged),
    )


def _waste(record: RequestRecord) -> Iterator[tuple[str, str, str | None]]:
    """Deployment, cause and cost of whatever was paid for and of no use."""
    for attempt in record.attempts:
        if attempt.usage is not None:
            yield attempt.deployment, attempt.outcome, attempt.cost
    if record.ended in WASTED and record.usage is not None:
        yield record.served, record.ended, None if record.unpriced else record.cost or "0"


def _count(
    sums: dict[Place, Counts], hour: int, names: tuple[str, ...], counts: Counts, first: tuple[str, ...] = ()
) -> None:
    """Adds to an hour and to its day."""
    for grain in GRAINS:
        place: Place = (*first, grain, hour // grain * grain, *names)
        _add(sums, place, counts)


def _together(counts: list[Counts]) -> Counts:
    return counts[0] if len(counts) == 1 else tuple(map(sum, zip(*counts, strict=True)))


def _add(sums: dict[Place, Counts], place: Place, counts: Counts) -> None:
    before = sums.get(place)
    sums[place] = counts if before is None else tuple(map(add, before, counts))
