"""Writes of one turn leave together, in order, and none is left behind when a connection closes."""

import asyncio

import pytest

from fairlead.http.outbox import LARGE, Outbox, outbox_of


class Line:
    """A connection that notes what is written, among what others wrote."""

    def __init__(self, name: str, left: list[tuple[str, bytes]]) -> None:
        self._name = name
        self._left = left

    def emit(self, data: bytes) -> None:
        self._left.append((self._name, data))


async def test_writes_leave_in_the_next_turn_in_the_order_in_which_they_were_put() -> None:
    outbox = outbox_of(asyncio.get_running_loop())
    left: list[tuple[str, bytes]] = []
    lines = {name: Line(name, left) for name in "ab"}
    for name in "abab":
        outbox.put(lines[name], name.encode() * 2)
    assert left == []
    await asyncio.sleep(0)
    assert left == [("a", b"aa"), ("b", b"bb"), ("a", b"aa"), ("b", b"bb")]


async def test_a_flush_writes_at_once_and_only_once() -> None:
    outbox = Outbox(asyncio.get_running_loop())
    left: list[tuple[str, bytes]] = []
    outbox.put(Line("a", left), b"x")
    outbox.flush()
    assert left == [("a", b"x")]
    await asyncio.sleep(0)
    assert left == [("a", b"x")]


async def test_a_large_piece_goes_at_once_behind_what_waits() -> None:
    outbox = Outbox(asyncio.get_running_loop())
    left: list[tuple[str, bytes]] = []
    outbox.put(Line("a", left), b"x")
    outbox.pour(Line("b", left), b"x" * (LARGE + 1))
    assert left == [("a", b"x"), ("b", b"x" * (LARGE + 1))]


async def test_a_whole_answer_waits_for_the_end_of_the_turn_however_large_it_is() -> None:
    outbox = Outbox(asyncio.get_running_loop())
    left: list[tuple[str, bytes]] = []
    outbox.put(Line("a", left), b"x" * (LARGE + 1))
    assert left == []
    await asyncio.sleep(0)
    assert len(left) == 1


async def test_what_must_happen_before_an_answer_happens_before_each_burst() -> None:
    outbox = Outbox(asyncio.get_running_loop())
    left: list[tuple[str, bytes]] = []
    outbox.before = lambda: left.append(("before", b""))
    outbox.put(Line("a", left), b"x")
    await asyncio.sleep(0)
    outbox.pour(Line("b", left), b"y" * (LARGE + 1))
    assert [name for name, _ in left] == ["before", "a", "before", "b"]


async def test_nothing_leaves_where_that_fails() -> None:
    outbox = Outbox(asyncio.get_running_loop())
    left: list[tuple[str, bytes]] = []

    def fail() -> None:
        raise RuntimeError

    outbox.before = fail
    outbox.put(Line("a", left), b"x")
    with pytest.raises(RuntimeError):
        outbox.flush()
    outbox.before = lambda: None
    assert left == []


async def test_a_loop_has_one_outbox() -> None:
    loop = asyncio.get_running_loop()
    assert outbox_of(loop) is outbox_of(loop)
