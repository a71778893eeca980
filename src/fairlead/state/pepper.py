"""The pepper: the secret under which keys' MACs are made, so that a stolen database tells no key.

It knows its file and what a pepper must be. It must not know keys.
"""

import contextlib
import os
import secrets
from pathlib import Path

SIZE = 32
FILE = "pepper"


class PepperError(Exception):
    """There is no pepper that keys could be kept under; the message says why and never holds one."""


def has_pepper(data: Path) -> bool:
    """Whether this machine's pepper was made there."""
    return (data / FILE).exists()


def load_pepper(data: Path) -> bytes:
    """This machine's pepper, made at the first use. Whoever comes at the same time gets the same one."""
    file = data / FILE
    try:
        if not file.exists():
            _make(file)
        pepper = file.read_bytes()
    except OSError as error:
        raise PepperError(
            f"the pepper {file} cannot be used: {error.strerror}; see to its folder, or choose another data"
        ) from None
    if len(pepper) != SIZE:
        raise PepperError(
            f"the pepper {file} has {len(pepper)} bytes, not {SIZE}; bring it back from a backup, or remove it and "
            "make every key anew"
        )
    return pepper


def _make(file: Path) -> None:
    """The file appears whole and on disk, or not at all: a hard link takes no name that is taken."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{FILE}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(secrets.token_bytes(SIZE))
        stream.flush()
        os.fsync(stream.fileno())
    try:
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink()
