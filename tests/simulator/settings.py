"""Small settings for what varies them: routes over providers with known times, prices and faults."""

from decimal import Decimal

from fairlead.canonical.routing import Choice, Deployment, Retry, Route, Select, Snapshot
from fairlead.canonical.usage import Price
from fairlead.simulator.faults import parse
from fairlead.simulator.scenario import Load, Provider, Scenario, Time, Tokens
from fairlead.simulator.setting import Setting

QUICK = Provider(first_token=Time(always=0.1), per_token=Time(always=0.001), refusal=Time(always=0.01))
BOUNDLESS = 10.0
"""A retry budget that no test here uses up."""


def deployment(name: str, *, dollars: str = "1") -> Deployment:
    """`provider/model`, with a price in dollars per million tokens, of input and of output alike."""
    provider, _, model = name.partition("/")
    price = Price(input=Decimal(dollars), output=Decimal(dollars))
    return Deployment(
        name=name, provider=provider, model=model, dialect="openai_chat", base_url="http://x", price=price
    )


def route(
    *choices: Choice,
    model: str = "chat",
    select: Select = "weighted",
    retry: Retry | None = None,
    fallback: bool = True,
) -> Route:
    plain = Route(model=model, choices=choices)
    return Route(
        model=model,
        choices=choices,
        select=select,
        retry=retry or Retry(attempts=0, budget=BOUNDLESS),
        fallback=plain.fallback if fallback else frozenset(),
    )


def choice(name: str, *, dollars: str = "1", weight: float = 1.0, rank: int = 0) -> Choice:
    return Choice(deployment=deployment(name, dollars=dollars), weight=weight, rank=rank)


def setting(*routes: Route, requests: int = 2000, rps: float = 20.0, **faults: str) -> Setting:
    """Requests and answers of 100 tokens; `faults` are by provider, `everyone` for `*`."""
    providers = {choice.deployment.provider for route in routes for choice in route.choices}
    load = Load(prompt=Tokens(always=100), answer=Tokens(always=100))
    return Setting(
        snapshot=Snapshot(version="", routes=routes),
        scenario=Scenario(providers=dict.fromkeys(sorted(providers), QUICK), traffic={"everyone": load}),
        faults={"*" if name == "everyone" else name: parse(text) for name, text in faults.items()},
        requests=requests,
        rps=rps,
    )
