"""`fairlead audit`: verifies, shows and proves a trail without a gateway, erases, and answers an alarm."""

import argparse
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import msgspec

from fairlead.audit import alarm, checkpoints, keys, proofs
from fairlead.audit.change import Change, encode_change
from fairlead.audit.entry import Entry, decode
from fairlead.audit.note import NoteError
from fairlead.audit.proofs import ProofError
from fairlead.audit.segments import lines_of, size_of
from fairlead.audit.subjects import Subjects, readable
from fairlead.audit.verify import Finding, Report, verify
from fairlead.cli.output import print_json, print_problems, print_table
from fairlead.cli.stores import UnusableError, machine_of, store_of
from fairlead.config.load import DEFAULT_FILE, FILE_VARIABLE, load
from fairlead.config.model import Config
from fairlead.database import outbox, schema
from fairlead.database.engine import Database
from fairlead.database.place import DatabaseError
from fairlead.state.pepper import PepperError

PROBLEMS = (
    UnusableError,
    ProofError,
    keys.NoRotationError,
    NoteError,
    DatabaseError,
    PepperError,
    OSError,
    sqlite3.Error,
)


def run(args: argparse.Namespace) -> int:
    """0 where it was done, or the trail is right; else 1."""
    try:
        return _ACTIONS[args.action](args)
    except BrokenPipeError:
        raise  # whoever reads has seen enough, and that is no problem of the trail
    except PROBLEMS as problem:
        print(f"fairlead audit {args.action}: {problem}", file=sys.stderr)
        return 1


def _verify(args: argparse.Namespace) -> int:
    held = [Path(name).read_text() for name in args.checkpoint]
    report = verify(_trail(_data(args)), vkey=args.key, held=held)
    if args.json:
        print_json({**msgspec.structs.asdict(report), "root": report.root.hex()})
    else:
        _print_report(report, noted=args.key is not None)
    return 0 if report.finding is None else 1


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def _print_report(report: Report, *, noted: bool) -> None:
    name = report.origin or "a trail without a name"
    print(f"{_count(report.size, 'entry', 'entries')} of {name}" if report.finding is None else f"the trail of {name}")
    print(f"{_count(report.checkpoints, 'checkpoint')}; signed: {_count(report.signed, 'entry', 'entries')}")
    for vkey in report.keys:
        print(f"key {vkey}")
    if report.torn:
        print("the last line was being written when this was copied; it is not counted")
    if report.finding is not None:
        print(f"BAD: {_verdict(report.finding, report.signed)}")
        return
    print("all entries are as they were written")
    if not noted:
        print("the key is the one that the trail names: hold it against the one that you noted, or give it as --key")


def _verdict(finding: Finding, signed: int) -> str:
    """What still holds, and what does not."""
    sound = min(signed, finding.first)
    words = {0: "no entry is shown to be as it was signed", 1: "the first entry is as it was signed"}
    holds = words.get(sound, f"the first {sound} entries are as they were signed")
    if sound < finding.first:
        holds += f", those from {sound} to {finding.first - 1} are under no checkpoint that is right"
    if finding.end == finding.first + 1:
        return f"{holds}; entry {finding.first} is not: {finding.message}"
    return f"{holds}; entries {finding.first} to {finding.end - 1} are not: {finding.message}"


def _show(args: argparse.Namespace) -> int:
    folder = _trail(_data(args))
    size = size_of(folder)
    start = max(size - args.limit, 0) if args.start is None else args.start
    lines = [line for _, line in islice(lines_of(folder, start), min(args.limit, max(size - start, 0)))]
    if args.personal:
        _print_personal(folder, lines)
    elif args.json:
        for line in lines:
            sys.stdout.write(line.decode(errors="replace"))
    else:
        heads = ("SEQ", "AT", "ACTION", "ACTOR", "TENANT", "OBJECT", "OUTCOME", "REQUEST")
        print_table(heads, [_row(_entry(line)) for line in lines])
    sys.stdout.flush()
    if not lines:
        raise UnusableError(f"there is no entry {start}: the trail has {size}")
    if len(lines) < size:
        print(f"entries {start} to {start + len(lines) - 1} of {size}; --from and --limit show others", file=sys.stderr)
    return 0


def _entry(line: bytes) -> Entry:
    try:
        return decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise UnusableError("one of these lines is no entry; 'fairlead audit verify' says which") from None


def _row(entry: Entry) -> tuple[str, ...]:
    at = datetime.fromtimestamp(entry.at // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    named = (entry.action, entry.actor, entry.tenant, entry.object, entry.outcome, entry.request)
    return (str(entry.seq), at, *named)


def _print_personal(folder: Path, lines: list[bytes]) -> None:
    with closing(Subjects(_private(folder) / "subjects.db")) as subjects:
        for line in lines:
            sealed = _entry(line).sealed
            shown = msgspec.json.decode(line)
            if sealed is not None:
                shown["sealed"] = readable(sealed, subjects) or "erased"
            sys.stdout.write(msgspec.json.encode(shown).decode() + "\n")


def _prove(args: argparse.Namespace) -> int:
    print_json(proofs.inclusion(_trail(_data(args)), args.number))
    return 0


def _consistency(args: argparse.Namespace) -> int:
    print_json(proofs.consistency(_trail(_data(args)), args.old, args.new))
    return 0


def _key(args: argparse.Namespace) -> int:
    """The key in force, as the trail itself has it."""
    report = verify(_trail(_data(args)))
    if not report.keys:
        raise UnusableError("the trail names no key yet")
    print(report.keys[-1])
    return 0 if report.finding is None else 1


def _erase(args: argparse.Namespace) -> int:
    store = store_of(args)
    file = store.place.data / "audit-private" / "subjects.db"
    if not file.exists():
        raise UnusableError(f"{file} is not there: nothing was ever sealed here")
    with closing(Subjects(file)) as subjects:
        key = subjects.id_of(args.tenant, args.user)
        if key is None:
            raise UnusableError("there is no key of this tenant and user: nothing was sealed, or it is erased already")
        database = Database(store.place)
        try:
            schema.prepare(database)
            at = time.time_ns() // 1000
            entry = Entry(at=at, action="audit.erase", actor="cli", tenant=args.tenant, object=key)
            with database.writing() as connection:
                outbox.add(connection, encode_change(Change(entry)), machine_of(store.place.data))
            subjects.destroy(args.tenant, args.user, at)
        finally:
            database.close()
    print(f"the key {key} is destroyed; what was sealed under it cannot be read again")
    return 0


def _rotate_key(args: argparse.Namespace) -> int:
    folder = _trail(_data(args))
    latest = checkpoints.latest_of(folder)
    if latest is None:
        raise UnusableError("the trail has no signed checkpoint yet")
    keys.rotate(_private(folder), latest)
    print("another signing key is made; restart the gateway, and the old key signs the change to it")
    return 0


def _acknowledge(args: argparse.Namespace) -> int:
    folder = _trail(_data(args))
    raised = alarm.raised(folder)
    if raised is None:
        raise UnusableError("no alarm stands")
    alarm.acknowledge(folder, raised)
    print(f"acknowledged: {raised.message}")
    if raised.kind in alarm.SET_ASIDE:
        print(f"{folder} is set aside beside itself as {folder.name}-until-<time>, and a new trail begins: keep both")
    return 0


def _data(args: argparse.Namespace) -> Path:
    """What the command line names, else the configuration, else where the gateway keeps its data without one."""
    if args.data is not None:
        return Path(args.data)
    if args.config is None and not os.environ.get(FILE_VARIABLE) and not Path(DEFAULT_FILE).exists():
        return Path(Config().data)
    loaded = load(args.config, os.environ)
    if loaded.config is None:
        print_problems(loaded.errors)
        raise UnusableError("the configuration has errors; name the data folder itself")
    return Path(loaded.config.data)


def _trail(data: Path) -> Path:
    """The trail's folder in a data folder, or the folder itself."""
    for folder in (data / "audit", data):
        if any(folder.glob("entries-*.jsonl")):
            return folder
    raise UnusableError(f"{data} has no audit trail; name the data folder or a copy of its audit folder")


def _private(folder: Path) -> Path:
    return folder.with_name("audit-private")


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "verify": _verify,
    "show": _show,
    "prove": _prove,
    "consistency": _consistency,
    "key": _key,
    "erase": _erase,
    "rotate-key": _rotate_key,
    "acknowledge": _acknowledge,
}
