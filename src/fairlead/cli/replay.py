"""`fairlead replay`: recorded traffic through a proposed configuration, and what that changes.

It reads files alone: no gateway runs, nobody is contacted, and nothing but the report is written.
"""

import argparse
import sys
import time
from itertools import pairwise
from pathlib import Path

import msgspec

from fairlead.canonical.routing import Snapshot
from fairlead.cli import report_files
from fairlead.cli.configured import configured
from fairlead.cli.flags import Rule, refuse
from fairlead.cli.journals import WHAT, Journals
from fairlead.cli.origin import origin
from fairlead.cli.output import print_json
from fairlead.cli.progress import Progress
from fairlead.cli.report_text import print_report
from fairlead.cli.stores import UnusableError
from fairlead.control.instants import parse_instant
from fairlead.simulator.compare import differences
from fairlead.simulator.replay import Side, as_recorded, beside, replayed
from fairlead.simulator.report import Comparison, Report, Run
from fairlead.simulator.trace import Trace

UNDONE = "nothing is replayed"
TEXTS = {
    "config": "the proposed file",
    "against": "the file that served the traffic",
    "since": "for example 7d",
    "until": "for example 2027-01-31",
    "report": "a file, such as report.html",
}
RULES: tuple[Rule, ...] = ((lambda args: not args.journal.strip(), f"the journal's path is empty; {WHAT}"),)


def run(args: argparse.Namespace) -> int:
    """0 where it was replayed, else 1."""
    try:
        refuse(args, TEXTS, RULES)
        if args.report:
            report_files.check(args.report)
        report = _report(args)
        if args.report:
            report_files.write(report, args.report)
    except UnusableError as problem:
        print(f"fairlead replay: {problem}", file=sys.stderr)
        return 1
    if args.json:
        print_json(report)
    else:  # a report has the simulations as well
        print_report(msgspec.structs.replace(report, runs=[], comparisons=[]))
    return 0


def _report(args: argparse.Namespace) -> Report:
    """What changes, and the simulations behind it. Raises UnusableError."""
    name, new = configured(args.config, undone=UNDONE)
    old = None if args.against is None else configured(args.against, undone=UNDONE)[1]
    journals = Journals(Path(args.journal), *_times(args, time.time()))
    trace = journals.trace()
    recorded = _recorded(trace, journals, old or new)
    sides = [_side(one, trace, journals, args.seed) for one in (old, new) if one is not None]
    found = beside(trace, new, recorded=recorded, old=sides[0] if old else None, new=sides[-1])
    names = [*([args.against] if old else []), name]
    runs = [Run(name=name, summary=side.summary) for name, side in zip(names, sides, strict=True) if side.summary]
    return Report(
        title=f"{args.journal}, replayed",
        origin=origin(args, trace.requests),
        assumed=found.assumed,
        runs=runs,
        comparisons=[
            Comparison(before=one.name, after=other.name, differences=differences(one.summary, other.summary))
            for one, other in pairwise(runs)
        ],
        replay=found,
    )


def _recorded(trace: Trace, journals: Journals, snapshot: Snapshot) -> Side:
    with Progress(trace.requests, "requests") as progress:
        return as_recorded(trace, progress.over(journals.by_end()), snapshot)


def _side(snapshot: Snapshot, trace: Trace, journals: Journals, seed: int) -> Side:
    with Progress(trace.requests, "requests") as progress:
        return replayed(snapshot, trace, journals.by_end(), seed=seed, tell=progress.tell)


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
