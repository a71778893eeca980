"""S11: the power fails. What a disk was not forced to keep is gone, and so are names of files in no forced folder.

The disk is a FAKE, made of what this process really asks of its own one; everything else is real.
"""

import asyncio
import os
import stat
from pathlib import Path

import pytest
from tests.gateway.gateway_harness import Gateway, gateway, until

from fairlead.canonical.routing import Journaling
from fairlead.journal.frames import decode

CLIENTS = 4
REQUESTS = 12
"""Of each client: over several files."""


class Disk:
    """What would be on the disk, were the power to fail now."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._contents: dict[int, bytes] = {}
        self._force = os.fdatasync, os.fsync

    def fdatasync(self, descriptor: int) -> None:
        content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        self._force[0](descriptor)
        self._contents[os.fstat(descriptor).st_ino] = content

    def fsync(self, descriptor: int) -> None:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return self.fdatasync(descriptor)
        names = {entry.name: entry.inode() for entry in os.scandir(descriptor)}
        self._force[1](descriptor)
        self._names |= names
        return None

    def records(self) -> set[str]:
        """The ids of the records that are there after it."""
        contents = [self._contents.get(inode, b"") for name, inode in self._names.items() if name.endswith(".journal")]
        return {record.id for content in contents for record in decode(content)}


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    found = Disk()
    monkeypatch.setattr(os, "fdatasync", found.fdatasync)
    monkeypatch.setattr(os, "fsync", found.fsync)
    return found


async def answered(gate: Gateway, number: int) -> str:
    """The id of a request whose client has the whole answer."""
    answer = await gate.chat(stream=bool(number % 2))
    assert answer.status == 200
    assert answer.clean
    return answer.headers["x-request-id"]


async def test_s11_whoever_forces_every_record_has_those_of_all_answers_after_a_power_loss(
    tmp_path: Path, disk: Disk
) -> None:
    async with gateway(tmp_path) as gate:
        gate.world.journal.adopt(Journaling(sync=0.0, segment=4_000))

        async def client() -> None:
            for number in range(REQUESTS):
                assert await answered(gate, number) in disk.records()

        await asyncio.gather(*[client() for _ in range(CLIENTS)])
        assert len(list((tmp_path / "journal").iterdir())) > 2


async def test_s11_otherwise_they_are_there_a_little_later(tmp_path: Path, disk: Disk) -> None:
    async with gateway(tmp_path) as gate:
        gate.world.journal.adopt(Journaling(sync=0.01))
        asked = {await answered(gate, number) for number in range(REQUESTS)}
        await until(lambda: asked <= disk.records())
