"""`fairlead models`: the catalog's models: context, abilities, prices, and where and when they were read."""

import argparse
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from fairlead.canonical.usage import Price
from fairlead.catalog.pricing import SourceRow
from fairlead.catalog.table import Catalog, ModelRow
from fairlead.cli.output import print_json, print_table
from fairlead.config.problems import did_you_mean
from fairlead.config.shipped import catalog

MARKS = (
    ("above", "*", "more for a long prompt"),
    ("services", "+", "other prices for other service tiers"),
    ("hours", "~", "another price at some hours, whose days are not known: unknown then"),
    ("told", "=", "the provider tells each answer's cost itself; this is for estimates"),
)


def run(args: argparse.Namespace) -> int:
    """Prints them; 1 where --provider names none."""
    table = catalog()
    if args.provider is not None and args.provider not in table.providers:
        hint = did_you_mean(args.provider, table.providers)
        print(f"fairlead models: the catalog has no provider {args.provider!r}{hint}", file=sys.stderr)
        return 1
    chosen = [args.provider] if args.provider else list(table.providers)
    if args.json:
        models = [_entry(table, name, model) for name in chosen for model in table.names_of(name)]
        print_json({"version": table.version, "sources": _sources(table, chosen), "models": models})
        return 0
    rows = [_cells(table, name, model) for name in chosen for model in table.names_of(name)]
    print_table(("MODEL", "CONTEXT", "OUTPUT", "TOOLS", "IMAGES", "IN $/M", "OUT $/M", "CACHED $/M", "AS OF"), rows)
    shown = "".join(row[5] for row in rows)
    print("\n" + "\n".join(f"{mark} {words} (see --json)" for _, mark, words in MARKS if mark in shown))
    return 0


def _sources(table: Catalog, chosen: list[str]) -> dict[str, SourceRow]:
    found = dict(table.sources)
    for name in chosen:
        prices = table.prices_of(name)
        found.update(prices.sources if prices else {})
    return found


def _entry(table: Catalog, provider: str, model: str) -> dict[str, Any]:
    """All that is known of a model, with its price now and the days on which it changed."""
    row = table.models.get((provider, model)) or ModelRow(provider=provider, model=model, sources=())
    prices = table.prices_of(provider)
    rows = prices.rows(provider, model) if prices else ()
    return {
        **msgspec.to_builtins(row),
        "sources": list(dict.fromkeys([*row.sources, *[each.source for each in rows]])),
        "price": msgspec.to_builtins(table.price(provider, model)),
        "price_changed": [each.since.isoformat() for each in rows if each.since.year > 1],
    }


def _cells(table: Catalog, provider: str, model: str) -> tuple[str, ...]:
    row = table.models.get((provider, model)) or ModelRow(provider=provider, model=model, sources=())
    prices = table.prices_of(provider)
    price = table.price(provider, model)
    date = next((source.date for source in prices.sources.values()), "?") if prices and price else "?"
    return (
        f"{provider}/{model}",
        _known(row.context),
        _known(row.max_output),
        _yes(row.tools),
        _yes(row.vision),
        "?" if price is None else _known(price.input) + "".join(_marks(price)),
        "?" if price is None else _known(price.output),
        "?" if price is None else _known(price.cache_read),
        date,
    )


def _marks(price: Price) -> Iterator[str]:
    return (mark for name, mark, _ in MARKS if getattr(price, name))


def _known(figure: int | Decimal | None) -> str:
    if isinstance(figure, Decimal):
        return f"{figure.normalize():f}"
    return "?" if figure is None else str(figure)


def _yes(able: bool | None) -> str:
    return "?" if able is None else "yes" if able else "no"
