"""The shared state freezes, dies, comes back empty, or refuses writes: requests go on, and nothing is spent twice."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.state.rules import ALGORITHMS, begun, limited, settlement
from tests.valkey import Valkey, valkey

from fairlead.canonical.limits import DOLLAR, SECOND, Demand, Denied, Granted, Rule, Unavailable, Unseeded, Verdict
from fairlead.state.local import LocalState
from fairlead.state.outage import GRAIN, GRAINS, Bill, Guarded, Share, divided
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
    await begun(state, BUDGET)
    yield state
    await state.close()


async def ask(state: Guarded | ValkeyState, hold: str, *demands: Demand, strict: bool = False) -> Verdict:
    return await state.reserve(hold, demands, b"", strict=strict)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN):
        while not condition():
            await asyncio.sleep(0.01)


async def recovered(state: Guarded) -> None:
    await until(lambda: not state.trouble)


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
        await guarded.seed(Spending(BUDGET, ()))
    own_server.start()
    assert await shared.seed(Spending(BUDGET, ((granted.since, 60),)))  # type: ignore[union-attr]
    await recovered(guarded)
    assert [standing.remaining for standing in await shared.standings([BUDGET])] == [40]


@pytest.mark.parametrize(("spent_before", "left"), [(25, 100 - 60), (0, 100 - 25)])
async def test_whose_past_nobody_tells_goes_on_with_this_machines_share_and_is_charged_once(
    guarded: Guarded, shared: ValkeyState, own_server: Valkey, spent_before: int, left: int
) -> None:
    """The server came back empty. The past that it is told late has what was settled before, and lacks the rest."""
    with own_server.client() as client:
        client.flushall()
    demands = (Demand(BUDGET, FLOAT),)
    assert await ask(guarded, "h0", *demands) == Unseeded(BUDGET)
    granted = await guarded.reserve_alone("h1", demands, b"")
    assert isinstance(granted, Granted)
    assert isinstance(await guarded.reserve_alone("h2", demands, b""), Denied)
    end = settlement("h1", demands, granted, 25)
    if spent_before:
        await guarded.settle([end])
        assert await shared.seed(Spending(BUDGET, ((granted.since, 60),)))
    else:
        assert await shared.seed(Spending(BUDGET, ()))
        await guarded.settle([end])
    await eventually_left(shared, left)
    assert not guarded.trouble


async def test_what_is_spent_here_after_a_budget_was_told_its_past_is_charged(
    guarded: Guarded, shared: ValkeyState, own_server: Valkey
) -> None:
    """The server is back and another machine has told it the past, but the probe has not noticed yet."""
    demands = (Demand(BUDGET, 20),)
    own_server.kill()
    early, late = [await ask(guarded, name, *demands) for name in ("early", "late")]
    await guarded.settle([settlement("early", demands, early, 9)])
    await asyncio.sleep(2 * GRAIN / SECOND)
    own_server.start()
    assert await shared.seed(Spending(BUDGET, ((early.since, 9),)))  # type: ignore[union-attr]
    assert guarded.trouble
    await guarded.settle([settlement("late", demands, late, 7)])
    await recovered(guarded)
    await eventually_left(shared, 100 - 9 - 7)


async def test_a_budget_that_is_new_in_an_outage_begins_with_its_float(guarded: Guarded, own_server: Valkey) -> None:
    budgets = [limited(algorithm, 100, unit="money", subject="new") for algorithm in ("calendar", "rolling")]
    own_server.freeze()
    demands = [Demand(budget, FLOAT) for budget in budgets]
    assert isinstance(await ask(guarded, "h1", *demands), Granted)
    assert isinstance(await ask(guarded, "h2", Demand(budgets[1], 1)), Denied)


async def test_a_bill_whose_answer_was_lost_is_paid_once(
    guarded: Guarded, shared: ValkeyState, own_server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    charge, lost = guarded._shared.charge, 3

    async def unheard(bill: str, rule: Rule, spent: Sequence[tuple[int, int]]) -> None:
        nonlocal lost
        await charge(bill, rule, spent)
        if lost:
            lost -= 1
            raise StateError("the answer was lost")

    monkeypatch.setattr(guarded._shared, "charge", unheard)
    demands = (Demand(BUDGET, 20),)
    own_server.freeze()
    granted = await ask(guarded, "h1", *demands)
    await guarded.settle([settlement("h1", demands, granted, 9)])
    own_server.thaw()
    await recovered(guarded)
    assert lost == 0
    assert [standing.remaining for standing in await shared.standings([BUDGET])] == [91]


PAUSES = st.integers(0, 3 * GRAIN) | st.integers(GRAIN, 3 * GRAIN)


@given(st.lists(st.tuples(PAUSES, st.integers(1, 99)), min_size=2 * GRAINS, max_size=4 * GRAINS))
def test_a_bill_keeps_the_sum_and_the_moments_of_the_newest(steps: list[tuple[int, int]]) -> None:
    bill, now = Bill(BUDGET), 0
    moments = []
    for pause, used in steps:
        now += pause
        bill.add(now, used)
        moments.append((now, used))
    kept = bill.ago(now)
    assert [ago for ago, _ in kept[:1]] == [now - at for at, _ in moments[:1]], "what is long ago is as the first"
    assert sum(used for _, used in kept) == sum(used for _, used in steps)
    assert len(kept) <= GRAINS
    for ago, _ in kept[1:]:  # whoever draws the line where an instant begins divides the spending exactly
        late = [used for other, used in kept if other <= ago]
        assert sum(late) == sum(used for at, used in moments if now - at <= ago)


async def test_a_server_that_comes_back_empty_judges_no_budget_before_it_knows_the_past(
    guarded: Guarded, own_server: Valkey
) -> None:
    own_server.kill()
    assert isinstance(await ask(guarded, "h1", Demand(BUDGET, 1)), Granted)
    own_server.start()
    await recovered(guarded)
    assert await ask(guarded, "h2", Demand(BUDGET, 1)) == Unseeded(BUDGET)
    assert await guarded.seed(Spending(BUDGET, ()))
    assert isinstance(await ask(guarded, "h2", Demand(BUDGET, 1)), Granted)


async def test_a_server_without_memory_is_no_server(guarded: Guarded, own_server: Valkey) -> None:
    with own_server.client() as client:
        client.config_set("maxmemory", "1")
        assert isinstance(await ask(guarded, "h1", Demand(RATE, 1)), Granted)
        assert "OOM" in guarded.trouble
        client.config_set("maxmemory", "0")
    await recovered(guarded)


async def test_a_server_that_only_reads_is_no_server(tmp_path: Path, own_server: Valkey, folder: Path) -> None:
    with valkey(tmp_path / "replica", "--replicaof", "127.0.0.1", str(own_server.port)) as replica:
        state = Guarded(ValkeyState(replica.url), LocalState(folder), SHARE)
        assert isinstance(await ask(state, "h1", Demand(RATE, 1)), Granted)
        assert "READONLY" in state.trouble or "MASTERDOWN" in state.trouble
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
    await begun(control, BUDGET)
    [late] = await control.overdue(["acme"])
    assert (late.hold.id, late.note) == ("h1", b"note")
    assert await control.settle([Settlement(late.hold, (30,))]) == [True]
    await eventually_left(control, 70)
    await control.close()


async def test_an_owner_is_told_of_its_own_holds_on_both(own_server: Valkey, folder: Path) -> None:
    """Holds of another machine are left to it, on the stand-in as well."""
    now = time.time_ns() // 1000
    own_server.freeze()
    first = Guarded(ValkeyState(own_server.url), LocalState(folder, clock=lambda: now), SHARE)
    for name in ("m1-w", "m2-w"):
        await first.reserve(name, (Demand(PLACES, 1),), b"")
    await first.close()
    own_server.thaw()
    shared = ValkeyState(own_server.url, clock=lambda: now, timeout=WITHIN)
    for name in ("m1-v", "m2-v"):
        await shared.reserve(name, (Demand(PLACES, 1),), b"")
    await shared.close()
    later = now + 60_000_000
    local = LocalState(folder, clock=lambda: later)
    second = Guarded(ValkeyState(own_server.url, clock=lambda: later, timeout=WITHIN), local, SHARE)
    assert [late.hold.id for late in await second.overdue(["acme"], owner="m1")] == ["m1-w", "m1-v"]
    await second.close()


async def test_every_algorithm_refuses_on_the_stand_in_too(guarded: Guarded, own_server: Valkey) -> None:
    await prove(guarded)
    own_server.freeze()
    await prove(guarded)
    assert guarded.trouble


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
        state.seed(Spending(BUDGET, ())),
        state.standings([RATE]),
        state.probe(),
        state.charge("bill", BUDGET, [(0, 1)]),
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
