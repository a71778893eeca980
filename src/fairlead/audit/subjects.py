"""The keys under which personal fields are sealed: one for each end user of each tenant, in a file of their own.

Whoever destroys a key has erased what was sealed under it, wherever the trail was copied to; the trail stays as it is.
That a person was erased is remembered without their name, so that what is from before stays erased, though it is sealed
again in another trail. It must not know what it seals.
"""

import base64
import binascii
import secrets
import sqlite3
from hashlib import blake2b
from pathlib import Path

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from fairlead.audit.entry import Sealed

PATIENCE = 5.0
"""Seconds that it waits for another process."""
MOST = 50_000
"""Keys that are kept in memory."""
_TABLES = (
    (
        "CREATE TABLE IF NOT EXISTS subjects (id TEXT PRIMARY KEY, tenant TEXT NOT NULL, user TEXT NOT NULL, "
        "key BLOB NOT NULL, UNIQUE (tenant, user))"
    ),
    "CREATE TABLE IF NOT EXISTS erased (who BLOB PRIMARY KEY, id TEXT NOT NULL, at INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS secret (place INTEGER PRIMARY KEY CHECK (place = 0), key BLOB NOT NULL)",
)


class Personal(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be sealed, and under whose key."""

    tenant: str
    user: str
    text: bytes
    at: int
    """Microseconds since the epoch, when it began: an erasure holds for everything up to its own instant."""


class Subjects:
    """The keys of one file. Raises sqlite3.Error, in any method, where the file cannot be used."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
        self._rows = sqlite3.connect(file, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        self._rows.execute("PRAGMA secure_delete = ON")
        self._rows.execute("PRAGMA journal_mode = TRUNCATE")
        for table in _TABLES:
            self._rows.execute(table)
        self._boxes: dict[tuple[str, str], tuple[str, SecretBox]] = {}
        self._erased: dict[bytes, tuple[str, int]] = {}
        """By a keyed hash of who it was: the id of the key that was destroyed, and when."""
        self._secret = b""
        self._version = -1

    def begin(self) -> None:
        """What follows until `commit` sees what other processes have erased so far."""
        (version,) = self._rows.execute("PRAGMA data_version").fetchone()
        if version != self._version or len(self._boxes) > MOST:
            self._boxes.clear()
            self._erased = {who: (key, at) for who, key, at in self._rows.execute("SELECT * FROM erased")}
            self._secret = self._find_secret()
        self._version = version

    def seal(self, found: Personal) -> Sealed:
        """The text under the key of this end user; a new key is in the file after `commit`.

        What began before this end user was erased is not there at all: the box is empty, and nobody has its key.
        """
        tenant, user = found.tenant, found.user
        if self._erased:
            gone, at = self._erased.get(_who(self._secret, tenant, user), ("", -1))
            if found.at <= at:
                nobodys = SecretBox(secrets.token_bytes(SecretBox.KEY_SIZE))
                return Sealed(gone, base64.b64encode(nobodys.encrypt(b"")).decode())
        key, box = self._boxes.get((tenant, user)) or self._box(tenant, user)
        return Sealed(key, base64.b64encode(box.encrypt(found.text)).decode())

    def commit(self) -> None:
        """Has every key that was used in the file for good, before anything that is sealed under it is."""
        if self._rows.in_transaction:
            self._rows.execute("COMMIT")

    def unseal(self, sealed: Sealed) -> bytes | None:
        """What was sealed; None: its key was destroyed, or it is not what was sealed."""
        row = self._rows.execute("SELECT key FROM subjects WHERE id = ?", (sealed.key,)).fetchone()
        if row is None:
            return None
        try:
            return SecretBox(row[0]).decrypt(base64.b64decode(sealed.box, validate=True))
        except (CryptoError, ValueError, binascii.Error):
            return None

    def id_of(self, tenant: str, user: str) -> str | None:
        """The id of this end user's key; None: nothing is sealed under one."""
        row = self._rows.execute("SELECT id FROM subjects WHERE tenant = ? AND user = ?", (tenant, user)).fetchone()
        return None if row is None else str(row[0])

    def destroy(self, tenant: str, user: str, at: int) -> None:
        """Overwrites the key of this end user, and remembers that everything up to `at` (microseconds) is erased.

        Whatever begins later has another key.
        """
        self._rows.execute("BEGIN IMMEDIATE")
        key = self.id_of(tenant, user)
        if key is not None:
            self._rows.execute("INSERT OR IGNORE INTO secret VALUES (0, ?)", (secrets.token_bytes(32),))
            who = _who(self._find_secret(), tenant, user)
            self._rows.execute("INSERT OR REPLACE INTO erased VALUES (?, ?, ?)", (who, key, at))
            self._rows.execute("DELETE FROM subjects WHERE id = ?", (key,))
        self._rows.execute("COMMIT")
        self._version = -1

    def close(self) -> None:
        self._rows.close()

    def _find_secret(self) -> bytes:
        row = self._rows.execute("SELECT key FROM secret").fetchone()
        return b"" if row is None else bytes(row[0])

    def _box(self, tenant: str, user: str) -> tuple[str, SecretBox]:
        if not self._rows.in_transaction:
            self._rows.execute("BEGIN IMMEDIATE")
        fresh = (secrets.token_hex(8), tenant, user, secrets.token_bytes(SecretBox.KEY_SIZE))
        self._rows.execute("INSERT OR IGNORE INTO subjects VALUES (?, ?, ?, ?)", fresh)
        query = "SELECT id, key FROM subjects WHERE tenant = ? AND user = ?"
        key, secret = self._rows.execute(query, (tenant, user)).fetchone()
        found = self._boxes[tenant, user] = (str(key), SecretBox(secret))
        return found


def _who(secret: bytes, tenant: str, user: str) -> bytes:
    """What stands for an end user who was erased. Without the secret nobody can try names."""
    return blake2b(msgspec.json.encode([tenant, user]), key=secret, digest_size=32).digest()


def seal_records(subjects: Subjects, texts: dict[int, Personal]) -> dict[int, Sealed]:
    """Seals them, all in one transaction."""
    subjects.begin()
    sealed = {place: subjects.seal(found) for place, found in texts.items()}
    subjects.commit()
    return sealed


def readable(sealed: Sealed, subjects: Subjects) -> dict[str, object] | None:
    """The personal fields that an entry has; None: they were erased."""
    text = subjects.unseal(sealed)
    return None if text is None else msgspec.json.decode(text, type=dict[str, object])
