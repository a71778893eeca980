"""Limits under the virtual clock refuse and let pass exactly what the workers' engine does."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.state.rules import START, Clock, begun, limited, rules

from fairlead.canonical.limits import SECOND, Demand, Denied, Granted, Rule
from fairlead.policy.holds import smaller
from fairlead.simulator.counts import SWEEP, Counts, Held
from fairlead.state.local import LocalState
from fairlead.state.port import Hold, Settlement


async def as_the_gateway_does(state: LocalState, name: str, demands: tuple[Demand, ...]) -> Granted | Denied:
    """`gateway.holds` asks a second time, for what is left, where a demand makes do with less."""
    verdict = await state.reserve(name, demands, b"")
    if isinstance(verdict, Denied):
        content = smaller(demands, verdict.standings)
        if content is not None:
            verdict = await state.reserve(name, content, b"")
    assert isinstance(verdict, Granted | Denied)
    return verdict


@st.composite
def steps(draw: st.DrawFn, known: list[Rule]) -> list[tuple[str, int, list[tuple[int, int, int]]]]:
    """What happens: how long after the step before, and then a demand or the settlement of one that is held."""
    one = st.tuples(st.integers(0, len(known) - 1), st.integers(1, 30), st.integers(0, 2))
    wanted = st.lists(one, min_size=1, max_size=len(known), unique_by=lambda each: each[0])
    pause = st.sampled_from([0, 1, SECOND // 7, SECOND, 61 * SECOND, 3 * 86_400 * SECOND])
    return draw(st.lists(st.tuples(st.sampled_from(["reserve", "reserve", "settle"]), pause, wanted), max_size=25))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_verdicts_are_those_of_the_engine_of_one_machine(data: st.DataObject) -> None:
    own, shared = data.draw(rules()), data.draw(rules(slot="*"))
    known = [own, shared]
    played = data.draw(steps(known))
    forgetful = data.draw(st.booleans())

    async def check(folder: Path) -> None:
        clock = Clock()
        state = LocalState(folder, clock=clock)
        await begun(state, *known)
        counts = Counts()
        held: list[tuple[str, Held, Granted]] = []
        try:
            for number, (what, pause, amounts) in enumerate(played):
                if forgetful:  # what is held for longer than a day is forgotten, as by the engine's own sweep
                    counts._sweep(clock.now)
                    pause = min(pause, 61 * SECOND)
                clock.now += pause
                if what == "settle" and held:
                    name, mine, theirs = held.pop(0)
                    used = [amount for _, amount, _ in amounts][:1] * len(mine[0])
                    counts.settle(mine, used, clock.now)
                    assert await state.settle([Settlement(Hold(name, mine[0], theirs.since), tuple(used))]) == [True]
                    continue
                demands = tuple(Demand(known[place], amount, least) for place, amount, least in amounts)
                theirs_now = await as_the_gateway_does(state, f"h{number}", demands)
                mine_now, standings = counts.reserve(demands, clock.now)
                assert (mine_now is not None) == isinstance(theirs_now, Granted)
                assert standings == theirs_now.standings
                if mine_now is not None and isinstance(theirs_now, Granted):
                    held.append((f"h{number}", mine_now, theirs_now))
        finally:
            await state.close()

    with TemporaryDirectory() as folder:
        asyncio.run(check(Path(folder)))


def test_what_is_held_is_what_was_let_through() -> None:
    """A request that does not say how long its answer may be gets what is left of its tokens."""
    rule = limited("fixed_window", 100, unit="tokens")
    counts = Counts()
    held, _ = counts.reserve((Demand(rule, 500, least=20),), START)
    assert held is not None
    assert held[0][0].amount == 100
    again, standings = counts.reserve((Demand(rule, 500, least=20),), START)
    assert again is None
    assert standings[0].wait != 0
    counts.settle(held, [30], START)
    assert counts.reserve((Demand(rule, 70),), START)[0] is not None


def test_nothing_is_held_where_one_of_several_refuses() -> None:
    wide, narrow = limited("fixed_window", 10), limited("fixed_window", 1, unit="tokens")
    counts = Counts()
    assert counts.reserve((Demand(wide, 1), Demand(narrow, 1)), START)[0] is not None
    assert counts.reserve((Demand(wide, 1), Demand(narrow, 1)), START)[0] is None
    assert counts.reserve((Demand(wide, 9),), START)[0] is not None


def test_subjects_that_went_away_are_forgotten() -> None:
    """A million end users with a limit each leave no more states than are alive, or SWEEP."""
    counts = Counts()
    for number in range(3 * SWEEP):
        rule = limited("gcra", 1, per=SECOND, subject=f"u{number}")
        assert counts.reserve((Demand(rule, 1),), START + number * SECOND)[0] is not None
    assert len(counts._states) <= SWEEP + 1
    assert len(counts._idle) == len(counts._states)
