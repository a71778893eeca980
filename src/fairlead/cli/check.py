"""`fairlead check`: validates the configuration, resolving nothing over the network."""

import argparse
import os

from fairlead.cli.output import print_json, print_problems
from fairlead.config.load import ENVIRONMENT, Loaded, load
from fairlead.config.review import review
from fairlead.config.shipped import catalog


def run(args: argparse.Namespace) -> int:
    """0 where nothing is worse than a warning, else 1."""
    loaded = load(args.config, os.environ)
    if loaded.config is not None and loaded.snapshot is not None and loaded.file != ENVIRONMENT:
        review(loaded.config, loaded.snapshot, catalog(), loaded.findings)
    errors = len(loaded.errors)
    if args.json:
        print_json({"file": loaded.file, "ok": not errors, "problems": loaded.problems})
    else:
        print_problems(loaded.problems)
        print(_summary(loaded, errors))
    return 1 if errors else 0


def _summary(loaded: Loaded, errors: int) -> str:
    warnings = len(loaded.problems) - errors
    found = ", ".join(_counted(count, word) for count, word in ((errors, "error"), (warnings, "warning")) if count)
    if loaded.snapshot is None:
        return f"{loaded.file}: {found}"
    routes = _counted(len(loaded.snapshot.routes), "route")
    keys = _counted(len(loaded.snapshot.keys), "key")
    return f"{loaded.file}: {routes}, {keys}, {found or 'no problems'}"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
