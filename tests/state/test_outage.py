"""The shared state freezes, dies, comes back empty, or refuses writes: requests go on, and nothing is spent twice."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from tests.state.rules import ALGORITHMS, limited, settlement
from tests.valkey import Valkey, valkey

from fairlead.canonical.limits import DOLLAR, Demand, Denied, Granted, Unavailable, Unseeded, Verdict
from fairlead.state.local import LocalState
from fairlead.state.outage import Guarded, Share, divided
from fairlead.state.port import Hold, Settlement, Spending, StateError
from fairlead.state.proof import prove
from fairlead.state.valkey import ValkeyState

FLOAT = 40
SHARE = Share(instances=2, money=FLOAT)
WITHIN = 10.0
BUDGET = limited("calendar", 100, unit="money")
RATE = limited("sliding_window", 10)
PLACES = limited("concurrency", 10)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Valkey]:
    with valkey(tmp_path / "valkey") as running:
        yield running
        running.thaw()


@pytest.fixture
async def shared(own_server: Valkey) -> AsyncIterator[ValkeyState]:
    """Another machine's view of the server, and a patient one."""
    state = ValkeyState(own_server.url, timeout=WITHIN)
    yield state
    await state.close()


@pytest.fixture
async def guarded(own_server: Valkey, folder: Path) -> AsyncIterator[Guarded]:
    """Connected, and with its budgets' past told."""
    state = Guarded(ValkeyState(own_server.url), LocalState(folder), SHARE, chance=Random(1))
    await state.seed("acme", [])
    yield state
    await state.close()


async def ask(state: Guarded | ValkeyState, hold: str, *demands: Demand, strict: bool = False) -> Verdict:
    return await state.reserve(hold, demands, b"", strict=strict)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN):
        while not condition():
            await asyncio.sleep(0.01)


async def recovered(state: Guarded) -> None:
    await until(lambda: not state.is_degraded)


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "fairlead.state"]


async def test_a_frozen_server_costs_each_request_a_tenth_of_a_second_once(
    guarded: Guarded, own_server: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    wide = limited("sliding_window", 10_000)
    taken: list[float] = []

    async def request(name: str) -> None:
        began = time.perf_counter()
        assert isinstance(await ask(guarded, name, Demand(wide, 1)), Granted)
        taken.append(time.perf_counter() - began)

    await request("before")
    own_server.freeze()
    await asyncio.gather(*[request(f"first{number}") for number in range(50)])
    assert max(taken) < 0.2
    first = len(taken)
    await asyncio.gather(*[request(f"then{number}") for number in range(50)])
    assert max(taken[first:]) < 0.09, "the server is asked no more"
    assert events(caplog) == ["state_degraded"]
    own_server.thaw()
    await recovered(guarded)
    assert events(caplog) == ["state_degraded", "state_recovered"]


async def test_strict_calls_are_refused_and_others_have_a_share(guarded: Guarded, own_server: Valkey) -> None:
    own_server.freeze()
    verdicts = await asyncio.gather(*[ask(guarded, f"s{n}", Demand(RATE, 1), strict=True) for n in range(3)])
    assert verdicts == [Unavailable()] * 3
    granted = [isinstance(await ask(guarded, f"h{number}", Demand(RATE, 1)), Granted) for number in range(8)]
    assert granted == [True] * 5 + [False] * 3
    assert [standing.remaining for standing in await guarded.standings([RATE])] == [0]


async def test_money_is_spent_up_to_the_float_and_charged_afterwards(
    guarded: Guarded, shared: ValkeyState, own_server: Valkey
) -> None:
    own_server.freeze()
    held = (Demand(BUDGET, 30),)
    granted = await ask(guarded, "h1", *held)
    assert isinstance(await ask(guarded, "h2", Demand(BUDGET, 11)), Denied)
    assert await guarded.settle([settlement("h1", held, granted, 25)]) == [True]
    late = (Demand(BUDGET, 5),)
    still_open = await ask(guarded, "h3", *late)
    own_server.thaw()
    await recovered(guarded)
    assert [standing.remaining for standing in await shared.standings([BUDGET])] == [75]
    assert await guarded.settle([settlement("h3", late, still_open, 4)]) == [True]
    await eventually_left(shared, 71)


async def test_what_a_lost_answer_held_is_given_back(guarded: Guarded, shared: ValkeyState, own_server: Valkey) -> None:
    """A frozen server finds the request in its socket when it goes on, and grants it to nobody."""
    own_server.freeze()
    here = await ask(guarded, "h1", Demand(PLACES, 1))
    own_server.thaw()
    await recovered(guarded)
    assert [standing.remaining for standing in await shared.standings([PLACES])] == [10]
    assert await guarded.settle([settlement("h1", (Demand(PLACES, 1),), here)]) == [True]
    assert [standing.remaining for standing in await shared.standings([PLACES])] == [10]


async def test_holds_of_before_are_settled_when_the_server_is_back(
    guarded: Guarded, shared: ValkeyState, own_server: Valkey
) -> None:
    demands = (Demand(BUDGET, 50), Demand(PLACES, 1))
    granted = await ask(guarded, "h1", *demands)
    other = (Demand(PLACES, 1),)
    own_server.freeze()
    here = await ask(guarded, "h2", *other)
    ends = [settlement("h2", other, here), settlement("h1", demands, granted, 20, 1)]
    assert await guarded.settle([*ends, ends[0]]) == [True, True, False]
    await guarded.renew([end.hold for end in ends])
    own_server.thaw()
    await recovered(guarded)
    left = [standing.remaining for standing in await shared.standings([BUDGET, PLACES])]
    assert left == [80, 10]


async def test_a_server_that_comes_back_empty_is_told_the_past_and_nothing_is_charged_twice(
    guarded: Guarded, shared: ValkeyState, own_server: Valkey
) -> None:
    demands = (Demand(BUDGET, 30),)
    own_server.kill()
    granted = await ask(guarded, "h1", *demands)
    await guarded.settle([settlement("h1", demands, granted, 25)])
    with pytest.raises(StateError):
        await guarded.seed("acme", [])
    own_server.start()
    assert await shared.seed("acme", [Spending(BUDGET, ((granted.since, 60),))])  # type: ignore[union-attr]
    await recovered(guarded)
    assert [standing.remaining for standing in await shared.standings([BUDGET])] == [40]


async def test_a_server_that_comes_back_empty_judges_no_budget_before_it_knows_the_past(
    guarded: Guarded, own_server: Valkey
) -> None:
    own_server.kill()
    assert isinstance(await ask(guarded, "h1", Demand(BUDGET, 1)), Granted)
    own_server.start()
    await recovered(guarded)
    assert await ask(guarded, "h2", Demand(BUDGET, 1)) == Unseeded("acme")
    assert await guarded.seed("acme", [])
    assert isinstance(await ask(guarded, "h2", Demand(BUDGET, 1)), Granted)


async def test_a_server_without_memory_is_no_server(guarded: Guarded, own_server: Valkey) -> None:
    with own_server.client() as client:
        client.config_set("maxmemory", "1")
        assert isinstance(await ask(guarded, "h1", Demand(RATE, 1)), Granted)
        assert "OOM" in guarded.degraded_by
        client.config_set("maxmemory", "0")
    await recovered(guarded)


async def test_a_server_that_only_reads_is_no_server(tmp_path: Path, own_server: Valkey, folder: Path) -> None:
    with valkey(tmp_path / "replica", "--replicaof", "127.0.0.1", str(own_server.port)) as replica:
        state = Guarded(ValkeyState(replica.url), LocalState(folder), SHARE)
        assert isinstance(await ask(state, "h1", Demand(RATE, 1)), Granted)
        assert "READONLY" in state.degraded_by or "MASTERDOWN" in state.degraded_by
        with replica.client() as client:
            client.replicaof("NO", "ONE")
        await recovered(state)
        await state.close()


async def test_what_a_dead_process_held_on_the_stand_in_is_swept_by_another(own_server: Valkey, folder: Path) -> None:
    """Both processes have a clock of their own choice on the stand-in, so that nobody has to wait for a lease."""
    now = 1_800_000_000_000_000
    demands = (Demand(BUDGET, 30),)
    own_server.freeze()
    dead = Guarded(ValkeyState(own_server.url), LocalState(folder, clock=lambda: now), SHARE)
    assert isinstance(await dead.reserve("h1", demands, b"note"), Granted)
    await dead.close()
    own_server.thaw()
    control = Guarded(ValkeyState(own_server.url), LocalState(folder, clock=lambda: now + 60_000_000), SHARE)
    await control.seed("acme", [])
    [late] = await control.overdue(["acme"])
    assert (late.hold.id, late.note) == ("h1", b"note")
    assert await control.settle([Settlement(late.hold, (30,))]) == [True]
    await eventually_left(control, 70)
    await control.close()


async def test_every_algorithm_refuses_on_the_stand_in_too(guarded: Guarded, own_server: Valkey) -> None:
    await prove(guarded)
    own_server.freeze()
    await prove(guarded)
    assert guarded.is_degraded


async def test_a_share_is_never_nothing_and_never_more_than_the_limit() -> None:
    for algorithm in ALGORITHMS:
        for limit in (1, 2, 3, 10, 11):
            mine = divided(limited(algorithm, limit, burst=5), Share(instances=3)).limit
            assert 1 <= mine <= max(limit // 3, 1)
    assert divided(limited("rolling", 5 * DOLLAR, unit="money"), Share(money=DOLLAR)).limit == DOLLAR
    assert divided(limited("rolling", DOLLAR // 2, unit="money"), Share(money=DOLLAR)).limit == DOLLAR // 2


async def test_no_exception_but_a_state_error_leaves_an_engine(own_server: Valkey) -> None:
    own_server.kill()
    state = ValkeyState(own_server.url)
    hold = Hold("h1", (Demand(RATE, 1),), 0)
    for call in (
        state.reserve("h1", hold.demands, b""),
        state.settle([Settlement(hold, (1,))]),
        state.renew([hold]),
        state.overdue(["acme"]),
        state.seed("acme", []),
        state.standings([RATE]),
        state.probe(),
        state.seeded_at("acme"),
    ):
        with pytest.raises(StateError, match=r"127\.0\.0\.1"):
            await call
    await state.close()


async def eventually_left(state: Guarded | ValkeyState, money: int) -> None:
    async with asyncio.timeout(WITHIN):
        while [standing.remaining for standing in await state.standings([BUDGET])] != [money]:
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fairlead.state")
