"""What becomes of holds that nobody renews."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fairlead.canonical.limits import MONTH, SECOND, Demand, Limit, Rule, Standing, rule
from fairlead.canonical.routing import RequestRecord
from fairlead.canonical.usage import Usage
from fairlead.control.sweeper import SETTLING, Sweeper
from fairlead.journal import Journal, decode
from fairlead.journal.note import Note, encode_note
from fairlead.state.local import LocalState
from fairlead.state.port import LEASE, Spending

REQUESTS = rule(
    Limit(unit="requests", algorithm="fixed_window", limit=10, per=3600 * SECOND),
    slot="acme", scope="tenant", subject="acme",
)  # fmt: skip
MONEY = rule(Limit(unit="money", algorithm="calendar", limit=1000, per=MONTH), slot="acme", scope="key", subject="k")
OF_DEPLOYMENT = rule(
    Limit(unit="requests", algorithm="fixed_window", limit=10, per=3600 * SECOND),
    slot="*", scope="deployment", subject="a/b",
)  # fmt: skip
NOTE = encode_note(Note(id="req_1", tenant="acme", key="k"))


class Books:
    """The journals' records, as a test has them."""

    def __init__(self) -> None:
        self.known: dict[str, RequestRecord] = {}

    async def records(self, holds: set[str]) -> dict[str, RequestRecord]:
        return {hold: record for hold, record in self.known.items() if hold in holds}


class Desk:
    def __init__(self, folder: Path) -> None:
        self.now = 1_800_000_000 * SECOND
        self.state = LocalState(folder / "state", clock=lambda: self.now)
        self.books = Books()
        self.path = folder / "lost.journal"
        self.journal = Journal(self.path, asyncio.get_running_loop())
        self.sweeper = Sweeper(self.state, self.books, self.journal, machine="m", slots=lambda: ["*", "acme"])

    async def hold(self, name: str, *demands: Demand) -> None:
        await self.state.reserve(name, demands, NOTE)

    async def sweep(self) -> int:
        return await self.sweeper.sweep(1000.0)

    async def remaining(self, *rules: Rule) -> list[int]:
        standings: list[Standing] = await self.state.standings(rules)
        return [standing.remaining for standing in standings]

    def lost(self) -> list[RequestRecord]:
        return list(decode(self.path.read_bytes()))


@asynccontextmanager
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    found = Desk(tmp_path)
    await found.state.seed(Spending(MONEY, ()))
    try:
        yield found
    finally:
        await found.state.close()
        found.journal.close()


def ended(**facts: Any) -> RequestRecord:
    return RequestRecord(**{"id": "req_1", "at": 0.0, "dialect": "openai_chat", "asked": "chat", **facts})


async def test_what_is_renewed_is_left_alone_and_what_is_lost_counts_as_held(tmp_path: Path) -> None:
    async with desk(tmp_path) as found:
        await found.hold("m-1-1.1", Demand(REQUESTS, 1), Demand(MONEY, 300))
        assert await found.sweep() == 0
        found.now += LEASE + SECOND
        assert await found.sweep() == 1
        assert await found.remaining(REQUESTS, MONEY) == [9, 700]
        (record,) = found.lost()
        assert (record.ended, record.hold, record.charged, record.tenant) == ("lost", "m-1-1", 300, "acme")
        assert await found.sweep() == 0


async def test_what_the_journal_tells_is_settled_by_it_and_not_written_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as found:
        await found.hold("m-1-1.1", Demand(REQUESTS, 1), Demand(MONEY, 300))
        await found.hold("m-1-2.1", Demand(REQUESTS, 1), Demand(MONEY, 300))
        found.books.known = {
            "m-1-1": ended(hold="m-1-1", charged=40, usage=Usage(input=1, output=2)),
            "m-1-2": ended(hold="m-1-2", ended="refused"),
        }
        found.now += LEASE + SECOND
        assert await found.sweep() == 2
        assert await found.remaining(REQUESTS, MONEY) == [9, 960]
        assert found.lost() == []


async def test_a_lost_request_with_two_holds_costs_what_the_dearer_one_held(tmp_path: Path) -> None:
    async with desk(tmp_path) as found:
        await found.hold("m-1-1.1", Demand(OF_DEPLOYMENT, 1))
        await found.hold("m-1-1.2", Demand(MONEY, 300))
        found.now += LEASE + SECOND
        assert await found.sweep() == 2
        assert [record.charged for record in found.lost()] == [300]


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
    journal = Journal(tmp_path / "j", asyncio.get_running_loop())
    sweeper = Sweeper(state, Books(), journal, machine="m", slots=list)
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
    journal = Journal(tmp_path / "j", asyncio.get_running_loop())
    sweeper = Sweeper(state, Books(), journal, machine="m", slots=list)
    await sweeper._collect()
    assert found == [1000]
    journal.close()
