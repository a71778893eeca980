"""Pages of the request log, newest first: whatever is filtered by, a page takes a bounded time.

The rarest of the filtered values leads: its index is followed, and the other filters are looked at row by row. Where
even that finds little among much, a page ends early, and the next one goes on from there. It must not know who asks.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select, text

from fairlead.database import fit
from fairlead.database.tables import USUAL, request_tags, requests, unusual

MOST = 1000
"""The most rows of a page."""
FEW = 2000
"""Rows that are looked at without looking at the clock."""
STRETCH = 5000
"""Rows between two looks at the clock."""
APART = 1000
"""The same where the rows lie apart from what is followed, and each is looked up for itself."""
ENOUGH = 0.1
"""Seconds of searching after which a page ends with what it has."""
COLUMNS = {
    "tenant": "tenant",
    "key": "key",
    "model": "asked",
    "deployment": "served",
    "ended": "ended",
    "status": "status",
    "code": "code",
    "user": "end_user",
}
"""What a list can be filtered by, beside id, tag and time, with its column."""

Place = tuple[float, int]
"""Where a row stands: its time and its number."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests are wanted; None: whichever."""

    id: str | None = None
    tenant: str | None = None
    key: str | None = None
    model: str | None = None
    deployment: str | None = None
    ended: str | None = None
    status: int | None = None
    code: str | None = None
    user: str | None = None
    tag: str | None = None
    """`name=value`."""
    since: float | None = None
    until: float | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A request as lists have it; the log has the whole record by its id."""

    id: str
    at: float
    tenant: str
    key: str
    asked: str
    route: str
    served: str
    ended: str
    status: int
    code: str
    end_user: str
    tags: tuple[tuple[str, str], ...]
    stream: bool
    attempts: int
    input: int
    output: int
    cache_read: int
    cache_write: int
    reasoning: int
    cost: str | None
    charged: int
    first_token: float | None
    duration: float
    overhead_us: int


class Page(msgspec.Struct, frozen=True):
    """Some requests; `after` asks for those that follow, None where there are none."""

    lines: tuple[Line, ...]
    after: Place | None


class _Lead(msgspec.Struct, frozen=True):
    """What is followed, and what of it."""

    condition: ColumnElement[bool]
    table: Any = requests

    @property
    def stretch(self) -> int:
        return STRETCH if self.table is requests else APART

    def places(self, since: float | None, until: float | None) -> Select[Any]:
        at = self.table.c.at
        bounds = [at >= since] if since is not None else []
        bounds += [at < until] if until is not None else []
        return select(at, self.table.c.number).where(self.condition, *bounds)


def page(
    connection: Connection, wanted: Filter, *, limit: int, clock: Callable[[], float], after: Place | None = None
) -> Page:
    """Up to `limit` requests after `after`, newest first. It can hold fewer although more follow."""
    leads = dict(_leads(wanted))
    name, few = _rarest(connection, leads, wanted)
    lead = leads.get(name, _Lead(text("1 = 1")))  # type: ignore[arg-type]
    rest = [condition for other, condition in _conditions(wanted) if other != name]
    until = clock() + ENOUGH
    lines: list[Any] = []
    while len(lines) <= limit:
        edge = None if few or not rest else _edge(connection, lead, wanted, after)
        most = limit + 1 - len(lines)
        places = lead.places(wanted.since, wanted.until).where(*_between(lead.table, after, edge))
        lines += connection.execute(_rows(lead, rest, places, most)).mappings().all()
        if edge is None:
            break
        after = edge
        if clock() > until:
            return _page(lines, limit, edge)
    return _page(lines, limit, None)


def _page(rows: list[Any], limit: int, edge: Place | None) -> Page:
    """`edge`: up to where was searched, None: to the end, or to the first row that is too many."""
    if len(rows) > limit:
        rows = rows[:limit]
        edge = (rows[-1]["at"], rows[-1]["number"])
    names = Line.__struct_fields__
    return Page(tuple(Line(**{name: row[name] for name in names}) for row in rows), edge)


def _leads(wanted: Filter) -> Iterator[tuple[str, _Lead]]:
    """Every filter that an index can answer."""
    if wanted.id is not None:
        yield "id", _Lead(requests.c.id == fit.text(wanted.id))
    if wanted.tag is not None:
        yield "tag", _Lead(request_tags.c.tag == fit.text(wanted.tag), request_tags)
    for name, column in COLUMNS.items():
        value = getattr(wanted, name)
        if value is not None and value != USUAL[column]:
            yield name, _Lead(and_(requests.c[column] == _fit(value), text(unusual(column))))


def _conditions(wanted: Filter) -> Iterator[tuple[str, ColumnElement[bool]]]:
    """Every filter as something to look at in a row; written so that no index seems to answer it."""
    if wanted.id is not None:
        yield "id", requests.c.id.concat("") == fit.text(wanted.id)
    if wanted.tag is not None:
        here = and_(request_tags.c.at == requests.c.at, request_tags.c.number == requests.c.number)
        yield "tag", exists().where(request_tags.c.tag == fit.text(wanted.tag), here)
    for name, column in COLUMNS.items():
        value = getattr(wanted, name)
        if value is not None:
            own = requests.c[column]
            yield name, (own + 0 if isinstance(value, int) else own.concat("")) == _fit(value)


def _fit(value: str | int) -> str | int:
    return value if isinstance(value, int) else fit.text(value)


def _rarest(connection: Connection, leads: dict[str, _Lead], wanted: Filter) -> tuple[str, bool]:
    """The filter that the fewest rows pass, and whether those are few."""
    if len(leads) < 2:
        return next(iter(leads), ""), False
    counts = {}
    for name, lead in leads.items():
        some = lead.places(wanted.since, wanted.until).limit(FEW).subquery()
        counts[name] = int(connection.execute(select(func.count()).select_from(some)).scalar_one())
        if counts[name] < FEW:
            return name, True
    return min(counts, key=lambda name: counts[name]), False


def _edge(connection: Connection, lead: _Lead, wanted: Filter, after: Place | None) -> Place | None:
    """Up to where one stretch goes; None: to the end."""
    query = lead.places(wanted.since, wanted.until).where(*_between(lead.table, after, None))
    found = connection.execute(_newest_first(query, lead.table).offset(lead.stretch - 1).limit(1)).one_or_none()
    return None if found is None else (found.at, found.number)


def _rows(lead: _Lead, rest: list[ColumnElement[bool]], places: Select[Any], most: int) -> Select[Any]:
    """The rows at these places that pass the rest; of another table, no more places are looked at than can matter."""
    names = [requests.c[name] for name in Line.__struct_fields__ if name != "at"]
    if lead.table is not requests:
        few = _newest_first(places, lead.table).limit(lead.stretch if rest else most).subquery()
        there = and_(few.c.at == requests.c.at, few.c.number == requests.c.number)
        places = select(requests.c.at, requests.c.number).join(few, there)
    return _newest_first(places.add_columns(*names).where(*rest), requests).limit(most)


def _newest_first(query: Select[Any], table: Any) -> Select[Any]:
    return query.order_by(table.c.at.desc(), table.c.number.desc())


def _between(table: Any, after: Place | None, edge: Place | None) -> Iterator[ColumnElement[bool]]:
    """Rows that come after one and not after another, newest first."""
    at, number = table.c.at, table.c.number
    if after is not None:
        yield at <= after[0]
        yield or_(at < after[0], number < after[1])
    if edge is not None:
        yield at >= edge[0]
        yield or_(at > edge[0], number >= edge[1])
