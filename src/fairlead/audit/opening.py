"""Opens a trail for writing: waits its turn, looks whether all is as it was left, mends what a crash has torn.

What was torn is behind the last checkpoint and is cut off. Anything else that is not as it was is an alarm: then
nothing is added and nothing is touched. It must not know who writes.
"""

import base64
import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from fairlead.audit import alarm, checkpoints, witnesses
from fairlead.audit.alarm import SET_ASIDE, Alarm, AlarmError
from fairlead.audit.entry import FIRST, Entry, link_of
from fairlead.audit.hashes import Hashes
from fairlead.audit.keys import old_seed, own_seed
from fairlead.audit.note import Checkpoint, NoteError, Signer, claimed, opened
from fairlead.audit.segments import cut, lines_of, segments_of
from fairlead.audit.subjects import Subjects
from fairlead.audit.trail import POSITIONS, Begun, Positions, Trail, positions_text
from fairlead.audit.tree import Frontier, peaks_of
from fairlead.audit.verify import is_torn, verify
from fairlead.audit.walk import NEW_KEY, OPENED, BadEntryError, Walk, rotation_text


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Where a trail is, and who signs it."""

    folder: Path
    """What may be copied to others."""
    private: Path
    """Keys, which may not."""
    origin: str
    seed: bytes | None = None
    """The signing key; None: the one in `private`."""
    old_seed: bytes | None = None
    """The one before it; None: the old one in `private`, if there is one."""
    witnesses: tuple[Path, ...] = ()
    """Directories that have checkpoints of it."""
    told: tuple[str, ...] = ()
    """Checkpoints that other witnesses have told of."""

    def __repr__(self) -> str:
        return f"Terms({self.folder})"


class LockedError(Exception):
    """Another process has the trail."""


def open_trail(terms: Terms, clock: Callable[[], float]) -> Trail:
    """The trail, ready to be appended to.

    Raises LockedError, AlarmError, OSError, sqlite3.Error, and NoteError for a signing key that is none.
    """
    terms.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.ExitStack() as undo:
        lock = _locked(terms.folder)
        undo.callback(os.close, lock)
        accepted = alarm.pending(terms.folder)
        set_aside = accepted is not None and accepted.kind in SET_ASIDE
        aside = _aside(terms.folder, clock()) if set_aside else None
        if aside is not None:
            terms.folder.rename(aside)
            terms.folder.mkdir(mode=0o700)
            lock = _locked(terms.folder)
            undo.callback(os.close, lock)
        opening = _Opening(terms, accepted, lock, aside)
        trail = opening.run(clock)
        alarm.settle(terms.folder, opening.accepted)
        undo.pop_all()
        return trail


def _locked(folder: Path) -> int:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise LockedError(f"another process has the audit trail {folder}") from None
    return lock


def _aside(folder: Path, now: float) -> Path:
    return folder.with_name(f"{folder.name}-until-{now:.0f}")


class _Opening:
    def __init__(self, terms: Terms, accepted: Alarm | None, lock: int, aside: Path | None) -> None:
        """`aside`: the folder of the trail in whose place this one begins."""
        self._terms = terms
        self._folder = terms.folder
        self.accepted = accepted
        """What the operator has acknowledged, with every checkpoint that counts no more for it."""
        self._lock = lock
        self._aside = aside
        seed = terms.seed or own_seed(terms.private)
        before = terms.old_seed or (None if terms.seed else old_seed(terms.private))
        self._signer = Signer(terms.origin, seed)
        self._before = Signer(terms.origin, before) if before else None
        self._hashes = Hashes(terms.folder, writable=True)
        self._torn: tuple[int, int] | None = None

    def run(self, clock: Callable[[], float]) -> Trail:
        try:
            notes = self._notes()
            signed = self._signed(notes)
            walk, tail = self._walked(signed)
            self._restore(signed, tail)
            self._ask_witnesses()
        except BaseException:
            self._hashes.close()
            raise
        positions = self._positions(walk.size)
        begun = Begun(
            folder=self._folder,
            lock=self._lock,
            signer=self._signer,
            hashes=self._hashes,
            subjects=Subjects(self._terms.private / "subjects.db"),
            prev=walk.prev,
            journals=positions.journals,
            outbox=set(positions.outbox),
            notes=notes,
        )
        trail = Trail(begun, clock)
        self._say(trail, walk)
        return trail

    def _notes(self) -> list[str]:
        try:
            notes = checkpoints.all_of(self._folder)
            latest = checkpoints.latest_of(self._folder)
        except NoteError as error:
            raise AlarmError("tampered", f"the checkpoints cannot be read: {error}") from None
        if latest is not None and latest not in notes:
            raise AlarmError("tampered", "the newest checkpoint is missing among all checkpoints")
        return notes

    def _signed(self, notes: list[str]) -> Checkpoint:
        """The newest checkpoint."""
        if not notes:
            return Checkpoint(self._terms.origin, 0, Frontier().root())
        keys = [signer.verifier for signer in (self._signer, self._before) if signer]
        try:
            return opened(notes[-1], *keys)
        except NoteError as error:
            raise AlarmError("key", f"the newest checkpoint is of another key or origin: {error}") from None

    def _walked(self, signed: Checkpoint) -> tuple[Walk, list[bytes]]:
        """A walk along everything from before the newest checkpoint, and the leaves behind it."""
        start = max((one.first for one in segments_of(self._folder) if one.first < signed.size), default=0)
        try:
            walk = self._walk_at(start)
            tail = self._follow(walk, signed)
        except (BadEntryError, OSError) as error:
            if start == 0 and isinstance(error, BadEntryError):
                raise AlarmError("tampered", self._named(f"entry {error.index}: {error}")) from None
            # Perhaps only the hashes are not what they were. They can be made again, if the entries are right.
            self._check_all()
            walk = Walk()
            tail = self._follow(walk, signed)
        keep = max(walk.batched, signed.size)
        if keep < walk.size or self._torn:
            walk, tail = self._cut(walk, tail, signed.size, keep)
        if not signed.size and walk.size > 1:
            raise AlarmError("tampered", f"there are {walk.size} entries and no signed checkpoint")
        return walk, tail

    def _walk_at(self, start: int) -> Walk:
        if not start:
            return Walk()
        frontier = Frontier(start, peaks_of(0, start, self._hashes.subtree))
        return Walk(frontier, self._hashes.leaves(start - 1, start)[0].hex())

    def _follow(self, walk: Walk, signed: Checkpoint) -> list[bytes]:
        tail = []
        for number, line in lines_of(self._folder, walk.size):
            if number != walk.size:
                raise BadEntryError(walk.size, "it is missing")
            if walk.size >= signed.size and is_torn(line):
                self._torn = (walk.size, len(line))
                break
            leaf = walk.take(line)
            if walk.size > signed.size:
                tail.append(leaf)
            elif walk.size == signed.size:
                if walk.frontier.root() != signed.root:
                    raise BadEntryError(signed.size - 1, "the entries are not those of the signed checkpoint")
                walk.trust(self._key_of(signed))
        if walk.size < signed.size:
            raise BadEntryError(walk.size, f"it is gone: the newest checkpoint has {signed.size} entries")
        return tail

    def _key_of(self, signed: Checkpoint) -> Any:
        """The key that signed the newest checkpoint."""
        notes = self._notes()
        for signer in (self._signer, self._before):
            with contextlib.suppress(NoteError):
                if signer and opened(notes[-1], signer.verifier) == signed:
                    return signer.verifier
        raise AlarmError("key", "the newest checkpoint is of another key")

    def _check_all(self) -> None:
        try:
            report = verify(self._folder, hashes=False)
        except NoteError as error:
            raise AlarmError("tampered", str(error)) from None
        if report.finding is not None:
            raise AlarmError("tampered", self._named(str(report.finding)))
        self._hashes.cut(0)
        hashes = Walk()
        self._hashes.frontier = Frontier()
        for _, line in lines_of(self._folder):
            if hashes.size < report.signed:
                self._hashes.add(hashes.take(line))
        self._hashes.flush()

    def _named(self, otherwise: str) -> str:
        """The first bad entry, as the kept hashes name it where they can."""
        with contextlib.suppress(OSError, NoteError):
            finding = verify(self._folder).finding
            return str(finding) if finding else otherwise
        return otherwise

    def _cut(self, walk: Walk, tail: list[bytes], signed: int, keep: int) -> tuple[Walk, list[bytes]]:
        """Takes off what a process that died has left unfinished."""
        dropped = walk.size - keep
        size = cut(self._folder, keep)
        self._torn = (dropped, size)
        tail = tail[: keep - signed]
        prev = tail[-1].hex() if tail else self._hashes.leaves(keep - 1, keep)[0].hex() if keep else FIRST
        kept = Walk(Frontier(keep), prev)
        kept.key, kept.origin = walk.key, walk.origin
        return kept, tail

    def _restore(self, signed: Checkpoint, tail: list[bytes]) -> None:
        """Brings the files of hashes to where the entries are."""
        if not self._are_hashes_of(signed):
            self._check_all()
        self._hashes.cut(signed.size)
        self._hashes.load(signed.size)
        for leaf in tail:
            self._hashes.add(leaf)
        self._hashes.flush()

    def _are_hashes_of(self, signed: Checkpoint) -> bool:
        try:
            return self._hashes.load(signed.size) == signed.root
        except OSError:
            return False

    def _ask_witnesses(self) -> None:
        size = self._hashes.frontier.size
        own = Checkpoint(self._terms.origin, size, self._hashes.frontier.root())
        notes = list(self._terms.told)
        signed = {claimed(note).size for note in self._notes()}
        for witness in self._terms.witnesses:
            with contextlib.suppress(OSError):  # one that is away stops nothing
                notes += witnesses.held(witness, own.origin, size, signed)
        keys = [signer.verifier for signer in (self._signer, self._before) if signer]
        found = witnesses.against(notes, (own, self._hashes.subtree), keys)
        if self.accepted is not None and self.accepted.kind in SET_ASIDE:
            # A new trail takes the place of one that is set aside: what was known of that one counts no more.
            self.accepted = msgspec.structs.replace(self.accepted, notes=tuple(found))
        known = alarm.ignored(self._folder)
        if self.accepted is not None:
            known |= set(map(witnesses.fingerprint, self.accepted.notes))
        if new := [note for note in found if witnesses.fingerprint(note) not in known]:
            largest = max(map(claimed, new), key=lambda one: one.size)
            if largest.size > size:
                message = f"a witness has a checkpoint of {largest.size} entries, and here are {size}"
                raise AlarmError("rollback", message, new)
            raise AlarmError("fork", f"a witness has another checkpoint of {largest.size} entries", new)

    def _positions(self, size: int) -> Positions:
        kept = self._kept(size)
        journals, outbox = dict(kept.journals), set(kept.outbox)
        for number, line in lines_of(self._folder, kept.size):
            if number < size:
                link = link_of(line)
                if link.journal is not None:
                    journals[link.journal.file] = link.journal.end
                if link.outbox is not None:
                    outbox.add(link.outbox)
        return Positions(size, journals, frozenset(outbox))

    def _kept(self, size: int) -> Positions:
        """What was kept of the first entries, if a key of the trail has signed it; else they are all read again."""
        try:
            said, _, signature = (self._folder / POSITIONS).read_bytes().rpartition(b"\n")
            message, raw = positions_text(self._terms.origin, said), base64.b64decode(signature, validate=True)
            keys = [signer.verifier for signer in (self._signer, self._before) if signer]
            kept = msgspec.json.decode(said, type=Positions) if any(k.verifies(message, raw) for k in keys) else None
        except (FileNotFoundError, ValueError, msgspec.MsgspecError):
            kept = None
        return kept if kept is not None and kept.size <= size else Positions(0, {}, frozenset())

    def _say(self, trail: Trail, walk: Walk) -> None:
        """Adds what happened to the trail itself."""
        new = self._signer.verifier
        said: list[Entry] = []
        if not trail.size:
            detail = {"origin": new.name, "vkey": new.vkey}
            if self._aside is not None:
                detail["set_aside"] = self._aside.name
            trail.append([_own(trail, OPENED, detail)])
            trail.sign()
        elif walk.key is not None and walk.key.vkey != new.vkey:
            trail.append_next(lambda seq: self._change_of_key(trail, seq, walk))
            trail.sign()
        if self._torn is not None:
            said.append(_own(trail, "audit.repair", {"entries": self._torn[0], "bytes": self._torn[1]}))
        if self.accepted is not None:
            detail = {"kind": self.accepted.kind, "message": self.accepted.message}
            notes = list(self.accepted.notes)
            told = _own(trail, "audit.acknowledge", {**detail, "checkpoints": notes})
            said.append(msgspec.structs.replace(told, actor="cli"))
        if said:
            trail.append(said)
        trail.sign()

    def _change_of_key(self, trail: Trail, seq: int, walk: Walk) -> Entry:
        """By whoever gives the key: the configuration file, or `fairlead audit rotate-key`."""
        entry = _own(trail, NEW_KEY, self._signed_change(seq, walk))
        return msgspec.structs.replace(entry, actor="file" if self._terms.seed else "cli")

    def _signed_change(self, seq: int, walk: Walk) -> dict[str, Any]:
        new = self._signer.verifier
        if self._before is None or walk.key is None or self._before.verifier.vkey != walk.key.vkey:
            raise AlarmError("key", "the trail was signed by another key, and that is not given as the old one")
        signature = self._before.raw(rotation_text(self._terms.origin, seq, new.vkey))
        return {
            "vkey": new.vkey,
            "signed_by": walk.key.vkey,
            "signature": base64.b64encode(signature).decode(),
        }


def _own(trail: Trail, action: str, detail: dict[str, Any]) -> Entry:
    return Entry(at=trail.now(), action=action, object=trail.origin, detail=detail)
