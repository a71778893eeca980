"""Witnesses: what else has a trail's checkpoints, and whether one of them gives it the lie.

A witness that is a directory has a folder for each trail with a file for each size. It must not know URLs.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from fairlead.audit.checkpoints import LATEST, replace
from fairlead.audit.note import Checkpoint, NoteError, Verifier, claimed, opened
from fairlead.audit.tree import Subtree, root_of

_NAME = re.compile(r"([0-9]{12})(?:-[0-9a-f]{8})?")


def place_of(witness: Path, origin: str) -> Path:
    """Where a directory keeps the checkpoints of one trail."""
    return witness / quote(origin, safe="")


def copy(witness: Path, note: str) -> None:
    """Adds a note; what another note of the same size says stays beside it. Raises OSError."""
    found = claimed(note)
    place = place_of(witness, found.origin)
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{found.size:012d}"
    if path.exists() and path.read_text() != note:
        path = place / f"{found.size:012d}-{fingerprint(note)[:8]}"
    if not path.exists():
        replace(path, note.encode())
    replace(place / LATEST, note.encode())


def held(witness: Path, origin: str, size: int, signed: Collection[int]) -> Iterator[str]:
    """What a directory has to say to a trail of `size` entries that has signed checkpoints of these sizes.

    Its newest, and every one that the trail does not know: one that is larger, one of a size that it has not signed
    (it was rolled back while the witness was away, and has gone on), one of several that are of the same size.
    Raises OSError.
    """
    place = place_of(witness, origin)
    if not place.is_dir():
        return
    sizes = {path: int(match.group(1)) for path in place.iterdir() if (match := _NAME.fullmatch(path.name))}
    newest = max((found for found in sizes.values() if found <= size), default=-1)
    times = Counter(sizes.values())
    for path, found in sorted(sizes.items()):
        if found > size or found == newest or found not in signed or times[found] > 1:
            yield path.read_text(errors="replace")
    with contextlib.suppress(FileNotFoundError):
        yield (place / LATEST).read_text(errors="replace")


def against(notes: Sequence[str], tree: tuple[Checkpoint, Subtree], keys: Sequence[Verifier]) -> list[str]:
    """Those of `notes` that one of the trail's `keys` has signed and that are not of this tree."""
    own, subtree = tree
    found = []
    for note in dict.fromkeys(notes):
        try:
            other = opened(note, *keys)
        except NoteError:
            continue  # anybody can write something here; only what was signed counts
        if other.size > own.size or other.origin != own.origin or other.root != root_of(other.size, subtree):
            found.append(note)
    return found


def fingerprint(note: str) -> str:
    """What names a note that was acknowledged."""
    return sha256(note.encode()).hexdigest()
