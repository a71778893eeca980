"""The local file: what it outlives, when it is thrown away, and what is cleaned out of it."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest
from tests.state.rules import Clock, begun, limited

from fairlead.canonical.limits import DAY, SECOND, Demand, Granted, Unseeded
from fairlead.state import local_file
from fairlead.state.local import LocalState
from fairlead.state.port import StateError

RATE = limited("sliding_window", 10)
BUDGET = limited("calendar", 100, unit="money")


async def spent(state: LocalState, amount: int = 4) -> None:
    assert isinstance(await state.reserve(f"h{time.monotonic_ns()}", (Demand(RATE, amount),), b""), Granted)


async def filled(state: LocalState) -> None:
    for number in range(10_000):
        await state.reserve(f"h{number}", (Demand(limited("concurrency", 1, subject=str(number)), 1),), b"x" * 100)


async def left(state: LocalState) -> int:
    return (await state.standings([RATE]))[0].remaining


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


async def test_counts_outlive_every_process(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for expected in (6, 2):
        state = LocalState(folder)
        await spent(state)
        assert await left(state) == expected
        await state.close()
    assert events(caplog) == []


async def test_a_file_of_before_a_reboot_is_discarded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = LocalState(folder)
    await begun(state, BUDGET)
    await spent(state)
    await state.close()
    (tmp_path / "boot").write_text("another\n")
    monkeypatch.setattr(local_file, "_BOOT_ID", tmp_path / "boot")
    for said in (["state_discarded"], ["state_discarded"]):
        state = LocalState(folder)
        assert await left(state) == 10
        assert await state.reserve("b", (Demand(BUDGET, 1),), b"") == Unseeded(BUDGET)
        await state.close()
        assert events(caplog) == said


async def test_a_file_that_is_none_is_discarded(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.mkdir()
    (folder / "data.mdb").write_bytes(os.urandom(100_000))
    state = LocalState(folder)
    assert await left(state) == 10
    assert events(caplog) == ["state_discarded"]
    await state.close()


async def test_a_file_that_others_count_in_is_never_discarded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two files would allow everything twice."""
    state = LocalState(folder)
    (tmp_path / "boot").write_text("another\n")
    monkeypatch.setattr(local_file, "_BOOT_ID", tmp_path / "boot")
    child = os.fork()
    if not child:
        try:
            LocalState(folder)
        except StateError as error:
            os._exit(0 if "other processes have it open" in str(error) else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    await spent(state)
    await state.close()


def test_a_folder_that_cannot_be_made_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"the local state in '.*file/state' cannot be opened: .*Not a directory"):
        LocalState(tmp_path / "file" / "state")


async def test_a_wall_clock_that_jumps_moves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Case S13: neither leases nor limits; whoever opens the file afterwards reads the same time, and says so."""
    state = LocalState(folder)
    demands = (Demand(RATE, 10),)
    granted = await state.reserve("h1", demands, b"")
    assert isinstance(granted, Granted)
    await state.close()
    real = time.time_ns
    for jump in (3600, -3600):
        monkeypatch.setattr(time, "time_ns", lambda: real() + jump * 1_000_000_000)  # noqa: B023 - read at once
        again = LocalState(folder)
        assert await again.overdue(["acme"]) == []
        assert await left(again) == 0
        await again.close()
    assert events(caplog) == ["state_clock_apart"] * 2


async def test_states_that_are_as_good_as_none_are_collected(folder: Path) -> None:
    clock = Clock()
    state = LocalState(folder, clock=clock)
    rules = [limited("token_bucket", 10, subject=f"user{number}") for number in range(30)]
    rules += [limited("sliding_window", 10, per=DAY, subject=f"user{number}") for number in range(5)]
    for rule in rules:
        await state.reserve(rule.key, (Demand(rule, 1),), b"")
    assert state.collect(1000) == 0
    clock.now += 61 * SECOND
    collected = [state.collect(10) for _ in range(5)]
    assert (sum(collected), max(collected) <= 10) == (30, True)
    assert [standing.remaining for standing in await state.standings(rules)] == [10] * 30 + [9] * 5
    clock.now += 2 * DAY
    assert sum(state.collect(10) for _ in range(2)) == 5
    await state.close()


async def test_what_a_budget_holds_outlives_its_period_in_the_collection(folder: Path) -> None:
    clock = Clock()
    clock.now = clock.now // DAY * DAY + DAY - SECOND
    state = LocalState(folder, clock=clock)
    await begun(state, BUDGET)
    await state.reserve("h1", (Demand(BUDGET, 70),), b"")
    clock.now += 60 * SECOND
    assert state.collect(10) == 0
    assert (await state.standings([BUDGET]))[0].remaining == 30
    await state.close()


async def test_a_full_file_is_a_state_error_and_nothing_has_happened(folder: Path) -> None:
    state = LocalState(folder, map_size=200_000)
    with pytest.raises(StateError, match="MDB_MAP_FULL"):
        await filled(state)
    for number in range(100):
        rule = limited("concurrency", 1, subject=str(number))
        assert (await state.standings([rule]))[0].remaining == 0
    await state.close()


async def test_a_process_that_is_killed_in_its_work_holds_up_nobody(folder: Path) -> None:
    """The lock of the file is freed by the kernel, and a half-written step was never there."""
    ready, told = os.pipe()
    child = os.fork()
    if not child:
        state = LocalState(folder)
        transaction = state._begin(write=True)
        transaction.put(b"half", b"written")
        os.write(told, b".")
        time.sleep(60)
        os._exit(0)
    assert os.read(ready, 1) == b"."
    os.kill(child, 9)
    os.waitpid(child, 0)
    state = LocalState(folder)
    await asyncio.wait_for(spent(state), 5)
    with state._begin() as transaction:
        assert transaction.get(b"half") is None
    await state.close()
    os.close(ready)
    os.close(told)


async def test_a_broken_transaction_is_a_state_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = LocalState(folder)

    def broken(**_: object) -> None:
        raise lmdb.CorruptedError("MDB_CORRUPTED")

    monkeypatch.setattr(state, "_begin", broken)
    calls: tuple[Callable[[], object], ...] = (lambda: spent(state), lambda: left(state))
    for call in calls:
        with pytest.raises(StateError, match="MDB_CORRUPTED"):
            await call()  # type: ignore[misc]
    await state.close()
