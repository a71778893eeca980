"""The script counts as policy does: the same history gives the same verdicts, standings and stored states."""

import asyncio

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.state.rules import Clock, rules
from tests.valkey import Valkey

from fairlead.canonical.limits import DAY, SECOND, Demand, Granted, Rule
from fairlead.policy import holds
from fairlead.policy.budget import BUDGETS, seeded
from fairlead.policy.limits import State
from fairlead.state.port import Hold, Settlement, Spending
from fairlead.state.valkey import ValkeyState

STEPS = 30
AMOUNTS = st.integers(0, 12) | st.integers(0, 1_000_000_000)
PAUSES = st.integers(0, 3 * SECOND) | st.integers(0, 100 * SECOND) | st.integers(-3600 * SECOND, 40 * DAY)
STEP = st.tuples(
    st.sampled_from(("reserve", "reserve", "settle", "standings")),
    PAUSES,
    st.lists(AMOUNTS, min_size=3, max_size=3),
    st.integers(0, STEPS),
)


class Model:
    """What the engine should say and store, by policy alone."""

    def __init__(self, limits: list[Rule]) -> None:
        self.limits = limits
        self.states: list[State] = [[] for _ in limits]
        self.open: list[Hold] = []

    def reserve(self, hold: str, amounts: list[int], now: int) -> object:
        demands = tuple(Demand(rule, amount) for rule, amount in zip(self.limits, amounts, strict=False))
        verdict, new = holds.reserve(demands, self.states, now)
        if new is not None:
            assert isinstance(verdict, Granted)
            self.states = new
            self.open.append(Hold(hold, demands, verdict.since))
        return verdict

    def settle(self, hold: Hold, used: list[int], now: int) -> None:
        self.open.remove(hold)
        self.states = [
            holds.settle(demand, state, now, hold.since, amount)
            for demand, state, amount in zip(hold.demands, self.states, used, strict=False)
        ]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    st.lists(rules(), min_size=1, max_size=3, unique_by=lambda rule: rule.key),
    st.lists(st.tuples(st.integers(-40 * DAY, DAY), st.integers(0, 5)), max_size=4),
    st.lists(STEP, min_size=STEPS, max_size=STEPS),
)
def test_the_script_counts_as_policy_does(
    server: Valkey, limits: list[Rule], past: list[tuple[int, int]], steps: list[tuple[str, int, list[int], int]]
) -> None:
    asyncio.run(follow(server, limits, past, steps))


async def follow(
    server: Valkey, limits: list[Rule], past: list[tuple[int, int]], steps: list[tuple[str, int, list[int], int]]
) -> None:
    clock = Clock()
    state = ValkeyState(server.url, clock=clock, timeout=5)
    model = Model(limits)
    keys = [f"fl:{{acme}}:s:{rule.key}".encode() for rule in limits]
    with server.client() as client:
        client.flushall()
        spent = tuple((clock.now + at, amount) for at, amount in sorted(past))
        budgets = [rule for rule in limits if rule.algorithm in BUDGETS]
        for place, rule in enumerate(limits):
            if rule in budgets:
                assert await state.seed(Spending(rule, spent))
                model.states[place] = seeded(rule, list(spent), clock.now)
        for number, (step, pause, amounts, chosen) in enumerate(steps):
            clock.now += pause
            if step == "reserve":
                demands = tuple(Demand(rule, amount) for rule, amount in zip(limits, amounts, strict=False))
                hold = f"m-{number}"
                assert await state.reserve(hold, demands, b"") == model.reserve(hold, amounts, clock.now)
            elif step == "settle" and model.open:
                held = model.open[chosen % len(model.open)]
                used = amounts[: len(limits)]
                model.settle(held, used, clock.now)
                assert await state.settle([Settlement(held, tuple(used))]) == [True]
            standings = [
                holds.standing(rule, known, clock.now) for rule, known in zip(limits, model.states, strict=True)
            ]
            told, stored = await asyncio.gather(state.standings(limits), state._ask(keys[0], ("MGET", *keys)))
            assert told == standings
            assert [msgspec.msgpack.decode(found)[0] if found else [] for found in stored] == model.states
    await state.close()
