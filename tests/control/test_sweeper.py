"""Overdue holds: settled by the record where the journal has one, as lost where it has none, and only once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.canonical.limits import DAY, DOLLAR, SECOND, Demand, Granted, Limit, Unit, rule
from fairlead.canonical.routing import RequestRecord
from fairlead.canonical.usage import Usage
from fairlead.control.sweeper import FOREIGN_AFTER, SETTLING, Sweeper
from fairlead.journal import Journal, Reader
from fairlead.journal.note import Note, encode_note
from fairlead.state.local import LocalState
from fairlead.state.port import LEASE, Spending

WALL = 1_790_000_000.0


def demand(unit: Unit, amount: int, algorithm: Any = "token_bucket", limit: int = 1000) -> Demand:
    line = Limit(unit=unit, algorithm=algorithm, limit=limit, per=DAY)
    return Demand(rule(line, slot="acme", scope="tenant", subject="acme"), amount)


DEMANDS = (
    demand("requests", 1),
    demand("tokens", 500),
    demand("concurrency", 1, "concurrency"),
    demand("money", 300_000, "calendar", DOLLAR),
)
NOTE = encode_note(Note(id="r1", tenant="acme", key="k", asked="chat", tags=(("team", "a"),)))


class Setting:
    """A state with a clock of its own, a journal, and what other journals say."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_790_000_000 * SECOND
        self.state = LocalState(folder / "state", clock=lambda: self.now)
        self.folder = folder / "journal"
        self.journal = Journal(self.folder, "lost", asyncio.get_running_loop())
        self.known: dict[str, RequestRecord] = {}
        self.sweeper = Sweeper(self.state, self, self.journal, machine="m1", slots=lambda: ["acme"])

    async def records(self, holds: set[str]) -> dict[str, RequestRecord]:
        return {hold: record for hold, record in self.known.items() if hold in holds}

    async def hold(self, name: str) -> None:
        await self.state.seed(Spending(DEMANDS[3].rule, ()))
        assert isinstance(await self.state.reserve(name, DEMANDS, NOTE), Granted)

    async def left(self) -> list[int]:
        return [standing.remaining for standing in await self.state.standings([each.rule for each in DEMANDS])]

    def written(self) -> list[RequestRecord]:
        return [record for batch in Reader(self.folder).beyond({}) for record in batch.records]


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    made = Setting(tmp_path)
    yield made
    await made.state.close()
    made.journal.close()


async def test_a_hold_that_is_alive_is_left_alone(setting: Setting) -> None:
    await setting.hold("m1-a-1.1")
    setting.now += LEASE
    assert await setting.sweeper.sweep(WALL) == 0
    assert setting.written() == []


async def test_a_lost_request_is_counted_as_held_and_has_a_record(setting: Setting) -> None:
    await setting.hold("m1-a-1.1")
    setting.now += LEASE + 1
    assert await setting.sweeper.sweep(WALL) == 1
    (record,) = setting.written()
    assert (record.ended, record.id, record.tenant, record.key, record.asked) == ("lost", "r1", "acme", "k", "chat")
    assert (record.hold, record.charged, record.estimated, record.tags) == ("m1-a-1", 300_000, True, (("team", "a"),))
    assert await setting.left() == [999, 500, 1000, 700_000]
    setting.now += LEASE
    assert await setting.sweeper.sweep(WALL) == 0
    assert len(setting.written()) == 1


async def test_a_request_whose_record_was_written_is_settled_by_it(setting: Setting) -> None:
    await setting.hold("m1-a-1.1")
    usage = Usage(input=10, output=20)
    setting.known["m1-a-1"] = RequestRecord(id="r1", at=WALL, hold="m1-a-1", usage=usage, charged=50)
    setting.now += LEASE + 1
    assert await setting.sweeper.sweep(WALL) == 1
    assert setting.written() == []
    assert await setting.left() == [999, 970, 1000, DOLLAR - 50]


async def test_all_holds_of_a_request_are_one_loss(setting: Setting) -> None:
    await setting.hold("m1-a-1.1")
    await setting.hold("m1-a-1.2")
    setting.now += LEASE + 1
    assert await setting.sweeper.sweep(WALL) == 2
    assert len(setting.written()) == 1


async def test_another_machines_hold_is_its_own_matter_for_a_while(setting: Setting) -> None:
    await setting.hold("m2-a-1.1")
    setting.now += LEASE + 1
    assert await setting.sweeper.sweep(WALL) == 0
    setting.now += FOREIGN_AFTER
    assert await setting.sweeper.sweep(WALL) == 1


async def test_a_request_for_which_nothing_was_tried_is_given_back_whole(setting: Setting) -> None:
    await setting.hold("m1-a-1.1")
    setting.known["m1-a-1"] = RequestRecord(id="r1", at=WALL, hold="m1-a-1", ended="refused")
    setting.now += LEASE + 1
    assert await setting.sweeper.sweep(WALL) == 1
    assert await setting.left() == [1000, 1000, 1000, DOLLAR]


async def test_a_lost_request_with_two_holds_costs_what_the_dearer_one_held(setting: Setting) -> None:
    assert isinstance(await setting.state.reserve("m1-a-1.1", DEMANDS[:2], NOTE), Granted)
    await setting.hold("m1-a-1.2")
    setting.now += LEASE + 1
    assert await setting.sweeper.sweep(WALL) == 2
    assert [record.charged for record in setting.written()] == [300_000]


class Nothing:
    """No journal knows anything."""

    async def records(self, holds: set[str]) -> dict[str, RequestRecord]:
        del holds
        return {}


async def test_leases_that_nobody_could_renew_are_not_swept_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shared state that was away for longer than a lease: the requests that hold something live all the same."""
    sweeps: list[str] = []

    class Away:
        trouble = "away"

        def collect(self) -> int:
            return 0

    state: Any = Away()
    journal = Journal(tmp_path, "lost", asyncio.get_running_loop())
    sweeper = Sweeper(state, Nothing(), journal, machine="m", slots=list)
    turns = 0

    async def pause(_: float) -> None:
        nonlocal turns
        turns += 1
        if turns == 2:
            state.trouble = ""
        if turns == 3 + SETTLING:
            raise asyncio.CancelledError

    async def sweep(_: float) -> int:
        sweeps.append(state.trouble or "there")
        return 0

    monkeypatch.setattr("fairlead.control.sweeper.asyncio.sleep", pause)
    monkeypatch.setattr(sweeper, "sweep", sweep)
    with pytest.raises(asyncio.CancelledError):
        await sweeper.run(lambda: 0.0)
    assert sweeps == ["away", "there"]
    journal.close()


async def test_idle_states_are_collected_as_fast_as_they_come(tmp_path: Path) -> None:
    found = [1000, 900, 10, 1000]

    class Full:
        trouble = ""

        def collect(self) -> int:
            return found.pop(0)

    state: Any = Full()
    journal = Journal(tmp_path, "lost", asyncio.get_running_loop())
    sweeper = Sweeper(state, Nothing(), journal, machine="m", slots=list)
    await sweeper._collect()
    assert found == [1000]
    journal.close()
