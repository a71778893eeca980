"""`fairlead models`: the catalog's models: context, abilities, prices, and where and when they were read."""

import argparse
import sys
from decimal import Decimal

import msgspec

from fairlead.catalog.table import ModelRow
from fairlead.cli.output import print_json, print_table
from fairlead.config.problems import did_you_mean
from fairlead.config.shipped import catalog


def run(args: argparse.Namespace) -> int:
    """Prints them; 1 where --provider names none."""
    table = catalog()
    if args.provider is not None and args.provider not in table.providers:
        hint = did_you_mean(args.provider, table.providers)
        print(f"fairlead models: the catalog has no provider {args.provider!r}{hint}", file=sys.stderr)
        return 1
    rows = [row for row in table.models.values() if args.provider in (None, row.provider)]
    if args.json:
        print_json({"version": table.version, "sources": table.sources, "models": msgspec.to_builtins(rows)})
        return 0
    print_table(
        ("MODEL", "CONTEXT", "OUTPUT", "TOOLS", "IMAGES", "IN $/M", "OUT $/M", "CACHED $/M", "AS OF"),
        [_cells(row, table.sources["genai-prices"].date) for row in rows],
    )
    if any(row.price_up_to for row in rows):
        print("\n* holds up to a prompt size only, so no cost is computed from it (see --json: price_up_to)")
    return 0


def _cells(row: ModelRow, date: str) -> tuple[str, ...]:
    mark = "*" if row.price_up_to else ""
    return (
        f"{row.provider}/{row.model}",
        _known(row.context),
        _known(row.max_output),
        _yes(row.tools),
        _yes(row.vision),
        _known(row.input, mark),
        _known(row.output, mark),
        _known(row.cache_read, mark),
        date,
    )


def _known(figure: int | Decimal | None, mark: str = "") -> str:
    return "?" if figure is None else f"{figure}{mark}"


def _yes(able: bool | None) -> str:
    return "?" if able is None else "yes" if able else "no"
