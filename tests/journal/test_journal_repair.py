"""A file that nobody writes is made whole again, and what is cut off or damaged is kept."""

import asyncio
import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.journal.journal_records import ids, numbered

from fairlead.canonical.routing import Journaling
from fairlead.journal import Journal, encode
from fairlead.journal.frames import HEADER, LARGEST, header
from fairlead.journal.repair import EVIDENCE, inspect
from fairlead.journal.segment import Segment, used

SALT = 77
FRAMES = [encode(numbered(number), SALT) for number in range(3)]
WHOLE = header(SALT) + b"".join(FRAMES)


def put(folder: Path, data: bytes) -> Path:
    path = folder / "requests-1.journal"
    path.write_bytes(data)
    return path


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / EVIDENCE).glob("*")}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(HEADER, len(WHOLE)), zeros=st.integers(0, 5000))
def test_a_torn_tail_is_cut_off_and_kept(tmp_path: Path, cut: int, zeros: int) -> None:
    for old in (tmp_path / EVIDENCE).glob("*"):
        old.unlink()
    path = put(tmp_path, WHOLE[:cut] + bytes(zeros))
    found = inspect(path)
    assert found is not None
    whole = [end for end in (HEADER + sum(map(len, FRAMES[:count])) for count in range(4)) if end <= cut]
    assert found.end == whole[-1]
    assert path.read_bytes() == WHOLE[: found.end]
    assert found.cut == cut + zeros - found.end
    assert found.empty == (found.end <= HEADER)
    assert found.damage == ()
    torn = WHOLE[found.end : cut]
    if any(torn):
        assert kept(tmp_path)[f"{path.name}.{found.end}"].startswith(torn)
    else:
        assert kept(tmp_path) == {}


@pytest.mark.parametrize("cut", range(HEADER))
def test_a_file_that_was_hardly_begun_is_empty(tmp_path: Path, cut: int) -> None:
    for zeros in (0, 5000):
        found = inspect(put(tmp_path, WHOLE[:cut] + bytes(zeros)))
        assert found is not None
        assert found.empty
        assert found.damage == ()


def test_damage_in_the_middle_leaves_the_file_as_it_is_and_keeps_it(tmp_path: Path) -> None:
    damaged = bytearray(WHOLE)
    damaged[HEADER + 20] ^= 1
    path = put(tmp_path, bytes(damaged))
    found = inspect(path)
    assert found is not None
    assert found.damage == ((HEADER, HEADER + len(FRAMES[0])),)
    assert (found.end, found.cut) == (len(WHOLE), 0)
    path.unlink()
    assert kept(tmp_path) == {path.name: bytes(damaged)}


def test_a_long_tail_that_is_no_torn_write_is_not_cut(tmp_path: Path) -> None:
    """A file whose header and name are lost must not be thrown away because nothing in it can be read."""
    data = WHOLE + b"\x01" * (LARGEST + 100)
    path = put(tmp_path, data)
    found = inspect(path)
    assert found is not None
    assert (found.end, found.cut, found.damage) == (len(WHOLE), 0, ((len(WHOLE), len(data)),))
    assert path.read_bytes() == data
    zeros = inspect(put(tmp_path, WHOLE + bytes(2 * LARGEST)))
    assert zeros is not None
    assert zeros.cut == 2 * LARGEST


async def test_a_file_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "requests", asyncio.get_running_loop(), settings=Journaling())
    assert journal.promise()
    journal.append(numbered(1))
    journal.flush()
    (path,) = tmp_path.glob("*.journal")
    assert inspect(path) is None
    journal.close()
    found = inspect(path)
    assert found is not None
    assert not found.empty
    assert ids(tmp_path) == ["r1"]


def test_room_that_a_killed_worker_had_is_given_back(tmp_path: Path) -> None:
    segment = Segment(tmp_path / "requests-1.journal", 1024 * 1024)
    segment.write(encode(numbered(1), segment.salt))
    assert used(tmp_path) > 1_000_000
    os.close(segment._file)  # as the kernel does when a process dies
    found = inspect(segment.path)
    assert found is not None
    assert found.cut == 0
    assert used(tmp_path) <= 8192
    assert ids(tmp_path) == ["r1"]


def test_a_new_file_that_was_cleaned_away_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "requests-1.journal"
    real, first = fcntl.flock, [True]

    def slow(descriptor: int, operation: int) -> None:
        if first.pop() if first else False:
            path.unlink()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", slow)
    segment = Segment(path, 1000)
    segment.write(encode(numbered(1), segment.salt))
    segment.finish()
    assert ids(tmp_path) == ["r1"]
