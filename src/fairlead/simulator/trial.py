"""One configuration in one world: what a simulation's requests meet, and what they leave behind.

It must not know what one request does (`visit`), nor when it goes on (`life`).
"""

from collections.abc import Mapping, Sequence
from random import Random

import msgspec

from fairlead.canonical.limits import SECOND, Rule
from fairlead.canonical.routing import Deployment, Route, Snapshot
from fairlead.canonical.tenants import VirtualKey
from fairlead.policy.attempts import Plan
from fairlead.policy.demands import is_hard_budget
from fairlead.policy.estimate import Terms, terms
from fairlead.policy.health import Fleet
from fairlead.policy.rates import Rates, rates_at
from fairlead.policy.routes import Routes
from fairlead.policy.rules import Rules
from fairlead.policy.select import Needs, consider, for_tenant
from fairlead.simulator.counts import Counts
from fairlead.simulator.measures import Measures
from fairlead.simulator.providers import Upstream
from fairlead.simulator.setting import deployments_of
from fairlead.simulator.traffic import Sender


class Way(msgspec.Struct, frozen=True, gc=False):
    """What a sender's requests for a model meet; made once for all of them."""

    route: Route
    plans: tuple[Plan, ...]
    """One per worker, for requests that name no end user and say no tags."""
    rules: tuple[Rule, ...]
    """Those that such a request meets."""
    best: int
    """The best rank of the deployments that can serve them; an answer from a worse one is a fallback's."""
    terms: tuple[Terms, ...]


class Trial:
    """One configuration in one world.

    `providers` are by deployment. `begins` is the wall clock at instant 0, in Unix seconds: prices and the periods of
    budgets are counted from there. Budgets begin unspent. `rng` is the policy's chance; `seeds` are what all chance is
    renewed from, None: it never is.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        providers: Mapping[str, Upstream],
        senders: Sequence[Sender],
        measures: Measures,
        *,
        rng: Random,
        begins: float,
        seeds: Random | None = None,
    ) -> None:
        self.snapshot = snapshot
        self.providers = providers
        self.senders = tuple(senders)
        self.measures = measures
        self.rng = rng
        self._seeds = seeds
        self.rules = Rules(tiers=snapshot.tiers, tenants=snapshot.tenants, scoped=snapshot.scoped)
        self.counts = Counts()
        self.fleets = [Fleet(self.rng) for _ in range(snapshot.server.workers)]
        """Workers learn apart, as real ones do."""
        self.sharing: dict[str, list[str]] = {}
        """The deployments that have one credential, by that."""
        for name, deployment in deployments_of(snapshot).items():
            self.sharing.setdefault(deployment.credential, []).append(name)
        self._begins = begins
        self._routes = Routes(snapshot.routes, snapshot.facts)
        self._ways: dict[tuple[int, str], Way | str] = {}

    def renew(self) -> None:
        """Chance begins anew, for the policy and for all providers."""
        if self._seeds is None:
            return
        self.rng.seed(self._seeds.getrandbits(64))
        for provider in self.providers.values():
            provider.renew()

    def way(self, sender: int, model: str) -> Way | str:
        """What this sender's requests for this model meet; or the row of CODES that they end with."""
        place = (sender, model)
        if place not in self._ways:
            self._ways[place] = self._way(self.senders[sender].key, model)
        return self._ways[place]

    def rules_of(
        self, key: VirtualKey, model: str, user: str = "", tags: tuple[tuple[str, str], ...] = ()
    ) -> tuple[Rule, ...]:
        """What a request meets that names this end user and says these tags."""
        return self.rules.of(key, model, key.user or user, self.rules.tags_of(key, tags))

    def rates_of(self, deployment: Deployment, at: float) -> Rates | None:
        """What a deployment charges for a request that came `at`; None: nobody knows, or nothing."""
        return rates_at(deployment.price, self._begins + at)

    def micros(self, now: float) -> int:
        """The time of limits and budgets."""
        return int((self._begins + now) * SECOND)

    def _way(self, key: VirtualKey, model: str) -> Way | str:
        route = self._routes.find(model)
        if route is None:
            return "model_not_found"
        if not self.rules.may_use(key, model, route):
            return "model_not_allowed"
        rules = self.rules_of(key, model)
        needs = for_tenant(Needs(priced=any(map(is_hard_budget, rules))), self.snapshot.tenants.get(key.tenant))
        usable, _ = consider(route, Fleet(self.rng), 0.0, needs=needs)
        return Way(
            route=route,
            plans=tuple([Plan(route, fleet, self.rng, needs) for fleet in self.fleets]),
            rules=rules,
            best=usable[0].rank if usable else 0,
            terms=tuple(dict.fromkeys(terms(choice.deployment) for choice in route.choices)),
        )
