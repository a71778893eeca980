"""What is kept outlives its writer, and a torn write is not read."""

import os

from fairlead.state.keepsake import Keepsake


def test_what_a_child_wrote_outlives_it() -> None:
    keepsake = Keepsake()
    assert keepsake.read() is None
    pid = os.fork()
    if not pid:
        keepsake.write(b"first")
        keepsake.write(b"second, and longer")
        os._exit(0)
    os.waitpid(pid, 0)
    assert keepsake.read() == b"second, and longer"
    keepsake.close()


def test_a_torn_write_is_not_read() -> None:
    keepsake = Keepsake(4096)
    assert keepsake.write(b"whole")
    keepsake._page[41] ^= 1
    assert keepsake.read() is None


def test_what_is_too_large_is_not_kept_nor_is_what_was_there() -> None:
    keepsake = Keepsake(4096)
    assert keepsake.write(b"old")
    assert not keepsake.write(bytes(5000))
    assert keepsake.read() is None
