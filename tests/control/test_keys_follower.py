"""Changes of keys reach the index of every machine; a database that is away takes nothing from it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.control.conftest import NOW, PEPPER
from tests.key_reader import KeyReader, key_reader
from tests.postgres import postgres

from fairlead.canonical.credential import mac
from fairlead.canonical.tenants import VirtualKey
from fairlead.control import keys as module
from fairlead.control.keyring import Keyring, Made
from fairlead.control.keys import Follower
from fairlead.control.wishes import Wish
from fairlead.database import keys as rows
from fairlead.database import schema
from fairlead.database.engine import Database
from fairlead.database.place import Place
from fairlead.state.board import Board
from fairlead.state.keys import KeyIndexError, KeyWriter, Standing


class Machine:
    """What one machine has: an index, a follower, and a process that looks keys up."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.board = Board(1)
        self.index = KeyWriter(folder)
        self.follower = Follower(database, self.index, self.board)
        self._reading = key_reader(folder)
        self.reader: KeyReader = self._reading.__enter__()

    def find(self, made: Made) -> VirtualKey | None:
        return self.reader.find(mac(PEPPER, made.text.encode()))

    async def close(self) -> None:
        await self.follower.close()
        self.index.close()
        self._reading.__exit__(None, None, None)


NewMachine = Callable[[Database], Machine]


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[NewMachine]:
    machines: list[Machine] = []

    def new(database: Database) -> Machine:
        machines.append(Machine(database, tmp_path / f"index-{len(machines)}"))
        return machines[-1]

    yield new
    for one in machines:
        await one.close()


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_every_change_reaches_the_index(keyring: Keyring, database: Database, machine: NewMachine) -> None:
    one = machine(database)
    made = keyring.create(Wish(name="ci", tenant="acme", tier="paid", models=("chat",), cidrs=("10.0.0.0/8",)))
    assert one.find(made) is None
    assert await one.follower.catch_up()
    expected = VirtualKey(
        id=made.key.id, name="ci", tenant="acme", tier="paid", models=("chat",), cidrs=("10.0.0.0/8",)
    )
    assert one.find(made) == expected
    keyring.update(made.key.id, Wish(name="ci2", tags={"a": "b"}, expires_at=NOW + 100))
    rotated = keyring.rotate(made.key.id, 60.0)
    await one.follower.catch_up()
    found, new = one.find(made), one.find(rotated)
    assert found is not None
    assert new is not None
    # The earlier of the key's end and the secret's.
    assert (found.name, found.tags, found.expires_at, new.expires_at) == ("ci2", (("a", "b"),), NOW + 60, NOW + 100)
    keyring.revoke(made.key.id)
    await one.follower.catch_up()
    assert (one.find(made), one.find(rotated)) == (None, None)


async def test_workers_are_told_of_changes_and_of_nothing_else(
    keyring: Keyring, database: Database, machine: NewMachine
) -> None:
    one = machine(database)
    await one.follower.catch_up()
    seen = one.board.keys_generation
    for _ in range(3):
        await one.follower.catch_up()
    assert one.board.keys_generation == seen
    keyring.create(Wish(name="ci"))
    await one.follower.catch_up()
    assert one.board.keys_generation == seen + 1
    with database.writing() as connection:  # a version that belongs to no key
        connection.execute(text("UPDATE meta SET version = version + 5"))
    for _ in range(3):
        await one.follower.catch_up()
    assert one.index.standing().version == 6
    assert one.board.keys_generation <= seen + 2


async def test_two_machines_on_one_database_follow_it_within_a_second(
    keyring: Keyring, database: Database, machine: NewMachine
) -> None:
    machines = [machine(database), machine(database)]
    following = [asyncio.create_task(one.follower.run()) for one in machines]
    made = await asyncio.to_thread(keyring.create, Wish(name="ci"))
    await until(lambda: all(one.find(made) for one in machines))
    await asyncio.to_thread(keyring.revoke, made.key.id)
    await until(lambda: not any(one.find(made) for one in machines))
    assert module.LOOK_EVERY < 0.5
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)


async def test_a_change_made_here_is_followed_at_once(
    keyring: Keyring, database: Database, machine: NewMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 3600.0)
    one = machine(database)
    following = asyncio.create_task(one.follower.run())
    await until(lambda: one.index.standing().uid)
    made = await asyncio.to_thread(keyring.create, Wish(name="ci"))
    one.follower.nudge()
    await until(lambda: one.find(made))
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_many_changes_come_in_several_pages(
    keyring: Keyring, database: Database, machine: NewMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = rows.changes_since
    monkeypatch.setattr(rows, "changes_since", lambda connection, version: real(connection, version, 3))
    one, late = machine(database), machine(database)
    await one.follower.catch_up()
    made = [keyring.create(Wish(name=f"n{number}")) for number in range(10)]
    for each in (one, late):  # one follows, the other is built
        await each.follower.catch_up()
        assert all(each.find(key) for key in made)
        assert each.index.standing().version == 10


async def test_another_database_replaces_the_index(
    keyring: Keyring,
    database: Database,
    machine: NewMachine,
    tmp_path: Path,
    keyring_on: Callable[[Database], Keyring],
    opened: Callable[[Place], Database],
) -> None:
    one = machine(database)
    made = keyring.create(Wish(name="here"))
    await one.follower.catch_up()
    other = opened(Place(data=tmp_path / "other"))
    schema.prepare(other)
    there = keyring_on(other).create(Wish(name="there"))
    moved = Follower(other, one.index, one.board)
    await moved.catch_up()
    assert one.find(made) is None
    assert one.find(there) is not None
    await moved.close()


async def test_an_older_backup_of_the_database_replaces_the_index(
    keyring: Keyring, database: Database, machine: NewMachine
) -> None:
    one = machine(database)
    made = keyring.create(Wish(name="lost"))
    kept = keyring.create(Wish(name="kept"))
    await one.follower.catch_up()
    with database.writing() as connection:
        connection.execute(text("DELETE FROM key_secrets WHERE key_id = :id"), {"id": made.key.id})
        connection.execute(text("DELETE FROM keys WHERE id = :id"), {"id": made.key.id})
        connection.execute(text("UPDATE keys SET version = 1"))
        connection.execute(text("UPDATE meta SET version = 1"))
    await one.follower.catch_up()
    assert one.find(made) is None
    assert one.find(kept) is not None
    assert one.index.standing().version == 1


async def test_while_the_database_is_down_keys_are_good_and_two_lines_tell_of_it(
    machine: NewMachine, tmp_path: Path, keyring_on: Callable[[Database], Keyring], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fairlead.control")
    with postgres() as server:
        database = Database(Place(data=tmp_path, url=server.new_database()))
        schema.migrate(database)
        ring = keyring_on(database)
        one = machine(database)
        made = ring.create(Wish(name="before"))
        await one.follower.catch_up()
        server.stop()
        for _ in range(3):
            assert not await one.follower.catch_up()
        assert one.find(made) is not None
        server.start()
        assert await one.follower.catch_up()
        after = ring.create(Wish(name="after"))
        assert await one.follower.catch_up()
        assert one.find(after) is not None
        database.close()
    events = [record.getMessage() for record in caplog.records if record.name == "fairlead.control"]
    assert events == ["database_down", "database_up"]
    assert "canary-password" not in str([vars(record) for record in caplog.records])


async def test_whatever_fails_the_follower_looks_again(
    keyring: Keyring,
    database: Database,
    machine: NewMachine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "fairlead.control")
    one = machine(database)
    made = keyring.create(Wish(name="ci"))
    failures = [ZeroDivisionError("odd"), KeyIndexError("full"), ZeroDivisionError("odd again")]
    real = one.index.rebuild

    def failing(*arguments: object) -> None:
        if failures:
            raise failures.pop(0)
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(one.index, "rebuild", failing)
    assert [await one.follower.catch_up() for _ in range(4)] == [False, False, False, True]
    assert one.find(made) is not None
    events = [record.getMessage() for record in caplog.records if record.name == "fairlead.control"]
    troubles = ("key_follower", "key_index", "key_follower")
    assert events == [f"{trouble}_{way}" for trouble in troubles for way in ("down", "up")]


def test_an_entry_of_a_revoked_key_is_empty(keyring: Keyring, database: Database) -> None:
    made = keyring.create(Wish(name="ci"))
    keyring.revoke(made.key.id)
    with database.reading() as connection:
        assert [entry.known_by for entry in module.entries(connection)] == [()]
        assert Standing(*rows.identity(connection)).version == 2


@pytest.mark.parametrize("turns", range(6))
async def test_it_ends_when_it_is_told_to_at_the_moment_of_a_change(
    database: Database, machine: NewMachine, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 3600.0)
    one = machine(database)
    following = asyncio.create_task(one.follower.run())
    await until(lambda: one.index.standing().uid)
    await until(lambda: one.follower._nudged._waiters)
    one.follower.nudge()
    for _ in range(turns):
        await asyncio.sleep(0)
    following.cancel()
    async with asyncio.timeout(5):
        await asyncio.gather(following, return_exceptions=True)
