"""The trail as it is written: entries in batches, their hashes, signed checkpoints, and proofs from all of it.

One process at a time has it (`opening.open_trail`), and any of its threads may call. It must not know records, nor who
may do what.
"""

import base64
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import msgspec

from fairlead.audit import checkpoints
from fairlead.audit.entry import Entry, encode
from fairlead.audit.hashes import Hashes
from fairlead.audit.note import Checkpoint, Signer, claimed
from fairlead.audit.segments import Writer
from fairlead.audit.subjects import Subjects

SIGN_AT = 1000
"""Entries without a checkpoint over them after which one is signed at once."""
PROBE = 4096
"""Bytes that must fit on the disk before an administrative change is let through."""
POSITIONS = "positions"


class Positions(msgspec.Struct, frozen=True):
    """What the first `size` entries have of the journals and of the database, so that nobody must read them for it."""

    size: int
    journals: dict[str, int]
    outbox: frozenset[int]
    """Entries of the database that are in the trail and may still be in the database."""


def positions_text(origin: str, said: bytes) -> bytes:
    """What is signed of the positions, so that it can be taken for nothing else."""
    return f"fairlead audit positions\n{origin}\n".encode() + said


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What opening a folder has found and made ready."""

    folder: Path
    lock: int
    signer: Signer
    hashes: Hashes
    subjects: Subjects
    prev: str
    journals: dict[str, int]
    outbox: set[int]
    notes: list[str]


class Trail:
    """An open trail. After an OSError it is to be closed: opening it again repairs what was left."""

    def __init__(self, begun: Begun, clock: Callable[[], float]) -> None:
        self.folder = begun.folder
        self.signer = begun.signer
        self.subjects = begun.subjects
        self.journals = begun.journals
        """Up to where each journal file is in it."""
        self.outbox = begun.outbox
        """What came from the database and may still be there."""
        self._lock = begun.lock
        self._hashes = begun.hashes
        self._prev = begun.prev
        self._writer = Writer(begun.folder, begun.hashes.frontier.size)
        self._clock = clock
        self._mutex = threading.RLock()
        self._length = checkpoints.length_of(begun.notes)
        self.latest = begun.notes[-1] if begun.notes else ""
        """The newest note; empty: none was signed yet."""
        self.signed = claimed(self.latest).size if self.latest else 0

    @property
    def size(self) -> int:
        return self._hashes.frontier.size

    @property
    def origin(self) -> str:
        return self.signer.verifier.name

    def now(self) -> int:
        """Microseconds since the epoch, as entries have them."""
        return round(self._clock() * 1_000_000)

    def append(self, drafts: Sequence[Entry]) -> int:
        """Adds a batch, all or nothing, and has the disk keep it; the number of its first entry. Raises OSError."""
        with self._mutex:
            first = number = self.size
            prev = self._prev
            lines, leaves = [], []
            for draft in drafts:
                line = encode(msgspec.structs.replace(draft, seq=number, prev=prev))
                leaf = sha256(b"\x00" + line).digest()
                lines.append(line + b"\n")
                leaves.append(leaf)
                prev = leaf.hex()
                number += 1
            self._writer.append(lines)
            self._prev = prev
            for leaf in leaves:
                self._hashes.add(leaf)
            self._hashes.flush()
            self._note(drafts)
            if self.size - self.signed >= SIGN_AT:
                self.sign()
            return first

    def append_next(self, draft_for: Callable[[int], Entry]) -> int:
        """Adds an entry that needs to know its own number."""
        with self._mutex:
            return self.append([draft_for(self.size)])

    def sign(self) -> bool:
        """Signs a checkpoint over everything; False: there is one already. Raises OSError."""
        with self._mutex:
            if self.size == self.signed:
                return False
            self._hashes.sync()
            size = self.size
            note = self.signer.sign(Checkpoint(self.origin, size, self._hashes.frontier.root()).text())
            self._length = checkpoints.keep(self.folder, note, self._length)
            self.latest, self.signed = note, size
            kept = Positions(size, self.journals, frozenset(self.outbox))
            self._keep_positions(msgspec.json.encode(kept))
            return True

    def check(self) -> None:
        """Raises OSError unless another entry is likely to fit on the disk."""
        path = self.folder / "probe"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.write(file, bytes(PROBE)) < PROBE:
                raise OSError("the disk is full")
            os.fdatasync(file)
        finally:
            os.close(file)
            path.unlink()

    def delivered(self, numbers: Sequence[int]) -> None:
        """The database has forgotten these."""
        with self._mutex:
            self.outbox.difference_update(numbers)

    def forget_journals(self, there: Mapping[str, object]) -> None:
        """Journal files that are not there any more need no position."""
        with self._mutex:
            self.journals = {file: end for file, end in self.journals.items() if file in there}

    def close(self) -> None:
        """Lets another process have it. Signs nothing."""
        with self._mutex:
            self._writer.close()
            self._hashes.close()
            self.subjects.close()
            os.close(self._lock)

    def _keep_positions(self, said: bytes) -> None:
        # Signed: a position that somebody else has written would leave a part of a journal out, or take it twice.
        signature = base64.b64encode(self.signer.raw(positions_text(self.origin, said)))
        checkpoints.replace(self.folder / POSITIONS, said + b"\n" + signature)

    def _note(self, drafts: Sequence[Entry]) -> None:
        for draft in drafts:
            if draft.journal is not None:
                self.journals[draft.journal.file] = draft.journal.end
            if draft.outbox is not None:
                self.outbox.add(draft.outbox)
