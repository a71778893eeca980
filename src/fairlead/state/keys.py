"""The index of virtual keys on this machine: from a key's MAC to what it stands for, in pages that all processes share.

Control writes it, workers read it. It is made anew from the database whenever that is another one, so nothing in it is
worth keeping. It must not know the database, nor how a key is presented.

An environment of LMDB with three tables:
  macs   first half of the MAC -> the whole MAC, then the MessagePack of a VirtualKey
  ids    key id                -> the MACs it is known by, one after the other
  facts  `uid`, `version`      -> which database it follows, and how far
"""

import hmac
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from fairlead.canonical.credential import MAC_SIZE
from fairlead.canonical.tenants import VirtualKey

PREFIX = MAC_SIZE // 2
MAP_SIZE = 16 * 2**30
"""Address space, not memory or disk: the most that the index can ever hold."""
READERS = 1024

_encode = msgspec.msgpack.Encoder().encode

NOBODY = bytes(MAC_SIZE) + _encode(VirtualKey(id="nobody", name="nobody", tenant="nobody", tier="nobody"))
"""The record that is looked at where there is none."""


class KeyIndexError(Exception):
    """The index cannot be written; the message says why."""


class Entry(msgspec.Struct, frozen=True):
    """All MACs of one key with what each stands for; none: the key is no more."""

    id: str
    known_by: tuple[tuple[bytes, VirtualKey], ...] = ()


class Standing(msgspec.Struct, frozen=True):
    """Which database the index follows, and up to which of its versions."""

    uid: str = ""
    version: int = 0


class KeyIndex:
    """A worker's view. Open it after the fork: an environment belongs to one process."""

    def __init__(self, folder: Path) -> None:
        self._env = lmdb.open(
            str(folder), readonly=True, max_dbs=3, max_readers=READERS, map_size=MAP_SIZE, readahead=False
        )
        self._env.reader_check()  # a worker that was killed leaves its place taken, and places are counted
        self._macs: Any = self._env.open_db(b"macs", create=False)
        self._facts: Any = self._env.open_db(b"facts", create=False)
        self._decode = msgspec.msgpack.Decoder(VirtualKey).decode

    @property
    def is_untouched(self) -> bool:
        """Whether no key has ever been made: one that is revoked is not there any more, but has been.

        An index that has not met its database yet does not know, so it is not.
        """
        with self._env.begin(self._facts) as transaction:
            return transaction.get(b"uid") is not None and transaction.get(b"version") == b"0"

    def find(self, mac: bytes) -> VirtualKey | None:
        """What the key with this MAC stands for, whether or not it has ended since.

        The tree is walked by the first half. The whole is compared in constant time and a record decoded, found or
        not, so that a wrong key takes as long as a right one.
        """
        with self._env.begin(self._macs, buffers=True) as transaction:
            value = transaction.get(mac[:PREFIX], NOBODY)
            key = self._decode(value[MAC_SIZE:])
            return key if hmac.compare_digest(value[:MAC_SIZE], mac) else None

    def close(self) -> None:
        self._env.close()


class KeyWriter:
    """Control's end: the one writer of a machine. Making one makes the index."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._env = lmdb.open(str(folder), mode=0o600, max_dbs=3, max_readers=READERS, map_size=MAP_SIZE)
        self._env.reader_check()  # workers that were killed no longer hold pages
        self._macs: Any = self._env.open_db(b"macs")
        self._ids: Any = self._env.open_db(b"ids")
        self._facts: Any = self._env.open_db(b"facts")

    def standing(self) -> Standing:
        with self._env.begin(db=self._facts) as transaction:
            return Standing(transaction.get(b"uid", b"").decode(), int(transaction.get(b"version", b"0")))

    def count(self) -> int:
        """MACs in the index."""
        with self._env.begin() as transaction:
            entries: int = transaction.stat(self._macs)["entries"]
            return entries

    def apply(self, entries: Iterable[Entry], reached: Standing) -> None:
        """Puts each entry in the place of what its key was, all at once."""
        with self._writing() as transaction:
            self._put(transaction, entries, reached)

    def rebuild(self, entries: Iterable[Entry], reached: Standing) -> None:
        """Puts `entries` in the place of everything; until all of them are there, readers see what was before."""
        with self._writing() as transaction:
            transaction.drop(self._macs, delete=False)
            transaction.drop(self._ids, delete=False)
            self._put(transaction, entries, reached)

    def close(self) -> None:
        self._env.close()

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        try:
            with self._env.begin(write=True) as transaction:
                yield transaction
        except lmdb.Error as error:
            raise KeyIndexError(f"the index of keys in {self._env.path()} cannot be written: {error}") from None

    def _put(self, transaction: Any, entries: Iterable[Entry], reached: Standing) -> None:
        macs, ids = self._macs, self._ids
        for entry in entries:
            id_ = entry.id.encode()
            before = transaction.get(id_, b"", db=ids)
            for start in range(0, len(before), MAC_SIZE):
                transaction.delete(before[start : start + PREFIX], db=macs)
            for mac, key in entry.known_by:
                transaction.put(mac[:PREFIX], mac + _encode(key), db=macs)
            if entry.known_by:
                transaction.put(id_, b"".join(mac for mac, _ in entry.known_by), db=ids)
            elif before:
                transaction.delete(id_, db=ids)
        transaction.put(b"uid", reached.uid.encode(), db=self._facts)
        transaction.put(b"version", b"%d" % reached.version, db=self._facts)
