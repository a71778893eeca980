"""The simulator does what the gateway does when requests overlap: under limits and budgets, with several tenants, users
and workers, and with every fault that there is.

Real workers and the simulator get the same requests at the same instants, and the same providers with the same chance.
Every request has the same fate in both, and every limit and budget stands the same in the end.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, get_args

import msgspec
import pytest
from tests.gateway.gateway_harness import PEPPER, PROVIDER_KEY, known_keys
from tests.simulator.by_gateway import by_gateway
from tests.simulator.by_simulator import by_simulator
from tests.simulator.fates import NEW_YEAR, Came, Given
from tests.simulator.played_provider import text_of
from tests.simulator.virtual_time import VirtualLoop

from fairlead.canonical.limits import DOLLAR, SECOND, Algorithm, Limit, Scope, Unit
from fairlead.canonical.routing import (
    Backoff,
    Choice,
    Cooldown,
    Deployment,
    Retry,
    Route,
    Server,
    Snapshot,
    Timeouts,
)
from fairlead.canonical.tenants import Scoped, Tenant, Tier, VirtualKey
from fairlead.canonical.usage import Change, Price, Usage
from fairlead.catalog.counting import counting
from fairlead.simulator.chance import Fixed, LogNormal, Spells
from fairlead.simulator.faults import FAULTS, Struck, fault, parse
from fairlead.simulator.providers import Behavior, Provider, Trouble, Upstream
from fairlead.simulator.traffic import Arrival, Sender
from fairlead.tokens.characters import estimated
from fairlead.tokens.chat import PER_MESSAGE, PER_REQUEST

REQUESTS = 1000
RATE = 20.0
"""Requests per second. An answer takes a second or two, so a few dozen are under way at once."""
EVERYWHERE = (
    "429=0.02,429:3=0.02,429_plain=0.02,500=0.02,error=0.02,502=0.01,503=0.02,503:2=0.01,529=0.01,"
    "400=0.01,401=0.002,connect=0.03,timeout=0.02,slow=0.05x4,cut=0.03"
)
TOLD_BY_OPENAI = ",400_context=0.01,400_policy=0.01,429_quota=0.002"
"""Faults that only OpenAI's errors tell apart."""
MILD = "429:1=0.02,500=0.03,connect=0.02,timeout=0.01,slow=0.03x3"
"""No answer that breaks: at what tokens and dollars one is counted is the estimate of whoever counts."""
OPENAI, CLAUDE, GPU = "openai/large", "anthropic/large", "gpu/small"
DEARER = Change(begin=NEW_YEAR, price=Price(input=Decimal(3), output=Decimal(9)))
FACTS: dict[str, dict[str, Any]] = {
    OPENAI: {
        "dialect": "openai_chat",
        "price": Price(input=Decimal(2), output=Decimal(8), changes=(DEARER,)),
        "max_output": 400,
    },
    CLAUDE: {"dialect": "anthropic", "price": Price(input=Decimal(3), output=Decimal(15)), "max_output": 300},
    GPU: {"dialect": "openai_chat", "price": Price(input=Decimal("0.1"), output=Decimal("0.4")), "max_output": 200},
}
KEYS = (
    VirtualKey(id="a1", tenant="acme", tier="paid", tags=(("team", "search"),)),
    VirtualKey(id="a2", tenant="acme", tier="paid", user="ann"),
    VirtualKey(id="f1", tenant="free", tier="free"),
    VirtualKey(id="x1", tenant="free", models=("other",)),
)
SENDERS = tuple(
    Sender(name=key.id, key=key, models=("chat",), prompt=Fixed(1), answer=Fixed(1), max_tokens=longest)
    for key, longest in zip(KEYS, (150, None, 120, 50), strict=True)
)
SHARES = (5, 3, 3, 0.2)
USERS = ("", "u1", "u2", "u3")
USUAL: dict[str, Any] = {
    "select": "priority",
    "retry": Retry(attempts=1, backoff=Backoff(base=0.2, cap=2.0), budget=0.2),
    "timeouts": Timeouts(total=20.0, first_token=2.5, idle=1e6),
    "cooldown": Cooldown(after=4, duration=6.0),
}


def limit(unit: Any, amount: int, per: float = 1.0, algorithm: Any = "sliding_window", **more: Any) -> Limit:
    return Limit(unit=unit, algorithm=algorithm, limit=amount, per=int(per * SECOND), **more)


def at_once(amount: int) -> Limit:
    return limit("concurrency", amount, algorithm="concurrency")


def budget(dollars: float, algorithm: Any = "calendar", days: float = 1.0, **more: Any) -> Limit:
    return limit("money", int(dollars * DOLLAR), days * 86400, algorithm, **more)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration and its providers. `ranks` are those of the deployments, in the order of FACTS."""

    route: dict[str, Any] = {}
    ranks: tuple[int, int, int] = (0, 1, 2)
    acme: tuple[Limit, ...] = ()
    free: tuple[Limit, ...] = ()
    """The limits of the tenants."""
    tier: tuple[Limit, ...] = ()
    """Those of the free tier, which each of its keys has."""
    scoped: tuple[Scoped, ...] = ()
    workers: int = 1
    faults: str = EVERYWHERE
    outage: Struck | None = None
    """Of the first two deployments, every 20 s for 5 s."""
    refuses: tuple[str, ...] = ()
    """What must have refused some requests."""


FLAT = (0, 0, 0)
CASES: dict[str, Case] = {
    "priority": Case(),
    "two workers": Case(ranks=FLAT, route={"select": "least_busy"}, workers=2),
    "three workers": Case(ranks=FLAT, route={"select": "sticky", "retry": Retry(attempts=2, budget=0.02)}, workers=3),
    "latency": Case(ranks=(0, 0, 1), route={"select": "latency", "cooldown": Cooldown(after=2, duration=4.0)}),
    "short of time": Case(route={"timeouts": Timeouts(total=2.5, first_token=1.2, idle=1e6)}),
    "outages": Case(
        ranks=(0, 0, 1), route={"select": "round_robin"}, outage=Struck("503", fault("503"), 0.9), workers=2
    ),
    "brown-outs": Case(route={"select": "latency"}, ranks=FLAT, outage=Struck("slow", fault("slow"), 1.0, 6.0)),
    "requests at once": Case(
        ranks=(0, 0, 1),
        route={"select": "least_busy"},
        acme=(at_once(18),),
        tier=(at_once(6),),
        scoped=(
            Scoped(scope="user", match="u1", limits=(at_once(3),)),
            Scoped(scope="deployment", limits=(at_once(7),)),
        ),
        workers=2,
        refuses=("18 requests at once", "6 requests at once", "3 requests at once"),
    ),
    "rates": Case(
        faults=MILD,
        acme=(limit("tokens", 26_000, 10.0), limit("requests", 13, 1.0, "gcra", burst=6)),
        tier=(limit("tokens", 1500, 1.0, "token_bucket"), limit("requests", 48, 10.0, "fixed_window")),
        scoped=(
            Scoped(scope="global", limits=(limit("input_tokens", 30_000, 10.0),)),
            Scoped(scope="user", limits=(limit("output_tokens", 6000, 5.0, "sliding_log"),)),
            Scoped(scope="deployment", match=OPENAI, limits=(limit("requests", 8, 1.0, "token_bucket"),)),
            Scoped(scope="deployment", match=CLAUDE, limits=(limit("tokens", 9000, 5.0),)),
        ),
        workers=2,
        refuses=("13 requests", "1500 tokens", "48 requests", "26000 tokens", "6000 output tokens"),
    ),
    "budgets": Case(
        ranks=(0, 0, 1),
        faults=MILD,
        acme=(budget(0.25, "rolling", 1 / 5760),),
        free=(budget(0.1, hard=False, alerts=(50, 100)),),
        tier=(budget(0.12),),
        scoped=(
            Scoped(scope="user", match="u2", limits=(budget(0.03),)),
            Scoped(scope="tag", match="team=search", limits=(budget(0.14, "rolling", 1 / 2880),)),
            Scoped(scope="global", limits=(budget(3.0),)),
            Scoped(scope="model", limits=(at_once(35),)),
        ),
        workers=2,
        refuses=("0.25 USD", "0.12 USD", "0.03 USD", "0.14 USD"),
    ),
}


def given(case: Case) -> Given:
    choices = tuple(
        Choice(
            deployment=Deployment(
                name=name, provider=name.partition("/")[0], model=name.partition("/")[2], base_url="",
                credential=f"key of {name}", **facts
            ),
            rank=rank,
            weight=1.0 + place,
        )
        for place, ((name, facts), rank) in enumerate(zip(FACTS.items(), case.ranks, strict=True))
    )  # fmt: skip
    route = Route(model="chat", choices=choices, **(USUAL | case.route))
    snapshot = Snapshot(
        version="test",
        routes=(route,),
        keys=known_keys(*KEYS),
        pepper=PEPPER,
        secrets={f"key of {name}": PROVIDER_KEY for name in FACTS},
        tiers={"paid": Tier(name="paid"), "free": Tier(name="free", limits=case.tier)},
        tenants={"acme": Tenant(name="acme", limits=case.acme), "free": Tenant(name="free", limits=case.free)},
        scoped=case.scoped,
        server=Server(workers=case.workers),
    )
    return Given(snapshot, SENDERS, arrivals(), lambda: providers(case))


def arrivals() -> list[Arrival]:
    rng = Random(5)
    found: list[Arrival] = []
    now = 0.0
    for number in range(REQUESTS):
        now += rng.expovariate(RATE)
        sender = rng.choices(range(len(SENDERS)), SHARES)[0]
        prompt = estimated(text_of(number), counting("large").per_cent) + PER_REQUEST + PER_MESSAGE
        answer = rng.randint(1, SENDERS[sender].max_tokens or 200)
        usage = Usage(input=prompt * 3 // 4, output=answer)
        stream, user = rng.random() < 0.7, rng.choice(USERS)
        found.append(Arrival(now, sender, "chat", prompt, answer, stream=stream, user=user, usage=usage))
    return found


def providers(case: Case) -> Mapping[str, Upstream]:
    """A tenth of their answers takes over a second to begin."""
    spells = Spells(20.0, 5.0, Random("spells"))
    struck = (Trouble(case.outage, spells),) if case.outage else ()
    openai_only = TOLD_BY_OPENAI if case.faults == EVERYWHERE else ""
    return {
        OPENAI: Provider(behavior(case.faults + openai_only), Random(1), struck),
        CLAUDE: Provider(behavior(case.faults), Random(2), struck),
        GPU: Provider(behavior(case.faults), Random(3)),
    }


def behavior(faults: str) -> Behavior:
    return Behavior(
        first_token=LogNormal(0.4, 0.7),
        per_token=LogNormal(0.01, 0.4),
        refusal=LogNormal(0.05, 0.5),
        faults=parse(faults),
    )


@pytest.mark.parametrize("case", CASES)
def test_every_request_has_the_same_fate(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played = given(CASES[case])
    loop = VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        expected = runner.run(by_gateway(played, loop, tmp_path))
    found = by_simulator(played, monkeypatch)
    for number, (here, there) in enumerate(zip(found.fates, expected.fates, strict=True)):
        assert (here.ended, here.why) == (there.ended, there.why), f"request {number}: {here}\n{there}"
        assert [one[1:] for one in here.tries] == [one[1:] for one in there.tries], f"request {number}"
        assert [one[0] for one in here.tries] == pytest.approx([one[0] for one in there.tries], abs=1e-6)
        assert here.duration == pytest.approx(there.duration, abs=1e-6), f"request {number}"
    assert found.standings == expected.standings
    assert found.dollars == pytest.approx(expected.dollars)
    if CASES[case].faults == MILD:
        assert found.wasted == pytest.approx(expected.wasted)
    assert_telling(CASES[case], expected)


def assert_telling(case: Case, came: Came) -> None:
    """What was compared was worth comparing."""
    fates = came.fates
    kinds = {kind for fate in fates for _, _, kind, _ in fate.tries}
    assert {one.fault.kind for one in parse(case.faults)} <= kinds | {"auth", ""}
    assert ("limited" in kinds) == any(one.scope == "deployment" for one in case.scoped)
    why = Counter(fate.why for fate in fates)
    assert all(any(words in one for one in why) for words in case.refuses), why
    assert why["model_not_allowed"] == sum(SENDERS[one.sender].name == "x1" for one in arrivals())
    assert sum(len(fate.tries) for fate in fates) > REQUESTS / 3
    assert sum(fate.duration for fate in fates) > 15 * REQUESTS / RATE, "they hardly overlap"


def test_every_fault_of_the_simulator_is_played() -> None:
    names = {struck.name.partition(":")[0] for struck in parse(EVERYWHERE + TOLD_BY_OPENAI)}
    assert names == set(FAULTS)


def test_every_kind_of_limit_is_met() -> None:
    rules = [rule for case in CASES.values() for rule in given(case).rules()]
    assert {rule.unit for rule in rules} == set(get_args(Unit))
    assert {rule.algorithm for rule in rules} == set(get_args(Algorithm))
    assert {rule.key.partition(":")[0] for rule in rules} == set(get_args(Scope))
