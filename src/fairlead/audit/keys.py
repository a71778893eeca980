"""The signing keys that a machine made for itself, in files that only their owner may read.

It must not know keys that come from elsewhere.
"""

import contextlib
import os
import secrets
from pathlib import Path

from fairlead.audit.note import NoteError, Signer, claimed, opened, pem_of, seed_of

CURRENT, OLD = "signing-key.pem", "signing-key.old.pem"


class NoRotationError(Exception):
    """Why another key cannot be made now."""


def own_seed(private: Path) -> bytes:
    """The key in this folder, which is made where there is none. Raises OSError or NoteError."""
    path = private / CURRENT
    if not path.exists():
        private.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, pem_of(secrets.token_bytes(32)))
    return seed_of(path.read_text())


def old_seed(private: Path) -> bytes | None:
    """The one before it; None: there was none."""
    path = private / OLD
    return seed_of(path.read_text()) if path.exists() else None


def rotate(private: Path, latest: str) -> None:
    """Makes another key; the one so far stays to sign the change.

    `latest` is the trail's newest checkpoint: a key that has not signed it is not the trail's yet, and making another
    in its place would lose the one that is. Raises NoRotationError, OSError or NoteError.
    """
    current = private / CURRENT
    if not current.exists() or not _has_signed(own_seed(private), latest):
        before = old_seed(private)
        if current.exists() and before is not None and _has_signed(before, latest):
            raise NoRotationError("another key waits for the next start already: restart the gateway first")
        raise NoRotationError(
            f"the trail is not signed by the key in {private}; a key that audit.signing_key names is changed there"
        )
    beside = private / f"{CURRENT}.new"
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    _write(beside, pem_of(secrets.token_bytes(32)))
    (private / f"{OLD}.new").unlink(missing_ok=True)
    os.link(current, private / f"{OLD}.new")
    (private / f"{OLD}.new").replace(private / OLD)
    beside.replace(current)


def _has_signed(seed: bytes, note: str) -> bool:
    """Raises NoteError for a note that is none."""
    verifier = Signer(claimed(note).origin, seed).verifier
    try:
        opened(note, verifier)
    except NoteError:
        return False
    return True


def _write(path: Path, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
