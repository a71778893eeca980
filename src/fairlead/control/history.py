"""The past on the admin port: `/admin/v1/requests` and `/admin/v1/usage`.

It knows paths, queries and cursors. It must not know how rows are found. It has a database and a thread of its own, so
that a reader never waits for what is being written, nor the other way around.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any, TypeVar, get_args
from urllib.parse import unquote

import msgspec
from sqlalchemy import Connection

from fairlead.canonical.routing import Ended
from fairlead.config.problems import did_you_mean
from fairlead.config.units import shown
from fairlead.control.admin import Answer, Call, Entry
from fairlead.control.desk import Desk
from fairlead.control.explanation import explain
from fairlead.control.instants import parse_instant
from fairlead.control.usage_report import BY, report, span_of, waste_report
from fairlead.control.wishes import RefusedError
from fairlead.database import pages, requests
from fairlead.database.engine import Database, Patience
from fairlead.database.place import Place

PATIENCE = Patience(busy=1.0, statement=2.0, transaction=2.0)
REQUESTS = "/admin/v1/requests"
USAGE = "/admin/v1/usage"
TEXTS = ("id", "tenant", "key", "model", "deployment", "code", "user")
FILTERS = frozenset({*TEXTS, "ended", "status", "tag", "since", "until"})
LONGEST = 512
"""Characters of a value that is filtered by."""
_STATUS = re.compile(r"[1-9]\d\d", re.ASCII)
_LIMIT = re.compile(r"\d{1,9}", re.ASCII)
Result = TypeVar("Result")


class Listed(msgspec.Struct, frozen=True):
    """A page. It can hold fewer than were asked for, and none, although `next` tells that there are more."""

    requests: tuple[pages.Line, ...]
    next: str | None


class History:
    """What the admin port answers about the past. `clock` tells Unix seconds, `stopwatch` any seconds."""

    def __init__(self, place: Place, clock: Callable[[], float], stopwatch: Callable[[], float]) -> None:
        self._database = Database(place, PATIENCE)
        self._desk = Desk("history")
        self._clock = clock
        self._stopwatch = stopwatch

    def entries(self) -> tuple[Entry, ...]:
        return (
            Entry(method="GET", path=REQUESTS, run=self._page),
            Entry(method="GET", path=f"{REQUESTS}/{{}}", run=self._one),
            Entry(method="GET", path=USAGE, run=self._usage),
        )

    async def close(self) -> None:
        await asyncio.to_thread(self._desk.close)
        self._database.close()

    async def _page(self, call: Call) -> Answer:
        query = call.query(FILTERS | {"limit", "cursor"})
        limit = _limit(query.pop("limit", "100"))
        cursor = query.pop("cursor", None)
        after = None if cursor is None else _place(cursor)
        wanted = self._filter(query)
        found = await self._read(
            lambda connection: pages.page(connection, wanted, limit=limit, clock=self._stopwatch, after=after)
        )
        return Answer(Listed(found.lines, None if found.after is None else _cursor(found.after)))

    async def _one(self, call: Call) -> Answer:
        call.query(frozenset())
        name = unquote(call.id)
        found = await self._read(lambda connection: requests.named(connection, name))
        if found is None:
            message = f"the request log has no request {shown(name)}; it may be too old, or only just over"
            raise RefusedError("not_found", message)
        return Answer(explain(*found))

    async def _usage(self, call: Call) -> Answer:
        query = call.query(frozenset({"by", "since", "until", "tenant"}))
        by: Any = query.get("by", "tenant")
        if by not in (*BY, "waste"):
            raise _refused("by", f"is {shown(by)}; it is one of {', '.join(BY)} and waste")
        wanted = self._filter({"since": "7d", **{name: query[name] for name in query if name != "by"}})
        span = span_of(wanted.since or 0.0, wanted.until or self._clock(), wanted.tenant)
        if by == "waste":
            return Answer(await self._read(lambda connection: waste_report(connection, span)))
        return Answer(await self._read(lambda connection: report(connection, by, span)))

    async def _read(self, work: Callable[[Connection], Result]) -> Result:
        def read() -> Result:
            with self._database.reading() as connection:
                return work(connection)

        return await self._desk.do(read)

    def _filter(self, query: dict[str, str]) -> pages.Filter:
        now = self._clock()
        found = pages.Filter(**{name: _READ[name](name, text, now) for name, text in query.items()})
        if found.since is not None and found.until is not None and found.since >= found.until:
            raise _refused("until", "is not later than since")
        return found


def _text(name: str, text: str, _now: float) -> str:
    if len(text) > LONGEST:
        raise _refused(name, f"has {len(text)} characters; the most is {LONGEST}")
    return text


def _ended(name: str, text: str, _now: float) -> str:
    known = get_args(Ended)
    if text not in known:
        raise _refused(name, f"is {shown(text)}; it is one of {', '.join(known)}{did_you_mean(text, known)}")
    return text


def _status(name: str, text: str, _now: float) -> int:
    if _STATUS.fullmatch(text) is None:
        raise _refused(name, f"is {shown(text)}; it is a number such as 200 or 429")
    return int(text)


def _tag(name: str, text: str, now: float) -> str:
    if "=" not in text:
        raise _refused(name, f"is {shown(text)}; write name=value")
    return _text(name, text, now)


def _instant(name: str, text: str, now: float) -> float:
    try:
        return parse_instant(text, now)
    except ValueError as error:
        raise _refused(name, f"{error}") from None


_READ: dict[str, Callable[[str, str, float], Any]] = {
    **dict.fromkeys(TEXTS, _text),
    "ended": _ended,
    "status": _status,
    "tag": _tag,
    "since": _instant,
    "until": _instant,
}
"""How each filter is read."""


def _limit(text: str) -> int:
    if _LIMIT.fullmatch(text) is None or not 1 <= int(text) <= pages.MOST:
        raise _refused("limit", f"is {shown(text)}; it goes from 1 to {pages.MOST}")
    return int(text)


def _cursor(place: pages.Place) -> str:
    """Where a page ended, in a form that nobody is tempted to take apart."""
    return msgspec.json.encode(place).hex()


def _place(cursor: str) -> pages.Place:
    try:
        at, number = msgspec.json.decode(bytes.fromhex(cursor), type=tuple[float, int])
    except ValueError:
        at, number = -1.0, 0
    if at < 0 or not 0 <= number < 2**63:
        raise _refused("cursor", "is not one that a page gave; leave it out to begin at the start")
    return at, number


def _refused(name: str, message: str) -> RefusedError:
    return RefusedError("invalid_request_error", f"{name} {message}", name)
