"""How much a request wants of each rule that it meets: what its limits and budgets are asked to hold.

It brings together the rules (policy), the estimate (tokens) and prices. It must not know what becomes of a demand.
"""

from typing import TYPE_CHECKING

from fairlead.canonical.limits import Demand, Rule
from fairlead.canonical.routing import Deployment, Route, Snapshot
from fairlead.gateway.said import said_tags
from fairlead.gateway.upstream import Request
from fairlead.policy.demands import ONE, counts, demands
from fairlead.policy.estimate import Estimate
from fairlead.policy.rates import Rates, rates_at
from fairlead.policy.rules import Rules, every_limit
from fairlead.tokens.counter import Counter
from fairlead.tokens.estimator import Way, estimated, shown, vocabularies, ways

if TYPE_CHECKING:
    from fairlead.gateway.books import Books


class Demands:
    """The rules of one snapshot, and what counts a request against them."""

    def __init__(self, snapshot: Snapshot, counter: Counter) -> None:
        self.rules = Rules(tiers=snapshot.tiers, tenants=snapshot.tenants, scoped=snapshot.scoped)
        self._counter = counter
        deployments = [choice.deployment for route in snapshot.routes for choice in route.choices]
        self._ways: dict[str, tuple[Way, ...]] = {}
        counted = any(limit.unit not in ONE for limit in every_limit(snapshot))
        self.vocabularies = vocabularies(ways(deployments, "")) if counted else set()
        """What counting needs to have loaded, as far as the configuration's own limits ask for it."""

    async def of_request(self, books: "Books", request: Request, route: Route) -> tuple[Demand, ...]:
        """What the caller's, the model's and the shared rules are asked for; the books learn the request's tags."""
        key, ask = books.key, request.ask
        books.tags = self.rules.tags_of(key, said_tags(request.headers))
        rules = self.rules.of(key, ask.model, key.user or ask.user, books.tags)
        return await self._counted(rules, books, request, route) if rules else ()

    async def of_attempt(
        self, deployment: Deployment, books: "Books", request: Request, route: Route
    ) -> tuple[Demand, ...]:
        """What the deployment's own rules are asked for."""
        rules = self.rules.of_deployment(deployment.name)
        return await self._counted(rules, books, request, route) if rules else ()

    @staticmethod
    def rates_of(served: Deployment | None, at: float) -> Rates | None:
        """What the deployment that answered charges; None: nobody answered, or it is not known.

        By its own price and not by its name: routes may give one deployment two prices, and a reload none.
        """
        return None if served is None else rates_at(served.price, at)

    async def _counted(
        self, rules: tuple[Rule, ...], books: "Books", request: Request, route: Route
    ) -> tuple[Demand, ...]:
        """The request's tokens are counted only where a rule asks for them, and once."""
        if counts(rules) and books.estimate is None:
            books.estimate = await self._estimated(request, route)
        return demands(rules, books.estimate, request.ask.max_tokens)

    async def _estimated(self, request: Request, route: Route) -> Estimate:
        ask = request.ask
        over = self._ways.get(route.model)
        if over is None:
            over = ways([choice.deployment for choice in route.choices], ask.model)
            self._counter.prepare(vocabularies(over))
            if not route.model.endswith("*"):
                self._ways[route.model] = over
        content = shown(request.body, lambda _: request.chat)
        return await estimated(self._counter, content, over, max_tokens=ask.max_tokens, n=ask.n)
