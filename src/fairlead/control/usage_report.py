"""What was used and what was wasted, as the admin port and the command line tell it.

It knows what sums are called outside and how money is written. It must not know HTTP or arguments.
"""

from typing import Any, get_args

import msgspec
from sqlalchemy import Connection

from fairlead.control.instants import format_instant
from fairlead.control.tally import HOUR, dollars
from fairlead.database import fit, keys, usage
from fairlead.database.usage import By, Group, Span

BY = get_args(By)
DAY = 24 * HOUR


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What one name used. Money is in US dollars, exact."""

    name: str
    called: str = ""
    """The name of the virtual key of which `name` is the id; empty: it is no such key."""
    requests: int
    errors: int
    """Requests that failed, were cut or were lost."""
    refused: int
    attempts: int
    fallbacks: int
    input: int
    output: int
    cache_read: int
    cache_write: int
    reasoning: int
    cost: str
    unpriced: int
    """Requests that used something whose price is not known: their cost is not in `cost`."""
    charged: str
    """What budgets counted, estimates included."""


class Waste(msgspec.Struct, frozen=True, kw_only=True):
    """What was paid for and of no use."""

    cause: str
    """A failure of an attempt, or how the request ended: `cut`, `client_gone`."""
    deployment: str
    attempts: int
    cost: str
    unpriced: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`rows`: the dearest first, up to 1000; `total`: everything from `since` up to `until`, widened to whole hours or
    days.
    """

    by: str
    since: float
    until: float
    rows: tuple[Used, ...]
    total: Used


class WasteReport(msgspec.Struct, frozen=True, kw_only=True):
    since: float
    until: float
    rows: tuple[Waste, ...]
    total: Waste


def span_of(since: float, until: float, tenant: str | None) -> Span:
    """The whole hours in which these instants lie."""
    return Span(
        since=int(since // HOUR), until=int(-(-until // HOUR)), tenant=None if tenant is None else fit.text(tenant)
    )


def is_known(connection: Connection, span: Span) -> bool:
    """Whether the span's tenant had a request at any time up to its end."""
    ever = msgspec.structs.replace(span.whole_days, since=0)
    return usage.total(connection, ever)["requests"] > 0


def report(connection: Connection, by: By, span: Span) -> Report:
    """Users are summed by whole days: then all of the report is."""
    if by == "user":
        span = span.whole_days
    groups = usage.report(connection, by, span)
    names = [_day(group.name) if by == "day" else group.name for group in groups]
    called = keys.names(connection, names) if by == "key" else {}
    return Report(
        by=by,
        since=span.since * HOUR,
        until=span.until * HOUR,
        rows=tuple(_used(name, group.sums, called.get(name, "")) for name, group in zip(names, groups, strict=True)),
        total=_used("", usage.total(connection, span)),
    )


def waste_report(connection: Connection, span: Span) -> WasteReport:
    found = usage.wasted(connection, span)
    sums = {name: sum(group.sums[name] for _, group in found) for name in ("attempts", "micros", "picos", "unpriced")}
    return WasteReport(
        since=span.since * HOUR,
        until=span.until * HOUR,
        rows=tuple(_wasted(cause, group) for cause, group in found),
        total=_wasted("", Group("", sums)),
    )


def written(micros: int, picos: int = 0) -> str:
    """US dollars as a decimal without zeros at its end."""
    amount = dollars(micros, picos)
    return f"{amount.normalize():f}" if amount else "0"


def _used(name: str, sums: dict[str, int], called: str = "") -> Used:
    values: dict[str, Any] = dict(sums)
    cost = written(values.pop("micros"), values.pop("picos"))
    return Used(name=name, called=called, cost=cost, **{**values, "charged": written(sums["charged"])})


def _wasted(cause: str, group: Group) -> Waste:
    sums = group.sums
    return Waste(
        cause=cause,
        deployment=group.name,
        attempts=sums["attempts"],
        cost=written(sums["micros"], sums["picos"]),
        unpriced=sums["unpriced"],
    )


def _day(name: str) -> str:
    return format_instant(int(name) * DAY)[:10]
