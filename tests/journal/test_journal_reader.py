"""Readers see each record once, whatever happens to files meanwhile."""

import asyncio
import os
import time
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from tests.journal.journal_records import ids, numbered

from fairlead.canonical.routing import Journaling
from fairlead.journal import Journal, Reader, encode, records_of
from fairlead.journal.frames import HEADER, header
from fairlead.journal.reader import recent

SALT = 99


def file_of(folder: Path, *numbers: int, name: str = "requests-1.journal", tail: bytes = b"") -> Path:
    path = folder / name
    path.write_bytes(header(SALT) + b"".join(encode(numbered(number), SALT) for number in numbers) + tail)
    return path


def test_what_lies_behind_a_position_comes_once(tmp_path: Path) -> None:
    path = file_of(tmp_path, 1, 2)
    reader = Reader(tmp_path)
    (batch,) = reader.beyond({})
    assert (batch.file, batch.start, batch.end) == (path.name, 0, path.stat().st_size)
    positions = {batch.file: batch.end}
    assert list(reader.beyond(positions)) == []
    assert reader.behind(positions) == 0
    file_of(tmp_path, 1, 2, 3)
    (batch,) = reader.beyond(positions)
    assert [record.id for record in batch.records] == ["r3"]
    assert batch.start == positions[path.name]
    assert reader.behind(positions) == len(encode(numbered(3), SALT))


def test_a_file_without_a_record_is_nothing_to_catch_up_with(tmp_path: Path) -> None:
    file_of(tmp_path)
    assert list(Reader(tmp_path).beyond({})) == []
    assert Reader(tmp_path).behind({}) == 0


@pytest.mark.parametrize("at_once", [1, 50, 100, 1000])
def test_a_file_is_read_in_pieces_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr("fairlead.journal.reader.AT_ONCE", at_once)
    path = file_of(tmp_path, *range(30), tail=b"torn")
    assert [record.id for record in records_of(path)] == [f"r{number}" for number in range(30)]


@pytest.mark.parametrize("at_once", [20, 4096])
def test_damage_is_told_and_read_past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr("fairlead.journal.reader.AT_ONCE", at_once)
    path = file_of(tmp_path, 1, 2, 3)
    data = bytearray(path.read_bytes())
    size = len(encode(numbered(1), SALT))
    data[HEADER + size + 20] ^= 1
    path.write_bytes(data)
    batches = list(Reader(tmp_path).beyond({}))
    assert [record.id for batch in batches for record in batch.records] == ["r1", "r3"]
    assert [each for batch in batches for each in batch.damage] == [(HEADER + size, HEADER + 2 * size)]
    assert batches[-1].end == len(data)


def test_a_deleted_file_can_be_forgotten(tmp_path: Path) -> None:
    file_of(tmp_path, 1)
    file_of(tmp_path, 2, name="requests-2.journal")
    reader = Reader(tmp_path)
    positions = {batch.file: batch.end for batch in reader.beyond({})}
    assert reader.gone(positions) == []
    (tmp_path / "requests-1.journal").unlink()
    assert reader.gone(positions) == ["requests-1.journal"]
    assert list(records_of(tmp_path / "requests-1.journal")) == []


def test_files_that_were_written_lately(tmp_path: Path) -> None:
    for number, age in enumerate((5, 100, 5000)):
        path = file_of(tmp_path, name=f"requests-{number}.journal")
        at = time.time() - age
        os.utime(path, (at, at))
    assert [path.name for path in sorted(recent(tmp_path, 600))] == ["requests-0.journal", "requests-1.journal"]


def test_a_look_ends_though_records_are_written_as_fast_as_they_are_read(tmp_path: Path) -> None:
    """Who waits for what is there now (a budget for its past) must not wait for all that is to come."""
    reader = Reader(tmp_path)
    seen: list[str] = []
    path = file_of(tmp_path, 0)
    file_of(tmp_path, 1000, name="requests-2.journal")
    for batch in islice(reader.beyond({}), 10):
        seen.extend(record.id for record in batch.records)
        with path.open("ab") as stream:
            stream.write(encode(numbered(len(seen)), SALT))
    assert seen == ["r0", "r1000"]


def test_what_somebody_has_read_is_read_by_others_without_decoding_it_again(tmp_path: Path) -> None:
    """Projections follow the journals at one pace; one that was late is at their pace again with its first batch."""
    path = file_of(tmp_path, 1)
    reader = Reader(tmp_path)
    first = list(reader.beyond({}))
    file_of(tmp_path, 1, 2)
    second = list(reader.beyond({path.name: first[0].end}))
    assert [[record.id for record in batch.records] for batch in reader.beyond({})] == [["r1"], ["r2"]]
    assert all(one is other for one, other in zip(reader.beyond({}), first + second, strict=True))
    late = Reader(tmp_path)
    (ahead,) = late.beyond({path.name: first[0].end})
    behind = list(late.beyond({}))
    assert [record.id for record in behind[0].records] == ["r1"]
    assert behind[1] is ahead


def test_who_is_at_ease_leaves_a_small_rest_to_the_next_look(tmp_path: Path) -> None:
    """Six projections that look one after the other get what the first one got, and not ever smaller batches."""
    path = file_of(tmp_path, 1, 2, 3)
    reader = Reader(tmp_path)
    (first,) = reader.beyond({}, at_ease=True)
    file_of(tmp_path, 1, 2, 3, 4)
    (same,) = reader.beyond({}, at_ease=True)
    assert same is first
    assert [batch.records[-1].id for batch in reader.beyond({})] == ["r3", "r4"]
    (rest,) = reader.beyond({path.name: first.end}, at_ease=True)
    assert [record.id for record in rest.records] == ["r4"]


@pytest.mark.parametrize("at_once", [100, 1000, 100_000])
def test_readers_at_any_pace_see_everything_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """However much is kept, and with damage in between."""
    monkeypatch.setattr("fairlead.journal.reader.AT_ONCE", at_once)
    chance = Random(1)
    path = file_of(tmp_path)
    reader = Reader(tmp_path)
    positions: list[dict[str, int]] = [{} for _ in range(4)]
    seen: list[list[str]] = [[] for _ in positions]
    for number in range(200):
        with path.open("ab") as stream:
            stream.write(b"damage" if number % 50 == 25 else encode(numbered(number), SALT))
        who = chance.randrange(len(positions))
        for batch in islice(reader.beyond(positions[who], at_ease=number % 2 == 0), chance.randrange(3)):
            seen[who].extend(record.id for record in batch.records)
            positions[who][batch.file] = batch.end
    for who, at in enumerate(positions):
        seen[who].extend(record.id for batch in reader.beyond(at) for record in batch.records)
    assert seen == [[f"r{number}" for number in range(200) if number % 50 != 25]] * 4


async def test_what_is_read_while_it_is_written_comes_once_and_in_order(tmp_path: Path) -> None:
    """Over many files: each reader has a position of its own."""
    journal = Journal(tmp_path, "requests", asyncio.get_running_loop(), settings=Journaling(segment=20_000, sync=0.001))
    reader = Reader(tmp_path)
    positions: dict[str, int] = {}
    seen: list[str] = []

    def read_on() -> None:
        for batch in reader.beyond(positions):
            seen.extend(record.id for record in batch.records)
            positions[batch.file] = batch.end

    for number in range(2000):
        assert journal.promise()
        journal.append(numbered(number, user="u" * (number % 300)))
        if number % 7 == 0:
            await asyncio.sleep(0)
        if number % 50 == 0:
            read_on()
    journal.close()
    read_on()
    assert len(reader.sizes()) > 10
    assert sorted(seen) == sorted(ids(tmp_path)) == sorted(f"r{number}" for number in range(2000))


def test_many_processes_write_one_folder_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    """Each writes files of its own, so nothing orders them but the reader."""
    children = []
    for child in range(4):
        pid = os.fork()
        if not pid:
            asyncio.run(_write(tmp_path, child))
            os._exit(0)
        children.append(pid)
    assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
    assert sorted(ids(tmp_path)) == sorted(f"r{child * 1000 + number}" for child in range(4) for number in range(500))


async def _write(folder: Path, child: int) -> None:
    loop = asyncio.get_running_loop()
    journal = Journal(folder, "requests", loop, settings=Journaling(segment=10_000))
    for number in range(500):
        if journal.promise():
            journal.append(numbered(child * 1000 + number))
        await asyncio.sleep(0)
    journal.close()
