"""Asks the file system for room ahead, so that what is written there later cannot meet a full disk.

The room lies behind the file's end: its size stays what was written, so a reader never meets bytes that are not there
yet. It must not know what is written.
"""

import ctypes
import errno
import os

_KEEP_SIZE = 1
_UNKNOWN = frozenset({errno.EOPNOTSUPP, errno.ENOSYS})

_LIBC = ctypes.CDLL(None, use_errno=True)
_FALLOCATE = getattr(_LIBC, "fallocate64", None) or getattr(_LIBC, "fallocate", None)
if _FALLOCATE is not None:
    _FALLOCATE.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def reserve(descriptor: int, start: int, size: int) -> None:
    """Makes sure of `size` bytes of the disk from the file's offset `start` on. Raises OSError: ENOSPC, EDQUOT, …

    Where the file system cannot do that (it is Linux's `fallocate`), it only looks whether there is room now.
    """
    number = _fallocated(descriptor, start, size)
    if number in _UNKNOWN:
        number = 0 if _free(descriptor) >= size else errno.ENOSPC
    if number:
        raise OSError(number, os.strerror(number))


def _fallocated(descriptor: int, start: int, size: int) -> int:
    """0, or the number of the error."""
    if _FALLOCATE is None:
        return errno.ENOSYS
    while _FALLOCATE(descriptor, _KEEP_SIZE, start, size):
        number = ctypes.get_errno()
        if number != errno.EINTR:
            return number
    return 0


def _free(descriptor: int) -> int:
    disk = os.fstatvfs(descriptor)
    return disk.f_bavail * disk.f_frsize
