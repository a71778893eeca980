"""Snapshots reach every worker, the newest one first of all, through restarts of either side."""

import asyncio
from pathlib import Path

from fairlead.canonical.routing import Snapshot
from fairlead.state.channel import Notice, Published, Publisher, Subscriber


def snapshot(version: str) -> Snapshot:
    return Snapshot(version=version, routes=(), secrets={"openai": "s" * 200_000})


class Inbox:
    """What a worker was given, and a way to wait for it."""

    def __init__(self) -> None:
        self.versions: asyncio.Queue[str] = asyncio.Queue()

    def __call__(self, published: Published) -> None:
        self.versions.put_nowait(published.snapshot.version)

    async def next(self) -> str:
        return await asyncio.wait_for(self.versions.get(), 5)


async def test_a_late_worker_gets_the_newest_and_everyone_gets_the_next(tmp_path: Path) -> None:
    publisher = Publisher()
    await publisher.listen(tmp_path / "s")
    publisher.publish(snapshot("one"))
    publisher.publish(snapshot("two"))
    inboxes = [Inbox(), Inbox()]
    tasks = [asyncio.create_task(Subscriber(tmp_path / "s", inbox).run()) for inbox in inboxes]
    assert [await inbox.next() for inbox in inboxes] == ["two", "two"]
    assert publisher.publish(snapshot("three")) == 3
    assert [await inbox.next() for inbox in inboxes] == ["three", "three"]
    for task in tasks:
        task.cancel()
    await publisher.close()


async def test_a_worker_comes_back_to_a_new_publisher(tmp_path: Path) -> None:
    inbox = Inbox()
    task = asyncio.create_task(Subscriber(tmp_path / "s", inbox).run())
    for version in ("before", "after"):
        publisher = Publisher()
        await publisher.listen(tmp_path / "s")
        publisher.publish(snapshot(version))
        assert await inbox.next() == version
        await publisher.close()
    task.cancel()


async def test_a_workers_notice_reaches_control_once_and_nobody_hears_it_while_control_is_away(tmp_path: Path) -> None:
    heard: asyncio.Queue[Notice] = asyncio.Queue()
    inbox = Inbox()
    subscriber = Subscriber(tmp_path / "s", inbox)
    subscriber.tell(Notice("seed", "lost"))
    task = asyncio.create_task(subscriber.run())
    publisher = Publisher(heard.put_nowait)
    await publisher.listen(tmp_path / "s")
    publisher.publish(snapshot("one"))
    await inbox.next()
    for name in ("acme", "acme", "other"):
        subscriber.tell(Notice("seed", name))
    assert [await asyncio.wait_for(heard.get(), 5) for _ in range(2)] == [
        Notice("seed", "acme"),
        Notice("seed", "other"),
    ]
    assert heard.empty()
    task.cancel()
    await publisher.close()


async def test_a_line_that_speaks_nonsense_is_hung_up_on(tmp_path: Path) -> None:
    publisher = Publisher()
    await publisher.listen(tmp_path / "s")
    for nonsense in (b"\xff\xff\xff\xff", b"\x00\x00\x00\x02\xc0\xc0"):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(nonsense)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
    await publisher.close()
