"""What limits cost: CPU time of one request's key check, reserve and settle, without sockets to clients or providers.

The very objects that a worker has: callers, demands, holds, an engine. The tenants are the interface's own tiers:
`paid` has a bucket of requests and a budget, `trial` a window of requests with a burst, one of tokens, and a budget.
What the tokens are is known: bench/counting.py tells what that costs.
`python bench/holding.py` prints the figures; `bench/run.py` takes them into its report.
"""

import asyncio
import hmac
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import uvloop
from tests.valkey import valkey

from fairlead.canonical.limits import DAY, DOLLAR, SECOND, Limit, Unit
from fairlead.canonical.routing import Choice, Deployment, Route, Sharing, Snapshot
from fairlead.canonical.tenants import Tenant, VirtualKey
from fairlead.canonical.usage import Price, Usage
from fairlead.dialects import openai_chat
from fairlead.gateway.books import Books
from fairlead.gateway.callers import Callers
from fairlead.gateway.demands import Demands
from fairlead.gateway.holds import Holds
from fairlead.gateway.upstream import Request
from fairlead.policy.estimate import Estimate, spent
from fairlead.state.choice import open_state
from fairlead.state.port import Settlement, Spending
from fairlead.tokens.counter import Counter

KEY = b"bench-key-of-enough-characters"
PEPPER = b"p" * 32
PLENTY = 900_000_000
REQUESTS = 3000
ROUNDS = 7
ESTIMATE = Estimate(input=150, output=100, tokens=250, money=40, priced=True)
BODY = b'{"model":"chat","max_tokens":100,"messages":[{"role":"user","content":"%b"}]}' % (b"words of a prompt " * 50)


def limit(unit: Unit, algorithm: Any = "sliding_window", **more: Any) -> Limit:
    return Limit(**{"unit": unit, "algorithm": algorithm, "limit": PLENTY, "per": 60 * SECOND, **more})


TIERS = {
    "paid": (limit("requests", "token_bucket", burst=PLENTY), limit("money", "calendar", per=DAY, limit=900 * DOLLAR)),
    "trial": (
        limit("requests", burst=1000),
        limit("tokens"),
        limit("money", "calendar", per=DAY, limit=900 * DOLLAR),
    ),
}


def snapshot(sharing: Sharing, tier: str) -> Snapshot:
    deployment = Deployment(
        name="box/llama", provider="box", model="llama", dialect="openai_chat", base_url="http://h",
        price=Price(input=Decimal("0.1"), output=Decimal("0.2")), max_output=4096,
    )  # fmt: skip
    tenant = Tenant(name="acme", limits=TIERS[tier])
    mac = hmac.digest(PEPPER, KEY, "sha256").hex()
    return Snapshot(
        version="bench",
        routes=(Route(model="chat", choices=(Choice(deployment=deployment),)),),
        pepper=PEPPER,
        keys={mac: VirtualKey(id="k", tenant="acme")},
        tenants={"acme": tenant},
        sharing=sharing,
    )


class Desk:
    """As much of a worker as the figure is about."""

    def __init__(self, served: Snapshot, folder: Path) -> None:
        self.callers = Callers(generation=lambda: 0, clock=time.monotonic, wall=time.time, wanted=lambda _: None)
        self.callers.adopt(served)
        self.demands = Demands(served, Counter())
        self.holds = Holds("bench", tell=lambda _: None, written=lambda: None)
        self.holds.state = open_state(served.sharing, folder)
        self.route = served.routes[0]
        self.clock, self.wall, self.calls = time.monotonic, time.time, None
        self.exchange: Any = SimpleNamespace(headers={b"authorization": b"Bearer " + KEY}, query="", peer="127.0.0.1")
        self.rates = self.demands.rates_of(self.route.choices[0].deployment, 0.0)

    def request_id(self, _: dict[bytes, bytes]) -> str:
        return "req_1"

    def trace(self, _: dict[bytes, bytes]) -> None:
        return None

    async def seed(self) -> None:
        """Every budget begins with nothing spent."""
        for rule in self.demands.rules.of_tenant("acme"):
            if rule.unit == "money":
                await self.holds.state.seed(Spending(rule, ()))

    async def request(self, *, limits: bool = True) -> None:
        """Everything of a request but the request itself; without `limits`, what the harness costs."""
        books = Books(self, self.exchange, "openai_chat")  # type: ignore[arg-type]
        books.ask = ask = openai_chat.ask(BODY)
        asked = Request(
            self,  # type: ignore[arg-type]
            openai_chat,
            BODY,
            ask=ask,
            headers=self.exchange.headers,
            watch=books.watch,
        )
        if not limits:
            return
        books.key = self.callers.admit(self.exchange)
        books.estimate = ESTIMATE
        demands = await self.demands.of_request(books, asked, self.route)
        await self.holds.take(demands, books, strict=False)
        used = spent(Usage(input=120, output=60), self.rates)
        self.holds.settle(
            [Settlement(hold, tuple([used[demand.rule.unit] for demand in hold.demands])) for hold in books.holds]
        )


async def cost(desk: Desk, at_once: int, *, limits: bool = True) -> float:
    """Microseconds of this process's CPU per request."""
    await desk.request(limits=limits)
    begun = time.process_time()

    async def client() -> None:
        for _ in range(REQUESTS // at_once):
            await desk.request(limits=limits)

    await asyncio.gather(*[client() for _ in range(at_once)])
    await desk.holds.settled()
    return (time.process_time() - begun) / REQUESTS * 1e6


async def rounds(sharing: Sharing, folder: Path) -> dict[str, list[float]]:
    """The cost of limits by tier, one request at a time and sixteen: a figure per round."""
    found: dict[str, list[float]] = {}
    for tier in TIERS:
        desk = Desk(snapshot(sharing, tier), folder)
        await desk.seed()
        for _ in range(ROUNDS):
            for at_once in (1, 16):
                bare = await cost(desk, at_once, limits=False)
                found.setdefault(f"{tier}, {at_once} at a time", []).append(await cost(desk, at_once) - bare)
        await desk.holds.state.close()
    return found


def measured() -> dict[str, dict[str, list[float]]]:
    """By engine and load: microseconds per request, one figure per round."""
    found = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found["local"] = uvloop.run(rounds(Sharing(), folder / "local"))
        server = stack.enter_context(valkey(folder / "valkey"))
        found["valkey"] = uvloop.run(rounds(Sharing(state=server.url), folder / "beside"))
    return found


if __name__ == "__main__":
    for engine, loads in measured().items():
        for load, figures in loads.items():
            middle = statistics.median(figures)
            print(f"{engine:8} {load:24} {middle:6.1f} us  ({min(figures):.1f} to {max(figures):.1f})")
