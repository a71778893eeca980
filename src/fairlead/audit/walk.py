"""A walk along entries that checks each against the one before: number, hash, order of the journal, change of key.

It must not know files or checkpoints: whoever walks compares the roots.
"""

import base64
import binascii
from hashlib import sha256
from typing import Any

import msgspec

from fairlead.audit.entry import FIRST, Entry, Link, decode, link_of
from fairlead.audit.note import NoteError, Verifier, verifier_of
from fairlead.audit.tree import Frontier

OPENED, NEW_KEY = "audit.opened", "audit.key"


class BadEntryError(Exception):
    """Entry `index` is not what it was when it was written; the message says how that shows."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


def rotation_text(origin: str, seq: int, vkey: str) -> bytes:
    """What the key so far signs when another takes its place in entry `seq`."""
    return f"fairlead audit key\n{origin}\n{seq}\n{vkey}\n".encode()


class Walk:
    """Where a walk is. From the start, or from the middle with what stands there."""

    def __init__(
        self, frontier: Frontier | None = None, prev: str = FIRST, *, journals: dict[str, int] | None = None
    ) -> None:
        """`journals`: up to where each journal file is in the entries so far; None: that is not known."""
        self.frontier = frontier or Frontier()
        self.prev = prev
        self.key: Verifier | None = None
        """The key in force; None: not known yet."""
        self.keys: list[Verifier] = []
        """Every key that was in force on the way."""
        self.origin = ""
        self.journals = journals if journals is not None else {}
        self._all = journals is not None or not self.frontier.size
        self.batched = self.frontier.size
        """The number of entries up to the end of the last whole batch."""
        self.outbox: set[int] = set()
        """What came from the database on the way."""

    @property
    def size(self) -> int:
        return self.frontier.size

    def take(self, line: bytes, kept: bytes | None = None) -> bytes:
        """Goes on by one line; its leaf hash. `kept`: what it was when it was written, as a file of hashes has it.

        Raises BadEntryError.
        """
        at = self.frontier.size
        if line[-1:] != b"\n":
            raise BadEntryError(at, "it is torn: there is no newline at its end")
        entry = line[:-1]
        leaf = sha256(b"\x00" + entry).digest()
        try:
            link = link_of(entry)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise BadEntryError(at, "it is no entry") from None
        if link.seq != at:
            raise BadEntryError(at, f"the entry in this place has the number {link.seq}")
        if kept is not None and kept != leaf:
            raise BadEntryError(at, "it is not the one whose hash was kept")
        if link.prev != self.prev:
            raise BadEntryError(max(at - 1, 0), f"entry {at} follows another one than what is here")
        self._follow(link, entry)
        self.frontier.add(leaf)
        self.prev = leaf.hex()
        if link.journal is not None or link.action != "request":
            self.batched = at + 1
        return leaf

    def trust(self, key: Verifier) -> None:
        """This key is in force from here on."""
        self.key = key
        self.keys.append(key)

    def _follow(self, link: Link, entry: bytes) -> None:
        if link.journal is not None:
            read = link.journal
            known = self.journals.get(read.file, 0 if self._all else read.start)
            if read.start != known:
                raise BadEntryError(link.seq, f"the journal {read.file} goes on at {read.start}, not at {known}")
            self.journals[read.file] = read.end
        if link.outbox is not None:
            self.outbox.add(link.outbox)
        if link.seq == 0 or link.action in (OPENED, NEW_KEY):
            try:
                self._key_entry(link, decode(entry))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                raise BadEntryError(link.seq, "it is no entry") from None

    def _key_entry(self, link: Link, entry: Entry) -> None:
        said = entry.detail or {}
        if (link.seq == 0) != (link.action == OPENED):
            raise BadEntryError(link.seq, f"a trail begins with {OPENED}, and with nothing else")
        try:
            new = verifier_of(_text(said, "vkey"))
        except NoteError as error:
            raise BadEntryError(link.seq, str(error)) from None
        if link.action == OPENED:
            self.origin = _text(said, "origin")
        elif self.key is not None:
            message = rotation_text(self.key.name, link.seq, new.vkey)
            if not self.key.verifies(message, _signature(said)):
                raise BadEntryError(link.seq, "the change of key is not signed by the key before")
        self.trust(new)


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    return value if isinstance(value, str) else ""


def _signature(said: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(_text(said, "signature"), validate=True)
    except (ValueError, binascii.Error):
        return b""
