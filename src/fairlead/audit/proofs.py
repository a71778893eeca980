"""Proofs from a folder, live or copied: that an entry is in a signed tree, that one tree is the beginning of another.

What `tools/verify_audit.py` takes. It reads, and holds each proof against the signed root before it gives it out. It
must not know who asks.
"""

import base64
from contextlib import closing
from pathlib import Path

import msgspec

from fairlead.audit import checkpoints
from fairlead.audit.hashes import Hashes
from fairlead.audit.note import Checkpoint, claimed
from fairlead.audit.segments import lines_of
from fairlead.audit.tree import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    proves_consistency,
    proves_inclusion,
    root_of,
)


class ProofError(Exception):
    """There is no such proof; the message says why."""


class Inclusion(msgspec.Struct, frozen=True, kw_only=True):
    """That an entry is at a place of a signed tree."""

    index: int
    entry: str
    """The entry's line without its newline: the leaf."""
    hashes: tuple[str, ...]
    """The path from the leaf to the root, in base64."""
    checkpoint: str
    """The signed note of the tree."""


class Consistency(msgspec.Struct, frozen=True, kw_only=True):
    """That a tree is the beginning of another: nothing of it was changed or taken away."""

    old: str
    """The signed note of the smaller tree."""
    new: str
    hashes: tuple[str, ...]


def inclusion(folder: Path, index: int) -> Inclusion:
    """A proof for entry `index` in the newest signed tree. Raises ProofError, NoteError or OSError."""
    note = _latest(folder)
    tree = claimed(note)
    if not 0 <= index < tree.size:
        raise ProofError(f"entry {index} is not in the newest signed tree, which has {tree.size}, from 0 on")
    line = next((line[:-1] for number, line in lines_of(folder, index) if number == index), None)
    if line is None:
        raise ProofError(f"entry {index} is missing; run 'fairlead audit verify'")
    with closing(Hashes(folder, writable=False)) as hashes:
        path = inclusion_proof(index, tree.size, hashes.subtree)
    if not proves_inclusion(tree.root, leaf_hash(line), (index, tree.size), path):
        raise ProofError(f"entry {index} is not what was signed; run 'fairlead audit verify'")
    return Inclusion(index=index, entry=line.decode(), hashes=_written(path), checkpoint=note)


def consistency(folder: Path, old: int, new: int | None = None) -> Consistency:
    """A proof between two signed trees; `new` is the newest where it is not given.

    Raises ProofError, NoteError or OSError.
    """
    notes = {claimed(note).size: note for note in checkpoints.all_of(folder)}
    new = max(notes, default=0) if new is None else new
    for size in (old, new):
        if size not in notes:
            near = ", ".join(map(str, sorted(notes, key=lambda one: abs(one - size))[:3])) or "none"
            raise ProofError(f"no tree of {size} entries was signed; the nearest that were: {near}")
    if old > new:
        raise ProofError(f"a tree of {old} entries cannot be the beginning of one of {new}")
    first, second = claimed(notes[old]), claimed(notes[new])
    with closing(Hashes(folder, writable=False)) as hashes:
        path = consistency_proof(old, new, hashes.subtree)
        if root_of(old, hashes.subtree) != first.root or not _holds(first, second, path):
            raise ProofError("the trail is not what was signed; run 'fairlead audit verify'")
    return Consistency(old=notes[old], new=notes[new], hashes=_written(path))


def _holds(first: Checkpoint, second: Checkpoint, path: list[bytes]) -> bool:
    return proves_consistency((first.size, first.root), (second.size, second.root), path)


def _latest(folder: Path) -> str:
    note = checkpoints.latest_of(folder)
    if note is None:
        raise ProofError(f"{folder} has no signed checkpoint")
    return note


def _written(path: list[bytes]) -> tuple[str, ...]:
    return tuple(base64.b64encode(one).decode() for one in path)
