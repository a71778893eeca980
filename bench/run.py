"""Measures the gateway beside nginx and writes bench/results/<date>-<commit>.json and .md.

Load and provider run on core 0, what is measured on core 1. Needs nginx, wrk and taskset.
`--subject nginx` measures a second nginx proxy instead: what the harness shows when there is no difference.
"""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TypeVar

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import cases, figures, holding, machine, recording, report
from bench.load import LoadError
from bench.soak import PLANS, soak
from bench.stage import LOAD_CORE, SUBJECT_CORE, MissingToolError, Stage, staged

RESULTS = machine.ROOT / "bench/results"
DOCUMENTS = ("README.md", "docs/performance.md")
T = TypeVar("T")
CASES = ("chat", "ladder", "first", "streams", "translated", "process", "limits", "journal", "soak")


class Measured(msgspec.Struct, kw_only=True):
    """The samples of the cases that ran; empty where one was left out."""

    chats: dict[str, figures.Rounds] = {}
    ladder: dict[str, figures.Rounds] = {}
    first: figures.Rounds = {}
    paced: figures.Rounds = {}
    translated: figures.Rounds = {}
    goals: list[figures.Goal] = []
    singles: dict[str, str] = {}


def measure(stage: Stage, size: cases.Size, wanted: set[str]) -> Measured:
    """Runs the cases in an order that takes the idle figures before any load."""
    found = Measured()
    ours = stage.subject.name == "fairlead"
    if "process" in wanted and ours:
        with machine.ahead(os.getpid()):
            process(stage, found)
    if "chat" in wanted:
        found.chats = _timed("whole answers", lambda: cases.whole_answers(stage, size))
    if "ladder" in wanted:
        found.ladder = _timed("connections", lambda: cases.ladder(stage, size))
    if "first" in wanted:
        with machine.at_once(os.getpid()):
            found.first = _timed("first text", lambda: cases.first_text(stage, size))
    with machine.ahead(os.getpid()):
        if "streams" in wanted:
            found.paced = _timed("512 streams", lambda: cases.paced_streams(stage, size))
        if "translated" in wanted and ours:
            found.translated = _timed("translated", lambda: cases.translated_streams(stage, size))
    if "limits" in wanted and ours:
        _timed("limits", lambda: limits(found))
    if "journal" in wanted and ours:
        _timed("journal", lambda: journal(found))
    if "soak" in wanted and ours:
        _timed("soak", lambda: leaks(stage, size, found))
    return found


def process(stage: Stage, found: Measured) -> None:
    """Memory at rest, the time of --help and of the start."""
    memory, helped = cases.idle_memory(stage), median(cases.help_seconds())
    ready = median(cases.ready_seconds())
    worker = memory["worker"]
    found.goals += [
        figures.at_most("idle worker, resident memory", worker.rss_mb, 60, "MB"),
        figures.at_most("fairlead --help", helped, 0.3, "s"),
        figures.at_most("start to ready", ready, 1, "s"),
    ]
    for name, each in memory.items():
        found.singles[f"idle memory, {name}"] = f"{each.rss_mb:.1f} MB resident, {each.pss_mb:.1f} MB proportional"
    found.singles["fairlead --help, median of 5"] = f"{helped:.3f} s"
    found.singles["start to the first 200 on /readyz, median of 3"] = f"{ready:.3f} s"


def limits(found: Measured) -> None:
    """CPU of key check, reserve and settle, on the core of the subject."""
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SUBJECT_CORE})
    try:
        measured = holding.measured()
    finally:
        os.sched_setaffinity(0, here)
    for engine, bound in (("local", 30), ("valkey", 150)):
        for tier in holding.TIERS:
            middle = median(measured[engine][f"{tier}, 1 at a time"])
            found.goals.append(
                figures.at_most(f"limits of tier {tier}, {engine}, CPU per request", middle, bound, "us")
            )
    for engine, loads in measured.items():
        for load, values in loads.items():
            text = f"{median(values):.1f} us ({min(values):.1f} to {max(values):.1f})"
            found.singles[f"limits: key check, reserve, settle, {engine}, tier {load}"] = text


def journal(found: Measured) -> None:
    """CPU of one request's record and its way into the journal, on the core of the subject."""
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SUBJECT_CORE})
    try:
        measured = recording.measured()
    finally:
        os.sched_setaffinity(0, here)
    for name, values in measured.items():
        found.singles[f"journal + record, {name}"] = f"{median(values):.1f} us ({min(values):.1f} to {max(values):.1f})"
    busiest = median(measured["forced every 50 ms, 16 per turn"])
    found.goals.append(figures.at_most("journal + record, CPU per request", busiest, 10, "us"))


def leaks(stage: Stage, size: cases.Size, found: Measured) -> None:
    verdict = soak(stage, PLANS[size.soak])
    before, after = verdict.before, verdict.after
    found.goals.append(figures.at_most("leaks", len(verdict.leaks), 0, ""))
    found.singles["leak check"] = "; ".join(verdict.leaks) or (
        f"none after {verdict.requests:,} requests and {verdict.aborts:,} aborted streams: "
        f"{before.rss_mb:.1f} → {after.rss_mb:.1f} MB, {before.open_files} → {after.open_files} files"
    )


def judge(found: Measured, subject: str) -> list[figures.Goal]:
    """All goals whose cases ran, in the order of the report."""
    goals = figures.answer_goals(found.chats, subject) if found.chats else []
    if found.paced and found.first:
        goals += figures.stream_goals(found.paced, found.first, found.translated, subject)
    return goals + found.goals


def assemble(found: Measured, subject: str, size: str, load_before: float) -> report.Result:
    now = time.strftime("%Y-%m-%d", time.gmtime())
    everything = [found.first, found.paced, found.translated, *found.chats.values(), *found.ladder.values()]
    ours = [sample for rounds in everything for sample in rounds.get(subject, [])]
    return report.Result(
        date=now,
        commit=machine.commit(),
        subject=subject,
        size=size,
        machine=machine.describe(),
        load_before=load_before,
        waited_share=median([sample.waited_share for sample in ours] or [0.0]),
        others_share=median([sample.others_share for sample in ours] or [0.0]),
        slowdown=machine.slowdown(SUBJECT_CORE, LOAD_CORE),
        goals=judge(found, subject),
        chats={name: figures.lines(rounds) for name, rounds in found.chats.items()},
        ladder={f"{name} connections": figures.lines(rounds) for name, rounds in found.ladder.items()},
        first_text=figures.lines(found.first, first="ttft_"),
        paced=figures.lines(found.paced, first="gap_"),
        translated=figures.lines(found.translated, first="gap_", against="paced"),
        singles=found.singles,
        samples={"chats": found.chats, "ladder": found.ladder, "first": found.first}
        | {"paced": found.paced, "translated": found.translated},
    )


def publish(result: report.Result, folder: Path, update_docs: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{result.date}-{result.commit}" + ("" if result.subject == "fairlead" else f"-{result.subject}")
    (folder / f"{stem}.json").write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    (folder / f"{stem}.md").write_text(report.page(result))
    print(f"\nwritten: {folder / stem}.json and .md", file=sys.stderr)
    if not update_docs:
        return
    for name in DOCUMENTS:
        done = report.write_block(machine.ROOT / name, report.block(result))
        print(f"{name}: {'updated' if done else 'has no bench markers'}", file=sys.stderr)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench/run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_const", dest="size", const="quick", help="under 40 seconds")
    size.add_argument("--full", action="store_const", dest="size", const="full", help="about 25 minutes")
    parser.add_argument("--case", action="append", choices=CASES, help="only this case (may be repeated)")
    parser.add_argument("--subject", default="fairlead", help="fairlead, nginx, or a command with {port} {provider}")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the result files")
    parser.add_argument("--no-files", action="store_true", help="print only")
    parser.add_argument("--exclusive", action="store_true", help="as root: leave next to nothing to other work")
    parser.add_argument("--update-docs", action="store_true", help=f"rewrite the block in {' and '.join(DOCUMENTS)}")
    parser.add_argument("--patience", type=float, help="seconds per case for rounds taken again because of others")
    parser.set_defaults(size="default")
    return parser.parse_args()


def sized(args: argparse.Namespace) -> cases.Size:
    size = cases.SIZES[args.size]
    return size if args.patience is None else msgspec.structs.replace(size, patience=args.patience)


def main() -> int:
    args = options()
    load_before = os.getloadavg()[0]
    try:
        with staged(args.subject) as stage, contextlib.ExitStack() as stack:
            if args.exclusive:
                stack.enter_context(machine.ahead(os.getpid()))
            found = measure(stage, sized(args), set(args.case or CASES))
            result = assemble(found, stage.subject.name, args.size, load_before)
    except (MissingToolError, LoadError) as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 2
    print(report.page(result))
    if not args.no_files:
        publish(result, args.out, args.update_docs)
    return 0


def _timed(name: str, run: Callable[[], T]) -> T:
    begun = time.perf_counter()
    result = run()
    print(f"{name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    return result


if __name__ == "__main__":
    raise SystemExit(main())
