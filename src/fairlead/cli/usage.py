"""`fairlead usage`: what was used, what it cost and what was wasted, from the database directly.

It needs no running gateway. Results go to stdout as a table, JSON or CSV.
"""

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection

from fairlead.catalog.pricing import PriceTable, parse_prices
from fairlead.cli.output import print_json, print_table
from fairlead.cli.stores import UnusableError, past_of
from fairlead.config.units import shown
from fairlead.control.instants import format_instant, parse_instant
from fairlead.control.repricing import Repriced, reprice
from fairlead.control.usage_report import Report, WasteReport, is_known, report, span_of, waste_report
from fairlead.database import requests, schema
from fairlead.database.engine import Database
from fairlead.database.place import DatabaseError
from fairlead.database.usage import By, Span

HOUR = 3600.0


class RepriceReport(msgspec.Struct, frozen=True, kw_only=True):
    """What --reprice prints as JSON."""

    by: str
    table: str
    """The version of the table."""
    since: float
    until: float
    rows: list[Repriced]
    total: Repriced


Told = Report | WasteReport | RepriceReport


def run(args: argparse.Namespace) -> int:
    """0 where it was told, else 1."""
    try:
        args.by = _by(args)
        table = None if args.reprice is None else _table(args.reprice)
        told = _told(args, table)
    except (UnusableError, DatabaseError) as problem:
        print(f"fairlead usage: {problem}", file=sys.stderr)
        return 1
    _print(told, args)
    return 0


def _by(args: argparse.Namespace) -> By:
    if args.waste and args.by is not None:
        raise UnusableError("--waste is told by cause and deployment; leave --by out")
    by: By = args.by or "tenant"
    return by


def _told(args: argparse.Namespace, table: PriceTable | None) -> Told:
    since, until = _times(args, time.time())
    span = span_of(since, until, args.tenant)
    database = Database(past_of(args))
    try:
        schema.check(database)
        with database.reading() as connection:
            if args.tenant is not None and not is_known(connection, span):
                print(f"nothing is known of a tenant {shown(args.tenant)}", file=sys.stderr)
            if table is not None:
                return _repriced(connection, args, table, span)
            return waste_report(connection, span) if args.waste else report(connection, args.by, span)
    finally:
        database.close()


def _times(args: argparse.Namespace, now: float) -> tuple[float, float]:
    since = _instant("--since", args.since, now)
    until = now if args.until is None else _instant("--until", args.until, now)
    if since > now:
        raise UnusableError(f"--since {args.since} has not come yet; write 7d (ago), or a day or instant that is past")
    if since >= until:
        raise UnusableError("--until is not later than --since")
    return since, until


def _repriced(connection: Connection, args: argparse.Namespace, table: PriceTable, span: Span) -> RepriceReport:
    since, until = span.since * HOUR, span.until * HOUR
    rows, total = reprice(requests.each(connection, since, until, args.tenant), table, args.by)
    return RepriceReport(by=args.by, table=table.version, since=since, until=until, rows=rows, total=total)


def _table(path: str) -> PriceTable:
    try:
        return parse_prices(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UnusableError(f"--reprice {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UnusableError(f"--reprice {path} is no price table (docs/cost.md): {error}") from None


def _instant(flag: str, text: str, now: float) -> float:
    try:
        return parse_instant(text, now)
    except ValueError as error:
        raise UnusableError(f"{flag}: {error}") from None


def _print(told: Told, args: argparse.Namespace) -> None:
    if args.json:
        print_json(told)
        return
    columns = _COLUMNS[type(told)]
    if args.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([[getattr(row, name) for name in columns] for row in told.rows])
        return
    heads = [_HEADS.get(name, name.upper().replace("_", " ")) for name in columns]
    heads[0] = args.by.upper() if heads[0] == "NAME" else heads[0]
    lines = [[_first(row, columns[0]), *(_cell(getattr(row, name)) for name in columns[1:])] for row in told.rows]
    total = ["TOTAL", *(_cell(getattr(told.total, name)) for name in columns[1:])]
    print_table(heads, [*lines, total])
    note = f"from {format_instant(told.since)} to {format_instant(told.until)}, in US dollars"
    print(note, *_notes(told, args.by), sep="; ", file=sys.stderr)


def _notes(told: Told, by: By) -> Iterator[str]:
    if not told.rows:
        yield "nothing was wasted" if isinstance(told, WasteReport) else f"no request had a {by}"
    if told.total.unpriced:
        yield f"{told.total.unpriced} without a known price are not in the cost"


def _first(row: Any, column: str) -> str:
    """What the row is about; of a virtual key, its name beside its id."""
    called = getattr(row, "called", "")
    return _cell(getattr(row, column)) + (f" ({called})" if called else "")


def _cell(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value else "0"
    return str(value) or "-"


_COLUMNS: dict[type, tuple[str, ...]] = {
    Report: (
        "name", "requests", "errors", "refused", "input", "output", "cache_read", "cost", "unpriced", "charged",
    ),
    WasteReport: ("cause", "deployment", "attempts", "cost", "unpriced"),
    RepriceReport: ("name", "requests", "cost", "repriced", "unpriced"),
}  # fmt: skip
_HEADS = {"cost": "COST $", "repriced": "REPRICED $", "charged": "CHARGED $"}
