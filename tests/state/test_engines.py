"""What every engine of shared state must do: one suite for the local one, a server alone, and a cluster."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.state.hammer import LIMIT, RULES
from tests.state.rules import ALGORITHMS, RATES, START, Clock, begun, limited, settlement
from tests.valkey import ROOT, Valkey, clients_of

from fairlead.canonical.limits import (
    DAY,
    NEVER,
    SECOND,
    Algorithm,
    Demand,
    Denied,
    Granted,
    Rule,
    Standing,
    Unseeded,
    Verdict,
)
from fairlead.state.local import LocalState
from fairlead.state.port import CLAIM, LEASE, Hold, Settlement, Spending, State
from fairlead.state.proof import prove
from fairlead.state.valkey import ValkeyState

ENGINES = ("local", "valkey", "cluster")
PROCESSES = 3


@pytest.fixture(params=ENGINES)
def place(request: pytest.FixtureRequest, folder: Path) -> str:
    """Where an empty engine is: a folder or a URL."""
    if request.param == "local":
        return str(folder)
    if request.param == "valkey":
        server: Valkey = request.getfixturevalue("server")
        servers = [server]
    else:
        servers = request.getfixturevalue("nodes")
    with clients_of(servers) as clients:
        for client in clients:
            client.flushall()
    return servers[-1].url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def state(place: str, clock: Clock) -> AsyncIterator[State]:
    opened = ValkeyState(place, clock=clock, timeout=10) if "://" in place else LocalState(Path(place), clock=clock)
    yield opened
    await opened.close()


async def ask(state: State, hold: str, *demands: Demand) -> Verdict:
    return await state.reserve(hold, demands, b"")


async def left(state: State, *rules: Rule) -> list[int]:
    return [standing.remaining for standing in await state.standings(rules)]


async def test_all_is_held_or_nothing(state: State) -> None:
    wide, narrow = limited("sliding_window", 10), limited("fixed_window", 1)
    for number, expected in enumerate((Granted, Denied, Denied)):
        assert isinstance(await ask(state, f"h{number}", Demand(wide, 1), Demand(narrow, 1)), expected)
    assert await left(state, wide, narrow) == [9, 0]


async def test_all_is_held_or_nothing_over_tenant_and_all_tenants_alike(state: State) -> None:
    """The rules of `*` and the tenant's lie on different servers of a cluster."""
    shared, own = limited("sliding_window", 3, slot="*"), limited("token_bucket", 2)
    demands = (Demand(own, 1), Demand(shared, 1))
    verdicts = [await state.reserve(f"h{number}", demands, b"") for number in range(3)]
    assert [type(verdict) for verdict in verdicts] == [Granted, Granted, Denied]
    assert [standing.wait > 0 for standing in verdicts[2].standings] == [True, False]  # type: ignore[union-attr]
    await eventually(lambda: left(state, own, shared), [0, 1])
    assert await state.settle([settlement("h0", demands, verdicts[0])]) == [True]
    assert isinstance(await ask(state, "h3", Demand(shared, 1)), Granted)
    both = await ask(state, "h4", *demands)
    assert isinstance(both, Denied)
    assert [standing.wait > 0 for standing in both.standings] == [True, True]


async def test_a_hold_over_both_is_settled_and_swept_once(state: State, clock: Clock) -> None:
    shared, own = limited("concurrency", 3, slot="*"), limited("concurrency", 3)
    demands = (Demand(shared, 1), Demand(own, 1))
    kept = settlement("kept", demands, await state.reserve("kept", demands, b"k"))
    lost = settlement("lost", demands, await state.reserve("lost", demands, b"l"))
    assert await left(state, shared, own) == [1, 1]
    clock.now += LEASE - SECOND
    await state.renew([kept.hold])
    clock.now += 2 * SECOND
    overdue = await state.overdue(["*", "acme"])
    assert [(late.hold, late.note) for late in overdue] == [(lost.hold, b"l")]
    assert await state.settle([Settlement(overdue[0].hold, (0, 0)), lost, kept]) == [True, False, True]
    assert await left(state, shared, own) == [3, 3]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_refused_request_consumes_nothing(state: State, algorithm: Algorithm) -> None:
    limit = limited(algorithm, 10, unit="tokens")
    await begun(state, limit)
    assert isinstance(await ask(state, "h1", Demand(limit, 7)), Granted)
    for number in range(3):
        assert isinstance(await ask(state, f"no{number}", Demand(limit, 4)), Denied)
    assert isinstance(await ask(state, "h2", Demand(limit, 3)), Granted)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_hold_is_settled_once_only_and_never_below_nothing(state: State, algorithm: Algorithm) -> None:
    limit = limited(algorithm, 10, unit="tokens")
    await begun(state, limit)
    demands = (Demand(limit, 6),)
    first = settlement("h1", demands, await state.reserve("h1", demands, b""), 0)
    second = settlement("h2", (Demand(limit, 4),), await ask(state, "h2", Demand(limit, 4)), 4)
    assert await state.settle([first, first]) == [True, False]
    assert await state.settle([first]) == [False]
    gone = Settlement(Hold("never", demands, first.hold.since), (0,))
    assert await state.settle([gone, second]) == [False, True]
    used = 0 if algorithm == "concurrency" else 4
    assert await left(state, limit) == [10 - used]
    assert isinstance(await ask(state, "h3", Demand(limit, 10 - used + 1)), Denied)


async def test_what_was_used_beyond_the_hold_is_counted(state: State) -> None:
    limits = [limited(algorithm, 100, unit="tokens") for algorithm in ALGORITHMS if algorithm != "concurrency"]
    await begun(state, *limits)
    demands = tuple(Demand(limit, 10) for limit in limits)
    granted = await state.reserve("h1", demands, b"")
    await state.settle([settlement("h1", demands, granted, *[70] * len(limits))])
    assert await left(state, *limits) == [30] * len(limits)


@pytest.mark.parametrize("algorithm", [*RATES, "calendar", "rolling"])
async def test_waiting_as_told_is_enough_and_less_is_not(state: State, clock: Clock, algorithm: Algorithm) -> None:
    limit = limited(algorithm, 10, unit="tokens")
    await begun(state, limit)
    demands = (Demand(limit, 6),)
    granted = await state.reserve("h1", demands, b"")
    await state.settle([settlement("h1", demands, granted)])
    refused = await ask(state, "h2", Demand(limit, 5))
    assert isinstance(refused, Denied)
    wait = refused.standings[0].wait
    assert wait > 0
    clock.now += wait - 2 * limit.tick
    assert isinstance(await ask(state, "h2", Demand(limit, 5)), Denied)
    clock.now += 2 * limit.tick
    assert isinstance(await ask(state, "h2", Demand(limit, 5)), Granted)


async def test_no_waiting_helps_who_asks_for_more_than_there_is(state: State) -> None:
    for algorithm in ALGORITHMS:
        limit = limited(algorithm, 10, unit="tokens")
        await begun(state, limit)
        refused = await ask(state, algorithm, Demand(limit, 11))
        assert isinstance(refused, Denied), algorithm
        assert refused.standings[0].wait == NEVER, algorithm


async def test_a_soft_limit_counts_and_refuses_nothing(state: State) -> None:
    for algorithm in ALGORITHMS:
        soft = limited(algorithm, 10, unit="tokens", hard=False)
        await begun(state, soft)
        assert isinstance(await ask(state, algorithm, Demand(soft, 1000)), Granted)
        assert await left(state, soft) == [0], algorithm


async def test_an_overdue_hold_is_told_once_and_again_when_nobody_settles_it(state: State, clock: Clock) -> None:
    limit = limited("concurrency", 5)
    demands = (Demand(limit, 1),)
    granted = await state.reserve("h1", demands, b"note")
    assert isinstance(granted, Granted)
    clock.now += LEASE
    assert await state.overdue(["acme"]) == []
    clock.now += 1
    assert await state.overdue(["acme"], by=SECOND) == []
    assert await state.overdue(["other", "*"]) == []
    [late] = await state.overdue(["other", "acme"])
    assert (late.hold, late.note) == (Hold("h1", demands, granted.since), b"note")
    assert await state.overdue(["acme"]) == []
    clock.now += CLAIM + 1
    assert [again.hold.id for again in await state.overdue(["acme"])] == ["h1"]
    assert await state.settle([Settlement(late.hold, (1,))]) == [True]
    assert await left(state, limit) == [5]
    clock.now += 10 * CLAIM
    assert await state.overdue(["acme"]) == []


async def test_no_more_overdue_holds_are_told_than_were_asked_for(state: State, clock: Clock) -> None:
    limit = limited("concurrency", 50)
    for number in range(12):
        await ask(state, f"h{number}", Demand(limit, 1))
    clock.now += LEASE + 1
    told = [len(await state.overdue(["acme"], most=5)) for _ in range(4)]
    assert told == [5, 5, 2, 0]


async def test_an_owner_is_told_of_its_own_holds_and_claims_no_others(state: State, clock: Clock) -> None:
    limit = limited("concurrency", 50)
    names = [*(f"m1-w{number}" for number in range(3)), *(f"m{other}-w" for other in range(10, 20)), "m1", "m2-w"]
    for name in names:
        await ask(state, name, Demand(limit, 1))
    clock.now += LEASE + SECOND + 1
    for told in (["m1-w0", "m1-w1"], ["m1-w2"], []):
        assert [late.hold.id for late in await state.overdue(["acme"], owner="m1", most=2)] == told
    others = await state.overdue(["acme"], by=SECOND)
    assert sorted(late.hold.id for late in others) == sorted(names[3:])


async def test_a_renewed_lease_begins_anew(state: State, clock: Clock) -> None:
    limit = limited("concurrency", 5)
    demands = (Demand(limit, 1),)
    hold = settlement("h1", demands, await state.reserve("h1", demands, b"")).hold
    clock.now += LEASE - 1
    await state.renew([hold, Hold("unknown", demands, hold.since)])
    clock.now += LEASE
    assert await state.overdue(["acme"]) == []
    clock.now += 1
    assert [late.hold for late in await state.overdue(["acme"])] == [hold]


async def test_a_budget_is_judged_only_once_its_past_is_known(state: State) -> None:
    budget, rate = limited("calendar", 100, unit="money"), limited("sliding_window", 5)
    assert await ask(state, "h1", Demand(rate, 1), Demand(budget, 1)) == Unseeded(budget)
    assert await left(state, rate) == [5]
    assert isinstance(await ask(state, "h1", Demand(rate, 1)), Granted)
    assert await state.seed(Spending(budget, ((START, 40),)))
    assert not await state.seed(Spending(budget, ((START, 90),)))
    assert await left(state, budget) == [60]


async def test_each_budget_is_told_its_own_past_and_the_first_without_one_is_named(state: State) -> None:
    """Also one that the configuration has only since the others were told."""
    day, month, shared = limited("calendar", 100), limited("rolling", 300), limited("rolling", 900, slot="*")
    demands = (Demand(shared, 1), Demand(day, 1), Demand(month, 1))
    for missing in (shared, day, month):
        assert await state.reserve("h1", demands, b"") == Unseeded(missing)
        assert await state.seed(Spending(missing, ((START, 10),)))
    assert isinstance(await state.reserve("h1", demands, b""), Granted)
    assert await left(state, shared, day, month) == [889, 89, 289]


async def test_a_settlement_leaves_a_budget_that_was_lost_to_the_ledger(state: State, clock: Clock) -> None:
    budget, places = limited("calendar", 100, unit="money"), limited("concurrency", 5)
    await begun(state, budget)
    demands = (Demand(budget, 30), Demand(places, 1))
    ended = settlement("h1", demands, await state.reserve("h1", demands, b""), 25, 1)
    clock.now += 2 * DAY
    await forgotten(state, budget)
    assert await state.settle([ended]) == [True]
    assert await left(state, places, budget) == [5, 100]
    assert await ask(state, "h2", Demand(budget, 1)) == Unseeded(budget)
    assert await state.seed(Spending(budget, ((clock.now, 25),)))
    assert await left(state, budget) == [75]


async def test_only_what_is_of_this_period_counts_of_the_past(state: State, clock: Clock) -> None:
    calendar = limited("calendar", 100, unit="money")
    rolling = limited("rolling", 100, unit="money", per=DAY)
    midnight = START // DAY * DAY
    spent = ((midnight - 3600 * SECOND, 10), (midnight + SECOND, 20), (START - SECOND, 3))
    yesterday = (START - 2 * DAY, 50)
    for rule in (calendar, rolling):
        assert await state.seed(Spending(rule, (yesterday, *spent)))
    assert await left(state, calendar, rolling) == [77, 67]
    clock.now = midnight + DAY
    assert await left(state, calendar) == [100]


async def test_standings_are_told_without_changing_anything(state: State, clock: Clock) -> None:
    limit = limited("token_bucket", 50, per=50 * SECOND)
    assert await state.standings([limit]) == [Standing(50, 0)]
    await ask(state, "h1", Demand(limit, 20))
    for _ in range(2):
        assert await state.standings([limit, limited("concurrency", 7)]) == [
            Standing(30, 20 * SECOND),
            Standing(7, DAY),
        ]
    clock.now += 5 * SECOND
    assert await state.standings([limit]) == [Standing(35, 15 * SECOND)]
    assert await state.standings([]) == []


async def test_a_rule_with_a_very_long_name_is_a_rule_like_others(state: State) -> None:
    long = limited("fixed_window", 1, subject="ü}" * 600, slot="a}b")
    longer = limited("fixed_window", 1, subject="ü}" * 601, slot="a}b")
    for limit in (long, longer):
        assert isinstance(await ask(state, limit.key, Demand(limit, 1)), Granted)
        assert isinstance(await ask(state, limit.key, Demand(limit, 1)), Denied)


async def test_many_are_settled_at_once(state: State) -> None:
    limit = limited("concurrency", 1000)
    demands = (Demand(limit, 1),)
    verdicts = await asyncio.gather(*[state.reserve(f"h{number}", demands, b"") for number in range(200)])
    ended = [settlement(f"h{number}", demands, verdict) for number, verdict in enumerate(verdicts)]
    assert await state.settle(ended) == [True] * 200
    assert await state.settle([]) == []
    assert await left(state, limit) == [1000]


async def test_every_algorithm_is_proved_to_refuse(place: str) -> None:
    state: State = ValkeyState(place, timeout=10) if "://" in place else LocalState(Path(place))
    for _ in range(2):
        await prove(state)
    await state.close()


async def test_processes_that_ask_at_once_are_let_in_exactly_as_often_as_the_limit_says(place: str) -> None:
    command = (sys.executable, "-m", "tests.state.hammer", place)
    running = [
        await asyncio.create_subprocess_exec(
            *command, f"p{number}", stdout=asyncio.subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": "src:."}
        )
        for number in range(PROCESSES)
    ]
    told = [json.loads((await process.communicate())[0]) for process in running]
    assert {algorithm: sum(counts[algorithm] for counts in told) for algorithm in RULES} == dict.fromkeys(RULES, LIMIT)


async def forgotten(state: State, rule: Rule) -> None:
    """The state of a rule is gone; holds are still there."""
    if isinstance(state, LocalState):
        assert state.collect() > 0
    elif isinstance(state, ValkeyState):
        key = state._names.rule(rule).key
        assert await state._ask(key, ("DEL", key)) == 1


async def eventually(look: Callable[[], object], expected: object) -> None:
    """Until what is given back in the background is back."""
    async with asyncio.timeout(10):
        while (found := await look()) != expected:  # type: ignore[misc]
            assert found is not None
            await asyncio.sleep(0.005)
