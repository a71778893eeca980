"""A worker's own tasks: what a worker does when one of them fails while it serves."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.gateway.gateway_harness import until

from fairlead.canonical.routing import Snapshot
from fairlead.gateway.worker import Post, Worker
from fairlead.state.board import Board
from fairlead.state.channel import Publisher
from fairlead.state.keys import KeyWriter
from fairlead.state.port import StateError

FIRST = Snapshot(version="first", routes=())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@pytest.fixture(autouse=True)
def ordinary_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker settles the memory of its process, and this one is the tests'."""
    monkeypatch.setattr("fairlead.gateway.worker._settle_memory", lambda: None)


class Running:
    def __init__(self, worker: Worker, publisher: Publisher, board: Board) -> None:
        self.worker, self.publisher, self.board = worker, publisher, board
        self.task = asyncio.create_task(worker.run())

    async def serves(self, generation: int) -> None:
        await until(lambda: self.board.all()[0].generation == generation or self.task.done())


@asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """A worker that serves FIRST."""
    lifeline, held = os.pipe()
    KeyWriter(tmp_path / "keys").close()
    post = Post(
        number=0,
        host="127.0.0.1",
        port=free_port(),
        socket=tmp_path / "control",
        journals=tmp_path / "journal",
        state=tmp_path / "state",
        keys=tmp_path / "keys",
        machine="m",
        lifeline=lifeline,
    )
    publisher, board = Publisher(), Board(1)
    publisher.publish(FIRST)
    await publisher.listen(post.socket)
    found = Running(Worker(post, board), publisher, board)
    try:
        await found.serves(1)
        yield found
    finally:
        os.close(held)
        await asyncio.gather(found.task, return_exceptions=True)
        os.close(lifeline)
        await publisher.close()


async def test_a_snapshot_that_cannot_be_used_leaves_the_one_before_and_later_ones_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path) as found:
        world = found.worker._world
        adopt = world.adopt
        monkeypatch.setattr(world, "adopt", lambda snapshot: adopt(snapshot) if snapshot.version != "bad" else 1 / 0)
        found.publisher.publish(Snapshot(version="bad", routes=()))
        found.publisher.publish(Snapshot(version="good", routes=()))
        await found.serves(3)
        assert world.snapshot.version == "good"
        assert [record.message for record in caplog.records].count("snapshot_unusable") == 1


async def test_a_worker_that_cannot_renew_leases_ends_so_that_another_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = asyncio.get_running_loop().create_future()

    async def renew(self: object) -> None:
        del self
        await failed

    monkeypatch.setattr("fairlead.gateway.holds.Holds.renew", renew)
    async with running(tmp_path) as found:
        failed.set_exception(StateError("odd"))
        with pytest.raises(StateError, match="odd"):
            await asyncio.wait_for(found.task, 5)
