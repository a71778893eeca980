"""Who may be chosen, and who is."""

from collections import Counter
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.canonical.routing import Choice, Deployment, Route, Select
from fairlead.canonical.usage import Price
from fairlead.policy.health import Fleet, Health
from fairlead.policy.select import STRATEGIES, Needs, choose, consider


def choice(name: str, *, weight: float = 1.0, rank: int = 0, **facts: object) -> Choice:
    deployment = Deployment(
        name=name,
        provider=name,
        model="m",
        dialect="openai_chat",
        base_url="http://x",
        **facts,  # type: ignore[arg-type]
    )
    return Choice(deployment=deployment, weight=weight, rank=rank)


def route(select: Select, *choices: Choice) -> Route:
    return Route(model="chat", choices=tuple(sorted(choices, key=lambda c: c.rank)), select=select)


def fleet_of(**health: Health) -> Fleet:
    """A fleet that has learned this much."""
    fleet = Fleet(Random(1))
    fleet.health = dict(health)
    fleet.troubled = {name for name, state in health.items() if state.openings or state.cooldown_until}
    return fleet


def picks(path: Route, *, fleet: Fleet | None = None, needs: Needs | None = None, times: int = 1000) -> Counter[str]:
    rng = Random(7)
    fleet = fleet or Fleet(rng)
    chosen = (choose(path, fleet, 100.0, rng, needs=needs or Needs()) for _ in range(times))
    return Counter(pick.deployment.name for pick in chosen if pick)


def test_weights_are_shares() -> None:
    shares = picks(route("weighted", choice("a", weight=3), choice("b", weight=1)), times=4000)
    assert shares["a"] == pytest.approx(3000, rel=0.05)


def test_a_weight_of_zero_gets_nothing_while_another_has_some() -> None:
    assert picks(route("weighted", choice("a", weight=0), choice("b"))) == {"b": 1000}


def test_round_robin_takes_turns() -> None:
    assert picks(route("round_robin", choice("a"), choice("b"), choice("c")), times=9) == {"a": 3, "b": 3, "c": 3}


def test_priority_is_the_order_written() -> None:
    assert picks(route("priority", choice("a"), choice("b"))) == {"a": 1000}


def test_least_busy_counts_work_by_weight() -> None:
    fleet = Fleet(Random(1))
    fleet.busy = {"a": 4, "b": 3}
    assert picks(route("least_busy", choice("a"), choice("b")), fleet=fleet) == {"b": 1000}
    assert picks(route("least_busy", choice("a", weight=2), choice("b")), fleet=fleet) == {"a": 1000}


def test_latency_takes_the_quickest_and_tries_the_unknown() -> None:
    fleet = fleet_of(a=Health(ttft=0.5, counted_at=100.0), b=Health(ttft=0.2, counted_at=100.0))
    assert picks(route("latency", choice("a"), choice("b")), fleet=fleet) == {"b": 1000}
    assert picks(route("latency", choice("a"), choice("b"), choice("c")), fleet=fleet) == {"c": 1000}


def test_cost_takes_the_cheapest_and_leaves_unknown_prices_to_the_end() -> None:
    cheap = Price(input=Decimal("0.1"), output=Decimal("0.4"))
    dear = Price(input=Decimal("3"), output=Decimal("15"))
    path = route("cost", choice("unknown"), choice("dear", price=dear), choice("cheap", price=cheap))
    assert picks(path) == {"cheap": 1000}


def test_a_session_stays_where_it_is_and_moves_only_when_it_must() -> None:
    everyone = route("sticky", choice("a"), choice("b"), choice("c"), choice("d"))
    fewer = route("sticky", choice("a"), choice("b"), choice("c"))
    fleet, rng = Fleet(Random(1)), Random(1)

    def home(path: Route, session: str) -> str:
        chosen = choose(path, fleet, 100.0, rng, needs=Needs(session=session))
        assert chosen is not None
        return chosen.deployment.name

    sessions = [f"session-{number}" for number in range(400)]
    homes = {session: home(everyone, session) for session in sessions}
    assert all(home(everyone, session) == homes[session] for session in sessions)
    moved = [session for session in sessions if home(fewer, session) != homes[session]]
    assert all(homes[session] == "d" for session in moved)
    assert Counter(homes.values())["a"] == pytest.approx(100, rel=0.35)


def test_without_a_session_sticky_is_weighted() -> None:
    assert set(picks(route("sticky", choice("a"), choice("b")))) == {"a", "b"}


def test_a_lower_rank_is_used_only_when_nothing_above_is_left() -> None:
    path = route("weighted", choice("a"), choice("b", rank=1))
    fleet, rng = Fleet(Random(1)), Random(1)
    assert picks(path) == {"a": 1000}
    chosen = choose(path, fleet, 100.0, rng, spent=["a"])
    assert chosen is not None
    assert chosen.deployment.name == "b"
    assert choose(path, fleet, 100.0, rng, spent=["a", "b"]) is None


def test_what_a_model_cannot_do_is_not_asked_of_it() -> None:
    path = route("priority", choice("plain", tools=False, vision=False), choice("able"))
    assert picks(path, needs=Needs(tools=True)) == {"able": 1000}
    assert picks(path, needs=Needs(images=True)) == {"able": 1000}
    assert picks(path) == {"plain": 1000}


def test_slow_ones_come_back_before_half_of_the_pool_is_gone() -> None:
    fleet = fleet_of(**{name: Health(cooldown_until=200.0, cause="slow") for name in ("a", "b", "c")})
    assert set(picks(route("weighted", choice("a"), choice("b"), choice("c"), choice("d")), fleet=fleet)) == set("abcd")


def test_consider_tells_why_each_other_one_is_skipped() -> None:
    cooling = Health(cooldown_until=112.5, cause="server_error")
    fleet = fleet_of(cooling=cooling, probing=Health(openings=1, probes=3))
    fleet.quarantined_until = {"bad": 200.0}
    path = route(
        "weighted",
        choice("later", rank=1),
        choice("cooling"),
        choice("probing"),
        choice("locked", credential="bad"),
        choice("keyless", credential="missing"),
        choice("plain", tools=False),
        choice("first"),
    )
    usable, skipped = consider(path, fleet, 100.0, needs=Needs(tools=True), secrets={"bad": "x"})
    assert [pick.deployment.name for pick in usable] == ["first", "later"]
    reasons = {skip.deployment: skip.reason for skip in skipped}
    assert reasons["cooling"] == "cooling down for 12.5 s more after server_error"
    assert "probes" in reasons["probing"]
    assert "quarantined" in reasons["locked"]
    assert "'missing' has no value" in reasons["keyless"]
    assert "tools" in reasons["plain"]


@given(
    select=st.sampled_from(sorted(STRATEGIES)),
    weights=st.lists(st.floats(0, 10), min_size=1, max_size=6),
    cooling=st.sets(st.integers(0, 5)),
    session=st.text(max_size=5),
    seed=st.integers(0, 1000),
)
def test_every_strategy_gives_a_choice_of_the_best_rank_that_is_well(
    select: Select, weights: list[float], cooling: set[int], session: str, seed: int
) -> None:
    rng = Random(seed)
    choices = [choice(str(n), weight=weight, rank=n % 2) for n, weight in enumerate(weights)]
    fleet = fleet_of(**{str(n): Health(cooldown_until=500.0 + n, cause="connect") for n in cooling})
    chosen = choose(route(select, *choices), fleet, 100.0, rng, needs=Needs(session=session))
    assert chosen is not None
    well = [c for n, c in enumerate(choices) if n not in cooling]
    if well:
        assert chosen in well
        assert chosen.rank == min(c.rank for c in well)
