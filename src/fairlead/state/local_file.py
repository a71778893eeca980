"""The file under the local state: how it is opened by all processes of a machine, and when it is thrown away.

It knows LMDB, locks and the boot of the machine. It must not know what is kept in the file.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb
import msgspec

from fairlead.state.port import StateError

log = logging.getLogger("fairlead.state")

MAP_SIZE = 1 << 30
"""Bytes that the file may grow to: some four million states of three rules' size. It is sparse until they are there."""
READERS = 1024
LAYOUT = 1
APART = 60_000_000
"""Microseconds between the state's time and the wall clock from which on it is said."""
_BORN = b"born"
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Born(msgspec.Struct, frozen=True, array_like=True):
    """Under what circumstances a file was made."""

    layout: int
    boot: str
    offset: int
    """What the wall clock was ahead of the clock since boot, in microseconds."""


class Opened(msgspec.Struct, frozen=True):
    """An open file. `lock` is held as long as this process uses it."""

    env: lmdb.Environment
    lock: int
    offset: int

    def close(self) -> None:
        self.env.close()
        os.close(self.lock)


def steady() -> int:
    """Microseconds since the machine booted; the same for all of its processes."""
    return time.clock_gettime_ns(_CLOCK) // 1000


def open_file(folder: Path, map_size: int) -> Opened:
    """The file in `folder`, made or made anew where need be. Raises StateError, which says why."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(folder / "opening.lock"):
            return _open(folder, map_size)
    except (OSError, lmdb.Error) as error:
        raise StateError(f"the local state in {str(folder)!r} cannot be opened: {error}") from None


def _open(folder: Path, map_size: int) -> Opened:
    lock = os.open(folder / "in-use.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        try:
            env = _env(folder, map_size)
            born = _born(env)
        except (lmdb.Error, msgspec.DecodeError) as error:
            reason = str(error)
        else:
            if (born.layout, born.boot) == (LAYOUT, _boot()):
                _compare(born.offset)
                return Opened(env, lock, born.offset)
            reason = "the machine was started anew" if born.layout == LAYOUT else f"its layout is {born.layout}"
            env.close()
        _discard(folder, lock, reason)
        env = _env(folder, map_size)
        return Opened(env, lock, _born(env).offset)
    except BaseException:
        os.close(lock)
        raise


def _env(folder: Path, map_size: int) -> lmdb.Environment:
    env = lmdb.open(
        str(folder),
        map_size=map_size,
        max_dbs=4,
        max_readers=READERS,
        writemap=True,
        sync=False,
        metasync=False,
        readahead=False,
        mode=0o600,
    )
    env.reader_check()
    return env


def _born(env: lmdb.Environment) -> Born:
    """What the file says of its making; a new file is told so now."""
    with env.begin(write=True) as txn:
        found = txn.get(_BORN)
        if found is not None:
            return msgspec.msgpack.decode(found, type=Born)
        born = Born(LAYOUT, _boot(), time.time_ns() // 1000 - steady())
        txn.put(_BORN, msgspec.msgpack.encode(born))
        return born


def _discard(folder: Path, lock: int, reason: str) -> None:
    """Deletes the file, unless another process counts in it: two files would allow everything twice."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StateError(
            f"the local state in {str(folder)!r} cannot be used ({reason}) and other processes have it open: "
            "stop all of Fairlead, then start it again"
        ) from None
    log.warning("state_discarded", extra={"folder": str(folder), "reason": reason})
    for name in ("data.mdb", "lock.mdb"):
        (folder / name).unlink(missing_ok=True)
    fcntl.flock(lock, fcntl.LOCK_SH)


def _boot() -> str:
    """What tells this boot of the machine from any other; nothing does where there is no /proc."""
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""


def _compare(offset: int) -> None:
    apart = time.time_ns() // 1000 - steady() - offset
    if abs(apart) > APART:
        log.warning("state_clock_apart", extra={"seconds": apart // 1_000_000})


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """No two processes open the file at once: one of them may have to discard it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
