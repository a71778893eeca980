"""Small configurations and worlds for the simulator's tests."""

from collections.abc import Mapping, Sequence
from math import sqrt
from random import Random
from typing import Any

from fairlead.canonical.routing import Backoff, Choice, Cooldown, Deployment, Retry, Route, Snapshot, Timeouts
from fairlead.simulator.chance import Fixed
from fairlead.simulator.faults import parse
from fairlead.simulator.providers import Behavior
from fairlead.simulator.scenario import Load, Outage, Provider, Scenario, Time, Tokens
from fairlead.simulator.setting import Setting
from fairlead.simulator.traffic import Arrival

PATIENT = Timeouts(total=1e9, connect=1e9, first_token=1e9, idle=1e9)
NEVER_COOLED = Cooldown(after=10**9, duration=1e-6)
"""The breaker still opens where half of the latest calls failed."""
NOWAIT = Backoff(base=1e-4, cap=1e-3)
ONCE = Retry(attempts=0, max_attempts=100, budget=1.0, backoff=NOWAIT)
QUICK = Provider(first_token=Time(always=0.01), per_token=Time(always=1e-6), refusal=Time(always=0.001))
INSTANT = Behavior(first_token=Fixed(0.0), per_token=Fixed(0.0), refusal=Fixed(0.0))


def deployment(name: str, **facts: Any) -> Deployment:
    return Deployment(
        name=name, provider=name.partition("/")[0], model="m", dialect="openai_chat", base_url="http://x", **facts
    )


def route(*deployments: Deployment | str, model: str = "m", **settings: Any) -> Route:
    """Tries them in this order, each once, with all patience and no cooldown, unless it is told otherwise."""
    found = [deployment(one) if isinstance(one, str) else one for one in deployments]
    choices = tuple(Choice(deployment=one, rank=rank) for rank, one in enumerate(found))
    plain: dict[str, Any] = {"select": "priority", "retry": ONCE, "timeouts": PATIENT, "cooldown": NEVER_COOLED}
    return Route(model=model, choices=choices, **(plain | settings))


def snapshot(*routes: Route, **settings: Any) -> Snapshot:
    return Snapshot(version="1", routes=routes, **settings)


def setting(
    *routes: Route,
    errors: str = "",
    providers: Mapping[str, Provider] | None = None,
    outages: Sequence[Outage] = (),
    load: Load | None = None,
    **settings: Any,
) -> Setting:
    """Quick providers with these faults each, one sender, short answers."""
    names = {choice.deployment.provider for one in routes for choice in one.choices}
    one = load or Load(prompt=Tokens(always=10), answer=Tokens(always=10))
    scenario = Scenario(
        providers=dict.fromkeys(names, QUICK) | dict(providers or {}), outages=tuple(outages), traffic={"everyone": one}
    )
    faults = {"*": parse(errors)} if errors else {}
    return Setting(snapshot=snapshot(*routes), scenario=scenario, faults=faults, **settings)


def arrival(at: float = 0.0, *, prompt: int = 10, answer: int = 1, stream: bool = True, user: str = "") -> Arrival:
    return Arrival(at, 0, "m", prompt, answer, stream, user)


def poisson(rng: Random, rate: float, count: int) -> list[float]:
    """The instants of so many arrivals."""
    instants, now = [], 0.0
    for _ in range(count):
        now += rng.expovariate(rate)
        instants.append(now)
    return instants


def is_share(hits: int, count: int, share: float, deviations: float = 4.0) -> bool:
    """Whether so many hits are what a binomial distribution gives, but for one time in ten thousand or so."""
    return abs(hits - count * share) <= deviations * sqrt(count * share * (1 - share)) + 1


def distance(values: Sequence[float], cumulative: Any) -> float:
    """Kolmogorov's and Smirnov's statistic times the root of the count: above 1.95 once in a thousand."""
    ordered, count = sorted(values), len(values)
    worst = max(
        max(cumulative(value) - index / count, (index + 1) / count - cumulative(value))
        for index, value in enumerate(ordered)
    )
    return float(worst * sqrt(count))
