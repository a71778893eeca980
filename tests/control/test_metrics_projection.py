"""The totals of metrics: what is kept of them, what the next control process makes of it, which journals it needs."""

import asyncio
import errno
from pathlib import Path

import msgspec
import pytest
from tests.journal.journal_records import numbered

from fairlead.config.records import Journal as Settings
from fairlead.control import metrics
from fairlead.control.metrics import Keeper, Kept, Metrics
from fairlead.control.projector import Projector
from fairlead.control.retention import Retention
from fairlead.journal import Journal, Reader
from fairlead.journal.bookmark import Bookmark


async def write(folder: Path, *numbers: int) -> None:
    journal = Journal(folder, "requests", asyncio.get_running_loop())
    for number in numbers:
        journal.append(numbered(number, cost="0.000000000001", served="a/m"))
    journal.close()


def made(tmp_path: Path) -> Metrics:
    return Metrics(tmp_path / "metrics", Reader(tmp_path / "journal"), dict)


def count(some: Metrics) -> float:
    text = some._text("")[1].decode()
    return sum(float(line.split(" ")[-1]) for line in text.splitlines() if line.startswith("fairlead_requests_total{"))


async def caught_up(some: Metrics, tmp_path: Path) -> Metrics:
    projector = Projector(Reader(tmp_path / "journal"), some)
    assert await projector.catch_up()
    await projector.close(1.0)
    return some


async def test_whoever_is_killed_counts_nothing_twice_and_misses_nothing(tmp_path: Path) -> None:
    await write(tmp_path / "journal", 1, 2, 3)
    first = await caught_up(made(tmp_path), tmp_path)
    first.keep()
    await write(tmp_path / "journal", 4, 5)
    await caught_up(first, tmp_path)
    assert count(first) == 5
    second = made(tmp_path)  # the first is gone without a word
    assert count(second) == 3
    assert count(await caught_up(second, tmp_path)) == 5


async def test_a_journal_stays_until_what_was_counted_of_it_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    await write(folder, 1, 2, 3)
    some = await caught_up(made(tmp_path), tmp_path)
    retention = Retention(folder, (Keeper(some),), lambda: Settings(keep=0.0), lambda: False)
    await retention.sweep()
    assert len(list(folder.glob("*.journal"))) == 1
    Keeper(some).hurry()
    await retention.sweep()
    assert not list(folder.glob("*.journal"))
    assert count(made(tmp_path)) == 3
    some.keep()
    assert some.positions() == {}
    await retention.close()


async def test_a_full_disk_does_not_keep_the_journals_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Totals that cannot be written are kept in memory, and journals can go."""
    await write(tmp_path / "journal", 1)
    some = await caught_up(made(tmp_path), tmp_path)

    def full(_self: object, _value: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Bookmark, "write", full)
        some.close()
        assert Keeper(some).positions == some.positions() != {}
    some.keep()
    assert count(made(tmp_path)) == 1


async def test_totals_of_any_size_are_kept(tmp_path: Path) -> None:
    """Ten seconds of each of a thousand requests a second are more nanoseconds than 64 bits hold within a month."""
    await write(tmp_path / "journal", 1)
    some = await caught_up(made(tmp_path), tmp_path)
    some._kept.totals.count("fairlead_cost_dollars", "a/m", "acme", by=10**30)
    some.keep()
    assert made(tmp_path)._kept.totals == some._kept.totals


async def test_totals_of_another_shape_are_counted_anew(tmp_path: Path) -> None:
    """Another version had other labels or buckets: what the journals still have is what is known."""
    await write(tmp_path / "journal", 1, 2)
    some = await caught_up(made(tmp_path), tmp_path)
    some._kept.totals.count("fairlead_requests", "too", "few")
    Bookmark(tmp_path / "metrics", Kept).write(msgspec.structs.replace(some._kept, shape="of another version"))
    assert count(await caught_up(made(tmp_path), tmp_path)) == 2


async def test_what_was_counted_is_kept_though_no_more_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "KEEP_EVERY", 0.0)
    await write(tmp_path / "journal", 1)
    some = await caught_up(made(tmp_path), tmp_path)
    running = asyncio.ensure_future(some.run())
    async with asyncio.timeout(10):
        while not (tmp_path / "metrics").exists():
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert count(made(tmp_path)) == 1
