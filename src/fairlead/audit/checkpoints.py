"""The signed checkpoints of a trail: all of them in one file, and the newest in another that is easy to hand out.

It must not know keys: whoever reads them opens the notes.
"""

import os
from pathlib import Path

from fairlead.audit.note import NoteError, claimed
from fairlead.audit.segments import sync_folder

ALL, LATEST = "checkpoints", "checkpoint"


def notes_in(text: str) -> list[str]:
    """The notes that stand in a file one after the other; what is torn at the end is left out.

    Raises NoteError for anything else that is no note.
    """
    parts = text.split("\n\n")
    if parts and parts[-1]:
        parts.pop()  # what a process that was killed has begun
    notes = []
    for body, signatures in zip(parts[::2], parts[1::2], strict=False):
        note = f"{body}\n\n{signatures}\n"
        claimed(note)
        notes.append(note)
    return notes


def all_of(folder: Path) -> list[str]:
    """Every note of a trail, oldest first. Raises NoteError or OSError."""
    path = folder / ALL
    try:
        return notes_in(path.read_text()) if path.exists() else []
    except UnicodeDecodeError:
        raise NoteError(f"the file {ALL} is not text") from None


def latest_of(folder: Path) -> str | None:
    """The newest note, as it is handed out; None: there is none. Raises NoteError or OSError."""
    path = folder / LATEST
    try:
        return path.read_text() if path.exists() else None
    except UnicodeDecodeError:
        raise NoteError(f"the file {LATEST} is not text") from None


def keep(folder: Path, note: str, size: int) -> int:
    """Adds a note behind the first `size` bytes of the file of all; its size then. Raises OSError."""
    data = note.encode() + b"\n"
    file = os.open(folder / ALL, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(file, size)
        os.pwrite(file, data, size)
        os.fsync(file)
    finally:
        os.close(file)
    replace(folder / LATEST, note.encode())
    return size + len(data)


def length_of(notes: list[str]) -> int:
    """The bytes that these notes take in the file of all."""
    return sum(len(note.encode()) + 1 for note in notes)


def replace(path: Path, data: bytes) -> None:
    """Puts `data` in the place of the file at `path`, or leaves what was there. Raises OSError."""
    beside = path.with_name(f"{path.name}.new")
    with beside.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)
    sync_folder(path.parent)
