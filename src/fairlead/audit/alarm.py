"""The alarm of a trail that is not what it was, and the operator's word that it may go on all the same.

Files in the trail's folder: `alarm` says what was found, `acknowledge` that an operator has seen it, `acknowledged`
which checkpoints count no more. It must not know how an alarm is found.
"""

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from fairlead.audit.checkpoints import replace
from fairlead.audit.witnesses import fingerprint

ALARM, PENDING, DONE = "alarm", "acknowledge", "acknowledged"
Kind = Literal["tampered", "rollback", "fork", "key"]
SET_ASIDE = ("tampered", "key")
"""Alarms after which a trail cannot be gone on with: another begins beside it."""


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    kind: Kind
    message: str
    notes: tuple[str, ...] = ()
    """The checkpoints of witnesses that are not of the trail as it is."""


class AlarmError(Exception):
    """Nothing may be added to the trail."""

    def __init__(self, kind: Kind, message: str, notes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.alarm = Alarm(kind=kind, message=message, notes=tuple(notes))


def raised(folder: Path) -> Alarm | None:
    """The alarm that stands; None: there is none. Raises OSError."""
    return _read(folder / ALARM)


def raise_it(folder: Path, alarm: Alarm) -> None:
    replace(folder / ALARM, msgspec.json.encode(alarm))


def acknowledge(folder: Path, alarm: Alarm) -> None:
    """The operator wants to go on all the same: the trail is opened again soon."""
    replace(folder / PENDING, msgspec.json.encode(alarm))


def pending(folder: Path) -> Alarm | None:
    """What the operator has acknowledged and the trail does not say yet."""
    return _read(folder / PENDING)


def settle(folder: Path, alarm: Alarm | None) -> None:
    """The trail is open, and says what was acknowledged."""
    if alarm is not None and alarm.notes:
        known = ignored(folder) | {fingerprint(note) for note in alarm.notes}
        replace(folder / DONE, "".join(f"{one}\n" for one in sorted(known)).encode())
    for name in (ALARM, PENDING):
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()


def ignored(folder: Path) -> set[str]:
    """The fingerprints of checkpoints that count no more."""
    path = folder / DONE
    return set(re.findall(r"[0-9a-f]{64}", path.read_text())) if path.exists() else set()


def _read(path: Path) -> Alarm | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Alarm)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
