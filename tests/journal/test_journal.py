"""Records go in, and come out again whole, whatever happened to the file's end."""

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.canonical.routing import AttemptRecord, RequestRecord
from fairlead.canonical.usage import Usage
from fairlead.journal import Frames, Journal, decode, encode

RECORD = RequestRecord(
    id="req_1",
    at=1_790_000_000.25,
    tenant="acme",
    asked="chat",
    served="openai/gpt-4o-mini",
    attempts=(
        AttemptRecord(
            deployment="openai/gpt-4o-mini", started_at=0.0, duration=0.5, outcome="rate_limited", status=429
        ),
        AttemptRecord(deployment="openai/gpt-4o-mini", started_at=0.6, duration=0.2, outcome="answered", status=200),
    ),
    usage=Usage(input=12, output=7, cache_read=3),
    cost="0.0000123",
)


def test_a_record_comes_back_as_it_went_in() -> None:
    assert list(decode(encode(RECORD))) == [RECORD]


@given(cut=st.integers(0, 10_000), count=st.integers(1, 5))
def test_a_torn_tail_costs_only_the_record_that_it_tore(cut: int, count: int) -> None:
    frame = encode(RECORD)
    data = (frame * count)[:cut]
    frames = Frames(data)
    assert len(list(frames)) == len(data) // len(frame)
    assert frames.end == len(data) // len(frame) * len(frame)


@given(position=st.integers(0, 10_000))
def test_a_flipped_bit_is_never_read_as_a_record(position: int) -> None:
    frame = encode(RECORD)
    damaged = bytearray(frame * 2)
    damaged[len(frame) + position % len(frame)] ^= 1
    assert list(decode(bytes(damaged))) == [RECORD]


async def test_records_of_one_turn_are_in_the_file_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "requests.journal"
    journal = Journal(path, asyncio.get_running_loop())
    for _ in range(3):
        journal.append(RECORD)
    assert path.stat().st_size == 0
    await asyncio.sleep(0)
    assert list(decode(path.read_bytes())) == [RECORD] * 3
    assert (journal.written, journal.lost) == (3, 0)
    assert path.stat().st_mode & 0o077 == 0
    journal.append(RECORD)
    journal.close()
    assert len(list(decode(path.read_bytes()))) == 4


async def test_a_full_disk_leaves_no_half_record_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "requests.journal"
    journal = Journal(path, asyncio.get_running_loop())
    journal.append(RECORD)
    journal.flush()
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) < 40:
            raise OSError(28, "no space left on device")
        return write(descriptor, data[: len(data) - 20])

    monkeypatch.setattr(os, "write", full)
    journal.append(RECORD)
    journal.flush()
    monkeypatch.undo()
    assert (journal.written, journal.lost) == (1, 1)
    journal.append(RECORD)
    journal.close()
    assert list(decode(path.read_bytes())) == [RECORD, RECORD]
