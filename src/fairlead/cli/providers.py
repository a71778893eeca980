"""`fairlead providers`: the catalog's providers, and which of them have a key in the environment."""

import argparse
import os

import msgspec

from fairlead.cli.output import print_json, print_table
from fairlead.config.shipped import catalog


def run(args: argparse.Namespace) -> int:
    """Prints them."""
    rows = catalog().providers
    present = {name: next((key for key in row.keys if os.environ.get(key)), None) for name, row in rows.items()}
    if args.json:
        print_json([{"name": name, **msgspec.to_builtins(row), "key_set": present[name]} for name, row in rows.items()])
        return 0
    print_table(
        ("NAME", "BASE URL", "DIALECT", "KEY VARIABLE", "SET", "CHECKED"),
        [
            (
                name,
                row.base_url,
                row.dialect,
                " or ".join(row.keys) or "none needed",
                "yes" if present[name] else "no" if row.keys else "-",
                row.checked,
            )
            for name, row in rows.items()
        ],
    )
    return 0
