"""`fairlead replay`: recorded traffic through a proposed configuration, and what that changes.

It reads files alone: no gateway runs, nobody is contacted, nothing is written.
"""

import argparse
import os
import sys
import time
from functools import partial
from pathlib import Path

from fairlead.canonical.routing import Snapshot
from fairlead.cli.journals import Journals
from fairlead.cli.output import print_json, print_problems
from fairlead.cli.replay_tables import print_difference
from fairlead.cli.stores import UnusableError
from fairlead.config.load import load
from fairlead.control.instants import parse_instant
from fairlead.simulator.difference import Difference
from fairlead.simulator.replay import Side, as_recorded, difference, replayed
from fairlead.simulator.trace import Trace


def run(args: argparse.Namespace) -> int:
    """0 where it was replayed, else 1."""
    try:
        found = _difference(args)
    except UnusableError as problem:
        print(f"fairlead replay: {problem}", file=sys.stderr)
        return 1
    if args.json:
        print_json(found)
    else:
        print_difference(found)
    return 0


def _difference(args: argparse.Namespace) -> Difference:
    new = _snapshot(args.config)
    old = None if args.against is None else _snapshot(args.against)
    journals = Journals(Path(args.journal), *_times(args, time.time()))
    trace = journals.trace()
    recorded = as_recorded(trace, journals.by_end(), old or new)
    play = partial(_played, trace, journals, args.seed)
    before = None if old is None else play(old, "the old configuration")
    found = difference(trace, new, recorded=recorded, old=before, new=play(new, "the new configuration"))
    if {found.recorded.requests, found.new.requests} != {trace.requests}:
        raise UnusableError(f"files of {args.journal} were deleted while they were read; replay a copy of it")
    return found


def _played(trace: Trace, journals: Journals, seed: int, snapshot: Snapshot, name: str) -> Side:
    def tell(done: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{name}: {100 * done // trace.requests} %", end="", file=sys.stderr, flush=True)

    side = replayed(snapshot, trace, journals.by_end(), seed=seed, tell=tell)
    if sys.stderr.isatty():
        print(f"\r{' ' * (len(name) + 8)}\r", end="", file=sys.stderr)
    return side


def _snapshot(path: str | None) -> Snapshot:
    loaded = load(path, os.environ)
    if loaded.snapshot is None:
        print_problems(loaded.errors)
        raise UnusableError(f"nothing is replayed: {loaded.file} has errors")
    return loaded.snapshot


def _times(args: argparse.Namespace, now: float) -> tuple[float, float]:
    since = 0.0 if args.since is None else _instant("--since", args.since, now)
    until = float("inf") if args.until is None else _instant("--until", args.until, now)
    if since >= until:
        raise UnusableError("--until is not later than --since")
    return since, until


def _instant(flag: str, text: str, now: float) -> float:
    try:
        return parse_instant(text, now)
    except ValueError as error:
        raise UnusableError(f"{flag}: {error}") from None
