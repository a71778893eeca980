"""The pepper: the secret under which keys' MACs are made, so that a stolen database tells no key.

It knows its file and what a pepper must be. It must not know keys.
"""

import contextlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

SIZE = 32
FILE = "pepper"
MOST = 2
"""Peppers that are good at a time: the one of new keys, and the one before it."""
FEWEST_CHARACTERS = 8
"""Different ones: `aaaa…` is 32 bytes long too."""


class PepperError(Exception):
    """There is no pepper that keys could be kept under; the message says why and never holds one."""


def peppers(configured: Sequence[str], data: Path, *, shared: bool) -> tuple[bytes, ...]:
    """The peppers that are good, that of new keys first: the configured ones, or this machine's own.

    `shared`: the database serves other machines too, which could not know this machine's file.
    """
    if len(configured) > MOST:
        raise PepperError(f"there are {len(configured)} peppers; {MOST} can be good at a time")
    if configured:
        return tuple(_checked(text) for text in configured)
    if shared:
        raise PepperError(
            "a shared database needs a configured pepper: without one each machine would make its own and know no "
            "other machine's keys; make one with 'openssl rand -base64 32' and set pepper to a reference to it"
        )
    return (load_pepper(data),)


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


def _checked(text: str) -> bytes:
    pepper = text.encode()
    if len(pepper) < SIZE:
        raise PepperError(f"the pepper has {len(pepper)} bytes; it must have {SIZE} or more: 'openssl rand -base64 32'")
    if len(set(pepper)) < FEWEST_CHARACTERS:
        raise PepperError("the pepper repeats a few characters; make a random one: 'openssl rand -base64 32'")
    return pepper
