"""Work at a desk goes behind that of the workers, and nobody else's does."""

import os
import sys
import threading

import pytest

from fairlead.control.desk import BEHIND, Desk


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priorities of their own")
async def test_work_at_a_desk_goes_behind_that_of_the_workers() -> None:
    own = niceness()
    desk = Desk("test")
    try:
        assert await desk.do(niceness) == min(own + BEHIND, 19)
        assert niceness() == own
    finally:
        desk.close()
