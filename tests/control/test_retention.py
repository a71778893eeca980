"""Journals go once everyone has read them and not before, and what a dead worker left is repaired."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from tests.journal.journal_records import ids, numbered

from fairlead.config.records import Journal as Settings
from fairlead.control.retention import Retention
from fairlead.journal import Journal, Reader, encode
from fairlead.journal.frames import HEADER, header
from fairlead.journal.repair import EVIDENCE

SALT = 5


class Follower:
    """Reads when it is told to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.positions: Mapping[str, int] | None = {}

    def read(self, folder: Path) -> None:
        self.positions = {batch.file: batch.end for batch in Reader(folder).beyond({})}


class Setting:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 1_790_000_000.0
        self.short = False
        self.settings = Settings(keep=100.0, max_size=80_000)
        self.followers = [Follower("ledger"), Follower("traces")]
        self.made: list[Retention] = []

    def retention(self) -> Retention:
        made = Retention(self.folder, self.followers, lambda: self.settings, lambda: self.short, wall=lambda: self.now)
        self.made.append(made)
        return made

    def file(self, number: int, size: int = 1, tail: bytes = b"") -> str:
        """A file that nobody writes, older the smaller its number is."""
        path = self.folder / f"requests-{number}.journal"
        path.write_bytes(header(SALT) + encode(numbered(number, user="u" * size), SALT) + tail)
        os.utime(path, (self.now - 1000 + number,) * 2)
        return path.name

    def all_read(self) -> None:
        for follower in self.followers:
            follower.read(self.folder)

    @property
    def there(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*.journal"))


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    made = Setting(tmp_path)
    yield made
    for one in made.made:
        await one.close()


async def test_a_file_stays_until_everyone_has_read_it_and_as_long_as_is_asked_from_then_on(setting: Setting) -> None:
    retention = setting.retention()
    name = setting.file(1)
    setting.followers[0].read(setting.folder)
    setting.now += 1000
    await retention.sweep()
    assert setting.there == [name]
    setting.all_read()
    await retention.sweep()
    setting.now += 99
    await retention.sweep()
    assert setting.there == [name]
    setting.now += 1
    await retention.sweep()
    assert setting.there == []


async def test_a_follower_whose_position_is_unknown_keeps_every_file(setting: Setting) -> None:
    retention = setting.retention()
    name = setting.file(1)
    setting.all_read()
    setting.followers[1].positions = None
    for _ in range(3):
        setting.now += 1000
        await retention.sweep()
    assert setting.there == [name]


async def test_a_position_that_is_unknown_for_a_moment_does_not_begin_the_time_anew(setting: Setting) -> None:
    retention = setting.retention()
    setting.file(1)
    setting.all_read()
    await retention.sweep()
    setting.now += 99
    before, setting.followers[1].positions = setting.followers[1].positions, None
    await retention.sweep()
    setting.followers[1].positions = before
    setting.now += 1
    await retention.sweep()
    assert setting.there == []


async def test_a_tail_that_a_full_disk_cannot_keep_holds_no_other_file(
    setting: Setting, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [setting.file(1), setting.file(2, tail=b"\0\0\1\0torn"), setting.file(3)]
    setting.all_read()
    setting.settings = Settings(keep=0.0, max_size=80_000)
    retention = setting.retention()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        for _ in range(3):
            await retention.sweep()
    assert setting.there == [names[1]]
    (told,) = [one for one in caplog.records if one.message == "journal_unrepaired"]
    assert (told.__dict__["file"], told.__dict__["reason"]) == (names[1], "No space left on device")
    await retention.sweep()
    assert setting.there == []
    assert list((setting.folder / EVIDENCE).iterdir())


async def test_a_file_that_is_removed_while_it_is_looked_at_is_no_trouble(
    setting: Setting, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = setting.file(1)
    (setting.folder / name).unlink()
    monkeypatch.setattr(Path, "glob", lambda *_: iter([setting.folder / name]))
    await setting.retention().sweep()
    assert not caplog.records


async def test_where_room_is_short_whoever_takes_its_time_is_asked_to_be_done_now(setting: Setting) -> None:
    setting.file(1)
    retention = Retention(
        setting.folder, setting.followers, lambda: setting.settings, lambda: setting.short, setting.all_read
    )
    setting.made.append(retention)
    await retention.sweep()
    assert len(setting.there) == 1
    setting.short = True
    await retention.sweep()
    assert setting.there == []


async def test_how_long_a_file_was_kept_is_known_to_the_next_process(setting: Setting) -> None:
    setting.file(1)
    setting.all_read()
    await setting.retention().sweep()
    setting.now += 100
    await setting.retention().sweep()
    assert setting.there == []


async def test_the_oldest_that_are_done_with_go_early_where_there_is_too_little_room(setting: Setting) -> None:
    names = [setting.file(number, size=16_000) for number in range(6)]
    setting.all_read()
    positions = setting.followers[1].positions
    assert positions is not None
    setting.followers[1].positions = {name: end for name, end in positions.items() if name != names[0]}
    await setting.retention().sweep()
    assert setting.there == [names[0], *names[3:]]  # the first is not done with, and 7/8 of the share are used


async def test_a_worker_that_is_short_of_room_gets_some(setting: Setting, caplog: pytest.LogCaptureFixture) -> None:
    names = [setting.file(number) for number in range(3)]
    setting.short = True
    retention = setting.retention()
    setting.followers[0].read(setting.folder)
    for _ in range(2):
        await retention.sweep()
    assert setting.there == names
    (held,) = [one for one in caplog.records if one.message == "journal_held"]
    assert held.__dict__["by"] == ["traces"]
    setting.all_read()
    await retention.sweep()
    assert setting.there == names[1:]


async def test_a_file_that_is_being_written_stays(setting: Setting) -> None:
    journal = Journal(setting.folder, "requests", asyncio.get_running_loop())
    assert journal.promise()
    journal.append(numbered(1))
    journal.flush()
    setting.all_read()
    retention = setting.retention()
    setting.short = True
    for _ in range(2):
        setting.now += 1000
        await retention.sweep()
    assert ids(setting.folder) == ["r1"]
    journal.close()
    await retention.sweep()
    assert setting.there == []


async def test_a_file_without_records_goes_at_once(setting: Setting) -> None:
    (setting.folder / "requests-1.journal").write_bytes(header(SALT))
    (setting.folder / "requests-2.journal").write_bytes(b"")
    await setting.retention().sweep()
    assert setting.there == []


async def test_what_a_dead_worker_left_is_repaired_before_anyone_reads_it(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    name = setting.file(1, tail=b"\x00\x00\x01torn")
    retention = setting.retention()
    await retention.repair()
    (told,) = [one for one in caplog.records if one.message == "journal_repaired"]
    whole = HEADER + len(encode(numbered(1, user="u"), SALT))
    assert (told.__dict__["file"], told.__dict__["offset"], told.__dict__["bytes"]) == (name, whole, 7)
    assert (setting.folder / name).stat().st_size == whole
    assert retention.damage == ""
    await setting.retention().sweep()
    assert len([one for one in caplog.records if one.message == "journal_repaired"]) == 1


async def test_damage_is_told_once_and_its_file_is_kept_aside(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    name = setting.file(1, tail=encode(numbered(2), SALT))
    path = setting.folder / name
    data = bytearray(path.read_bytes())
    data[HEADER + 15] ^= 1
    path.write_bytes(data)
    await setting.retention().sweep()
    after = setting.retention()
    await after.sweep()
    (told,) = [one for one in caplog.records if one.message == "journal_damaged"]
    assert (told.__dict__["file"], told.__dict__["offset"]) == (name, HEADER)
    assert after.damage == f"damaged: {name}; see damaged/"
    assert ids(setting.folder) == ["r2"]
    setting.all_read()
    setting.now += 100
    await after.sweep()
    setting.now += 100
    await after.sweep()
    assert setting.there == []
    assert (setting.folder / EVIDENCE / name).read_bytes() == data
