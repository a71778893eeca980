"""The writer: what is promised is written, what is written is forced, files follow on each other, nothing is lost."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.journal.journal_records import RECORD, held, ids, numbered

from fairlead.canonical.routing import Journaling
from fairlead.journal import PLAIN, Journal
from fairlead.journal.frames import HEADER
from fairlead.journal.segment import used

MIB = 1024 * 1024


class BrokenError(Exception):
    """Stands for the end of the process."""


def broken(error: OSError) -> None:
    raise BrokenError(error.strerror)


@asynccontextmanager
async def writing(folder: Path, **settings: Any) -> AsyncIterator[Journal]:
    loop = asyncio.get_running_loop()
    journal = Journal(folder, "requests", loop, settings=Journaling(**settings), failed=broken)
    yield journal
    journal.close()


def put(journal: Journal, *numbers: int, **more: Any) -> None:
    for number in numbers:
        assert journal.promise()
        journal.append(numbered(number, **more))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.journal"))


async def test_records_of_one_turn_are_in_the_file_at_its_end(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "journal"
    async with writing(folder) as journal:
        put(journal, 1, 2, 3)
        (file,) = files(folder)
        assert file.stat().st_size == HEADER
        await asyncio.sleep(0)
        assert ids(folder) == ["r1", "r2", "r3"]
        assert journal.written == 3
        assert file.stat().st_mode & 0o077 == 0
        put(journal, 4)
    assert ids(folder) == ["r1", "r2", "r3", "r4"]


async def test_room_ahead_is_taken_and_given_back(tmp_path: Path) -> None:
    async with writing(tmp_path) as journal:
        put(journal, 1)
        assert used(tmp_path) >= MIB
    (file,) = files(tmp_path)
    assert used(tmp_path) <= 8192
    assert file.stat().st_size < 200


async def test_who_writes_nothing_leaves_nothing(tmp_path: Path) -> None:
    async with writing(tmp_path) as journal:
        assert files(tmp_path) == []
        journal.adopt(Journaling())
        assert len(files(tmp_path)) == 1
    assert files(tmp_path) == []


async def test_two_that_begin_in_one_millisecond_are_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlead.journal.writer.time.time_ns", lambda: 1_795_750_148_356_000_000)
    for number in (1, 2):
        async with writing(tmp_path) as journal:
            put(journal, number)
    assert ids(tmp_path) == ["r1", "r2"]


async def test_a_full_share_refuses_promises_and_keeps_those_that_were_made(tmp_path: Path) -> None:
    share = 2 * MIB
    async with writing(tmp_path, max_size=share) as journal:
        promised = 0
        while journal.promise():
            promised += 1
        assert promised >= share // PLAIN * 3 // 4
        assert (journal.refused, journal.trouble) == (1, "journal.max_size is used up")
        assert not journal.promise()
        for number in range(promised):  # each as large as it may be
            journal.append(numbered(number, user="u" * 3 * PLAIN))
        journal.flush()
        assert journal.written == promised
        assert len(held(tmp_path)) == promised
    assert used(tmp_path) <= share


async def test_a_full_share_has_room_again_once_a_file_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The file that is written ends when there is no room, so that whoever has read it can delete it."""
    monkeypatch.setattr("fairlead.journal.writer.LOOK_AGAIN", 0.01)
    caplog.set_level("INFO")
    async with writing(tmp_path, max_size=MIB) as journal:
        while journal.promise():
            journal.append(numbered(1, user="u" * 12_000))
            journal.flush()
        (old, *_) = files(tmp_path)
        assert not journal.promise()
        await until(lambda: len(files(tmp_path)) == 2)
        old.unlink()
        await until(lambda: not journal.trouble)
        assert journal.promise()
        journal.append(numbered(2))
    assert ids(tmp_path)[-1] == "r2"
    told = [one.message for one in caplog.records if one.name == "fairlead.journal"]
    assert told == ["journal_full", "journal_has_room"]


async def test_a_promise_for_texts_needs_more_room(tmp_path: Path) -> None:
    async with writing(tmp_path, max_size=MIB) as journal:
        assert journal.promise(MIB // 2)
        assert not journal.promise(2 * MIB)
        journal.append(numbered(1), MIB // 2)


async def test_a_disk_that_is_full_refuses_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlead.journal.writer.LOOK_AGAIN", 0.01)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("fairlead.journal.room.reserve", full)
        journal = Journal(tmp_path, "requests", asyncio.get_running_loop(), failed=broken)
        assert not journal.promise()
        assert (journal.trouble, files(tmp_path)) == ("No space left on device", [])
    await until(lambda: not journal.trouble)
    put(journal, 1)
    journal.close()
    assert ids(tmp_path) == ["r1"]


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
async def test_what_the_disk_fails_to_do_ends_it_and_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """A fake of the system call: `tests/processes` has the same with a real process."""
    tries = 0

    def fails(*_: object) -> None:
        nonlocal tries
        tries += 1
        raise OSError(number, os.strerror(number))

    journal = Journal(tmp_path, "requests", asyncio.get_running_loop(), settings=Journaling(sync=0.0), failed=broken)
    put(journal, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        with pytest.raises(BrokenError, match=os.strerror(number)):
            journal.flush()
    assert tries == 1
    assert journal.written == 0
    journal.close()


async def test_a_failed_sync_in_the_background_ends_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    errors: list[OSError] = []
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    journal = Journal(
        tmp_path, "requests", asyncio.get_running_loop(), settings=Journaling(sync=0.001), failed=errors.append
    )
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fails)
        put(journal, 1)
        await until(lambda: errors)
    assert errors[0].errno == errno.EIO
    journal.close()


async def test_many_turns_share_a_sync_and_the_last_one_gets_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced: list[int] = []
    real = os.fdatasync

    def watched(descriptor: int) -> None:
        forced.append(os.fstat(descriptor).st_size)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", watched)
    async with writing(tmp_path, sync=0.05) as journal:
        for number in range(40):
            put(journal, number)
            await asyncio.sleep(0)
        (file,) = files(tmp_path)
        await until(lambda: forced and forced[-1] == file.stat().st_size)
        assert len(forced) < 10
    before = len(forced)
    await asyncio.sleep(0)
    assert len(forced) == before


async def test_every_record_is_forced_before_its_turn_ends_where_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: forced.append(os.fstat(descriptor).st_size))
    async with writing(tmp_path, sync=0.0) as journal:
        for number in range(3):
            put(journal, number, number)
            journal.flush()
        (file,) = files(tmp_path)
        assert len(forced) == 3
        assert forced[-1] == file.stat().st_size


async def test_a_file_that_is_large_enough_is_followed_by_another(tmp_path: Path) -> None:
    async with writing(tmp_path, segment=5_000) as journal:
        for number in range(100):
            put(journal, number, user="u" * 400)
            journal.flush()
        sizes = [file.stat().st_size for file in files(tmp_path)]
    assert len(sizes) > 5
    assert max(sizes) < 6_000
    assert sorted(ids(tmp_path)) == sorted(f"r{number}" for number in range(100))


async def test_a_file_that_is_old_enough_ends_though_nothing_is_written(tmp_path: Path) -> None:
    async with writing(tmp_path, rotate=0.05) as journal:
        put(journal, 1)
        await until(lambda: len(files(tmp_path)) == 2)
        await asyncio.sleep(0.1)
        assert len(files(tmp_path)) == 2  # an empty one is followed by none


async def test_new_settings_hold_for_the_file_that_is_being_written(tmp_path: Path) -> None:
    async with writing(tmp_path) as journal:
        put(journal, 1)
        journal.adopt(Journaling(rotate=0.02))
        await until(lambda: len(files(tmp_path)) == 2)
        journal.adopt(Journaling(segment=10))
        put(journal, 2)
        journal.flush()
        assert len(files(tmp_path)) == 3


async def test_a_file_is_not_left_while_the_next_one_has_no_room_for_what_was_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with writing(tmp_path, segment=10) as journal:
        for _ in range(3):
            assert journal.promise()
        with monkeypatch.context() as patch:
            patch.setattr("fairlead.journal.room.reserve", full)
            for number in range(3):
                journal.append(RECORD)
                journal.flush()
                assert journal.written == number + 1
        assert len(files(tmp_path)) == 1
    assert len(held(tmp_path)) == 3
