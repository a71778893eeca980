"""Writes of one turn leave together, in order, and none is left behind when a connection closes."""

import asyncio

from fairlead.http.outbox import LARGE, Outbox, outbox_of


async def test_writes_leave_in_the_next_turn_in_the_order_in_which_they_were_put() -> None:
    outbox = outbox_of(asyncio.get_running_loop())
    left: list[tuple[str, bytes]] = []
    for name in "abab":
        outbox.put(lambda data, name=name: left.append((name, data)), name.encode() * 2)  # type: ignore[misc]
    assert left == []
    await asyncio.sleep(0)
    assert left == [("a", b"aa"), ("b", b"bb"), ("a", b"aa"), ("b", b"bb")]


async def test_a_flush_writes_at_once_and_only_once() -> None:
    outbox = Outbox(asyncio.get_running_loop())
    left: list[bytes] = []
    outbox.put(left.append, b"x")
    outbox.flush()
    assert left == [b"x"]
    await asyncio.sleep(0)
    assert left == [b"x"]


async def test_what_is_large_goes_at_once_behind_what_waits() -> None:
    outbox = Outbox(asyncio.get_running_loop())
    left: list[int] = []
    outbox.put(lambda data: left.append(len(data)), b"x")
    outbox.put(lambda data: left.append(len(data)), b"x" * (LARGE + 1))
    assert left == [1, LARGE + 1]


async def test_a_loop_has_one_outbox() -> None:
    loop = asyncio.get_running_loop()
    assert outbox_of(loop) is outbox_of(loop)
