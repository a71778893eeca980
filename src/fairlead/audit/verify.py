"""Verifies a trail offline: every entry, every signed checkpoint, and checkpoints that somebody else has kept.

It reads a folder, live or copied, and changes nothing. It must not know the gateway.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from fairlead.audit import checkpoints
from fairlead.audit.hashes import WIDTH
from fairlead.audit.note import Checkpoint, NoteError, Verifier, claimed, opened, verifier_of
from fairlead.audit.segments import lines_of
from fairlead.audit.walk import BadEntryError, Walk

BLOCK = 4096
"""Hashes that are read together."""


class Finding(msgspec.Struct, frozen=True):
    """What is wrong: in entry `first`, or somewhere in the entries from `first` to before `end`."""

    first: int
    end: int
    message: str

    def __str__(self) -> str:
        where = f"entry {self.first}" if self.end == self.first + 1 else f"entries {self.first} to {self.end - 1}"
        return f"{where}: {self.message}"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a trail came to. `finding` is None where all of it is as it was written."""

    size: int
    root: bytes
    origin: str
    keys: tuple[str, ...]
    """The keys that were in force, oldest first, as verifier keys."""
    signed: int
    """The entries that the newest checkpoint covers."""
    checkpoints: int
    torn: bool
    """Whether something was being written at the end when the folder was copied, or its writer died."""
    finding: Finding | None


def verify(folder: Path, *, vkey: str | None = None, held: Sequence[str] = (), hashes: bool = True) -> Report:
    """Walks the whole trail.

    `vkey`: a key that must be one of the trail's. `held`: notes that somebody has kept, which must be of this trail.
    `hashes`: whether the files of hashes are held against the entries too. Raises OSError or NoteError for what cannot
    be read, or for a `vkey` that is none.
    """
    return _Verification(folder, verifier_of(vkey) if vkey else None, held).run(hashes=hashes)


class _Verification:
    def __init__(self, folder: Path, trusted: Verifier | None, held: Sequence[str]) -> None:
        self._folder = folder
        self._trusted = trusted
        self._walk = Walk()
        own = checkpoints.all_of(folder)
        latest = checkpoints.latest_of(folder)
        self._count = len(own)
        self._wanted: dict[int, list[tuple[str, str]]] = {}
        """Notes by size, each with who has it."""
        for whose, notes in (("the trail", own), ("the trail", [latest] if latest else []), ("a witness", held)):
            for note in notes:
                self._wanted.setdefault(claimed(note).size, []).append((whose, note))
        self._sizes = sorted(self._wanted)
        self._good = 0
        self._torn = False

    def run(self, *, hashes: bool) -> Report:
        try:
            finding = self._entries(_kept_hashes(self._folder) if hashes else iter(())) or self._rest()
        except BadEntryError as bad:
            finding = Finding(bad.index, bad.index + 1, str(bad))
        return Report(
            size=self._walk.size,
            root=self._walk.frontier.root(),
            origin=self._walk.origin,
            keys=tuple(key.vkey for key in self._walk.keys),
            signed=self._good,
            checkpoints=self._count,
            torn=self._torn,
            finding=finding,
        )

    def _entries(self, kept: Iterator[bytes]) -> Finding | None:
        walk = self._walk
        due = iter(self._sizes)
        size = next(due, -1)
        if size == 0:
            return Finding(0, 1, "there is a checkpoint of no entries, which is never signed here")
        last = self._sizes[-1] if self._sizes else 0
        lines = lines_of(self._folder)
        for number, line in lines:
            if number != walk.size:
                raise BadEntryError(walk.size, f"it is missing: entry {number} comes next")
            if is_torn(line) and walk.size >= last:
                if next(lines, None) is not None:
                    raise BadEntryError(walk.size, "it is torn, and others follow")
                self._torn = True
                return None
            walk.take(line, next(kept, None))
            if walk.size == size:
                if finding := self._compare(size):
                    return finding
                self._good, size = size, next(due, -1)
        return None

    def _compare(self, size: int) -> Finding | None:
        """Holds the tree as it is now against the checkpoints of its size."""
        root = self._walk.frontier.root()
        for whose, note in self._wanted[size]:
            found = self._opened(note)
            if isinstance(found, str):
                return Finding(size - 1, size, f"the checkpoint of {size} entries that {whose} has: {found}")
            if found.root != root:
                return Finding(self._good, size, f"the checkpoint of {size} entries that {whose} has is of others")
            if found.origin != self._walk.origin:
                return Finding(size - 1, size, f"the checkpoint that {whose} has is of {found.origin!r}")
        return None

    def _opened(self, note: str) -> Checkpoint | str:
        """The checkpoint, or why it does not count."""
        try:
            return opened(note, *([self._walk.key] if self._walk.key else []))
        except NoteError as error:
            return str(error)

    def _rest(self) -> Finding | None:
        size = self._walk.size
        if beyond := [one for one in self._sizes if one > size]:
            whose, note = self._wanted[beyond[-1]][0]
            found = claimed(note)
            return Finding(size, found.size, f"they are gone: the checkpoint that {whose} has is of {found.size}")
        if size and not self._count:
            return Finding(0, size, "there is no signed checkpoint, so nothing shows that they are as they were")
        if self._trusted is not None and self._trusted.vkey not in [key.vkey for key in self._walk.keys]:
            return Finding(0, max(size, 1), f"the trail is not of the key {self._trusted.vkey}")
        return None


def is_torn(line: bytes) -> bool:
    """Whether a line was being written when the machine died: without an end, or with zeros that the disk put there."""
    return line[-1:] != b"\n" or b"\x00" in line


def _kept_hashes(folder: Path) -> Iterator[bytes]:
    path = folder / "hashes-0"
    if not path.exists():
        return
    with path.open("rb") as stream:
        while block := stream.read(BLOCK * WIDTH):
            for at in range(0, len(block) - WIDTH + 1, WIDTH):
                yield block[at : at + WIDTH]
