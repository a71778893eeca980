"""The simulator: requests go through the workers' own policy under a virtual clock. Read this first.

`life` is steps 5 to 10 of a chat request (docs/design.md) without its bytes: it makes the attempts that policy wants
and yields the instant at which it goes on; `run` is the clock. It must not know how providers misbehave, nor how
figures are told.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from heapq import heappop, heappush, heapreplace
from itertools import islice
from random import Random

import msgspec

from fairlead.canonical.limits import SECOND, Demand, Rule
from fairlead.canonical.routing import Answered, Choice, Deployment, Failed, Route, Snapshot, Try
from fairlead.canonical.tenants import VirtualKey
from fairlead.canonical.usage import Usage
from fairlead.policy.attempts import Plan, attempts
from fairlead.policy.demands import counts, demands, is_hard_budget, limited, taken, tightest
from fairlead.policy.estimate import MAY_BE_CHARGED, Amounts, Estimate, Terms, estimate, spent, terms
from fairlead.policy.health import Fleet
from fairlead.policy.rates import Rates, parts, rates
from fairlead.policy.routes import Routes
from fairlead.policy.rules import Rules
from fairlead.policy.select import Needs, consider, for_tenant
from fairlead.simulator.counts import Counts, Held
from fairlead.simulator.measures import Measures
from fairlead.simulator.providers import Played, Upstream
from fairlead.simulator.traffic import Arrival, Sender

Life = Generator[float, None, None]
"""Yields the instant at which it goes on, and is not resumed before."""
RENEW_EVERY = 32
"""Requests from one renewal of chance to the next: few, so that settings in which the attempts of a request differ in
number soon meet the same chance again.
"""
TELL_EVERY = 1024
"""Requests between two words on how far a simulation is."""


class Way(msgspec.Struct, frozen=True, gc=False):
    """What a sender's requests for a model meet; made once for all of them."""

    route: Route
    plans: tuple[Plan, ...]
    """One per worker, for requests that name no end user."""
    rules: tuple[Rule, ...]
    """Those that such a request meets."""
    best: int
    """The best rank of the deployments that can serve them; an answer from a worse one is a fallback's."""
    terms: tuple[Terms, ...]


class Trial:
    """One configuration in one world.

    `providers` are by deployment. `begins` is the wall clock at instant 0, in Unix seconds: prices and the periods of
    budgets are counted from there. Budgets begin unspent. `rng` is what chance is renewed from.
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
    ) -> None:
        self.snapshot = snapshot
        self.providers = providers
        self.senders = tuple(senders)
        self.measures = measures
        self.rng = Random()
        self._seeds = rng
        self.rules = Rules(tiers=snapshot.tiers, tenants=snapshot.tenants, scoped=snapshot.scoped)
        self.counts = Counts()
        self.fleets = [Fleet(self.rng) for _ in range(snapshot.server.workers)]
        """Workers learn apart, as real ones do."""
        self._begins = begins
        self._routes = Routes(snapshot.routes, snapshot.facts)
        self._ways: dict[tuple[int, str], Way | str] = {}
        self._rates: dict[int, Rates | None] = {}
        """By the id of a deployment, which ways keep alive: behind a wildcard one name has a price per model."""

    def renew(self) -> None:
        """Chance begins anew, for the policy and for all providers."""
        self.rng.seed(self._seeds.getrandbits(64))
        for provider in self.providers.values():
            provider.renew()

    def way(self, sender: int, model: str) -> Way | str:
        """What this sender's requests for this model meet; or the row of CODES that they end with."""
        place = (sender, model)
        if place not in self._ways:
            self._ways[place] = self._way(self.senders[sender].key, model)
        return self._ways[place]

    def rules_of(self, key: VirtualKey, model: str, user: str) -> tuple[Rule, ...]:
        return self.rules.of(key, model, key.user or user, self.rules.tags_of(key))

    def rates_of(self, deployment: Deployment) -> Rates | None:
        """What a deployment charges; None: nobody knows, or nothing."""
        place = id(deployment)
        if place not in self._rates:
            price = deployment.price
            self._rates[place] = None if price is None else rates(price.at(self._begins) or price)
        return self._rates[place]

    def micros(self, now: float) -> int:
        """The time of limits and budgets."""
        return int((self._begins + now) * SECOND)

    def _way(self, key: VirtualKey, model: str) -> Way | str:
        route = self._routes.find(model)
        if route is None:
            return "model_not_found"
        if not self.rules.may_use(key, model, route):
            return "model_not_allowed"
        rules = self.rules_of(key, model, "")
        needs = for_tenant(Needs(priced=any(map(is_hard_budget, rules))), self.snapshot.tenants.get(key.tenant))
        usable, _ = consider(route, Fleet(self.rng), 0.0, needs=needs)
        return Way(
            route=route,
            plans=tuple([Plan(route, fleet, self.rng, needs) for fleet in self.fleets]),
            rules=rules,
            best=usable[0].rank if usable else 0,
            terms=tuple(dict.fromkeys(terms(choice.deployment) for choice in route.choices)),
        )


def run(
    trial: Trial, arriving: Iterable[Arrival], total: int, tell: Callable[[int], None] = lambda _: None
) -> Measures:
    """Plays the first `total` arrivals to their end; `tell` hears now and then how many have come."""
    under_way: list[tuple[float, int, Life]] = []
    now = 0.0
    for number, arrival in enumerate(islice(arriving, total)):
        now = arrival.at
        while under_way and under_way[0][0] <= now:
            _go_on(under_way)
        if number % RENEW_EVERY == 0:
            trial.renew()
        going = life(trial, number, arrival)
        wakes = next(going, None)
        if wakes is not None:
            heappush(under_way, (wakes, number, going))
        if number % TELL_EVERY == 0:
            tell(number)
    while under_way:
        now = under_way[0][0]
        _go_on(under_way)
    trial.measures.over(now)
    return trial.measures


def _go_on(under_way: list[tuple[float, int, Life]]) -> None:
    """The next of those under way goes on, at its instant."""
    _, number, going = under_way[0]
    wakes = next(going, None)
    if wakes is None:
        heappop(under_way)
    else:
        heapreplace(under_way, (wakes, number, going))


def life(trial: Trial, number: int, arrival: Arrival) -> Life:
    """One request, from its arrival to the end of its answer."""
    visit = Visit(trial, number, arrival)
    plan = visit.admitted()
    if plan is None:
        return
    given = attempts(plan, arrival.at, arrival.at + plan.route.timeouts.total)
    now, played = arrival.at, None
    step = next(given, None)
    while step is not None:
        if step.start_at > now:
            now = step.start_at
            yield now
        played = visit.begin(step, now)
        now = played.outcome.at
        yield now
        visit.learn(played)
        try:
            following = given.send(played.outcome)
        except StopIteration:
            following = None
        visit.learned(now)
        step = following
    if played is not None and played.ends > now:
        now = played.ends
        yield now
    visit.close(played, now)


class Visit:
    """The books of one request."""

    __slots__ = (
        "_arrival", "_batch", "_choice", "_estimate", "_first", "_fleet", "_held", "_own", "_retried", "_tally",
        "_trial", "_tried_at", "_way", "_worker",
    )  # fmt: skip
    _first: Choice
    _choice: Choice
    """Of the latest attempt."""

    def __init__(self, trial: Trial, number: int, arrival: Arrival) -> None:
        self._trial = trial
        self._arrival = arrival
        self._batch, self._tally = trial.measures.arrives(number, arrival)
        self._worker = 0 if len(trial.fleets) == 1 else trial.rng.randrange(len(trial.fleets))
        self._fleet = trial.fleets[self._worker]
        self._held: list[Held] = []
        self._own = 0
        """How many of them are the request's own, and not its attempt's."""
        self._estimate: Estimate | None = None
        self._retried = False

    def admitted(self) -> Plan | None:
        """The route is found, and limits and budgets hold what the request may take; None: it is refused."""
        trial, arrival = self._trial, self._arrival
        way = trial.way(arrival.sender, arrival.model)
        if isinstance(way, str):
            trial.measures.refuse(self._tally, arrival, way)
            return None
        self._way = way
        plan, rules = way.plans[self._worker], way.rules
        if arrival.user:
            plan, rules = self._personal(plan)
        if rules:
            wanted = self._demands(rules)
            held, standings = trial.counts.reserve(wanted, trial.micros(arrival.at))
            if held is None:
                trial.measures.refuse(self._tally, arrival, tightest(wanted, standings)[0].rule.label)
                return None
            self._held.append(held)
            self._own = 1
        return plan

    def begin(self, step: Try, now: float) -> Played:
        """An attempt starts; gives what it will come to."""
        choice, tally, busy = step.choice, self._tally, self._fleet.busy
        name = choice.deployment.name
        tally.attempts += 1
        if step.number == 0:
            self._first = choice
        elif choice is self._choice:
            tally.retries += 1
            self._retried = True
        self._choice = choice
        self._tried_at = now
        busy[name] = busy.get(name, 0) + 1
        if self._trial.rules.limits_deployments and (refusal := self._refusal(name, now)):
            return Played(refusal, now)
        return self._trial.providers[name].play(self._arrival, now, self._way.route.timeouts, step.deadline)

    def learn(self, played: Played) -> None:
        """The attempt came to something; health has not learned it yet."""
        deployment, outcome = self._choice.deployment, played.outcome
        self._trial.measures.seen[deployment.name].attempt(self._tried_at, outcome, played.waited)
        if isinstance(outcome, Answered):
            return
        self._fleet.busy[deployment.name] -= 1
        if outcome.kind in MAY_BE_CHARGED:
            self._pay(deployment, Usage(input=self._arrival.prompt), wasted=True)
        if len(self._held) > self._own:
            self._settle(self._own, spent(None, None), outcome.at)

    def learned(self, now: float) -> None:
        """Health has learned it; notes where it now leaves the deployment alone."""
        name = self._choice.deployment.name
        seen = self._trial.measures.seen[name]
        if name in self._fleet.troubled or self._worker in seen.rests:
            seen.learned(self._worker, self._fleet.health[name], now)

    def close(self, played: Played | None, now: float) -> None:
        """The request is over: what it came to is counted, and what it held is settled."""
        tally, arrival = self._tally, self._arrival
        tally.retried += self._retried
        if played is None:
            self._trial.measures.refuse(tally, arrival, "no_healthy_deployment")
            self._release(now)
        elif isinstance(played.outcome, Answered):
            self._answered(played, played.outcome, now)
        else:
            tally.failed += 1
            self._trial.measures.lost.add(arrival.at)
            self._settle(0, spent(None, None), now)

    def _answered(self, played: Played, outcome: Answered, now: float) -> None:
        tally, arrival, choice, batch = self._tally, self._arrival, self._choice, self._batch
        deployment = choice.deployment
        self._fleet.busy[deployment.name] -= 1
        output = int(arrival.answer * played.part) or 1
        usage = Usage(input=arrival.prompt, output=output)
        if arrival.usage is not None and not played.broken:
            usage = arrival.usage
        self._pay(deployment, usage, wasted=played.broken)
        if self._held:
            self._settle(0, spent(usage, self._trial.rates_of(deployment)), now)
        if played.broken:
            tally.cut += 1
            self._trial.measures.lost.add(arrival.at)
            return
        tally.answered += 1
        tally.input += arrival.prompt
        tally.output += output
        tally.fallbacks += choice is not self._first or choice.rank > self._way.best
        batch.latency.add(now - arrival.at)
        batch.first_token.add(outcome.at - arrival.at)
        batch.added.add(self._tried_at - arrival.at)

    def _personal(self, plan: Plan) -> tuple[Plan, tuple[Rule, ...]]:
        """What a request meets that names its end user."""
        trial, arrival = self._trial, self._arrival
        rules = trial.rules_of(trial.senders[arrival.sender].key, arrival.model, arrival.user)
        priced = plan.needs.priced or any(map(is_hard_budget, rules))
        needs = msgspec.structs.replace(plan.needs, session=arrival.user, priced=priced)
        return msgspec.structs.replace(plan, needs=needs), rules

    def _refusal(self, deployment: str, now: float) -> Failed | None:
        """Holds what an attempt asks of its deployment's own limits; or the failure that sends it elsewhere."""
        rules = self._trial.rules.of_deployment(deployment)
        if not rules:
            return None
        held, standings = self._trial.counts.reserve(self._demands(rules), self._trial.micros(now))
        if held is None:
            return limited(deployment, standings, now)
        self._held.append(held)
        return None

    def _demands(self, rules: Sequence[Rule]) -> tuple[Demand, ...]:
        if self._estimate is None and counts(rules):
            offers = [(self._arrival.prompt, term) for term in self._way.terms]
            self._estimate = estimate(offers, self._said())
        return demands(rules, self._estimate, self._said())

    def _said(self) -> int | None:
        """What the request says of the longest answer."""
        return self._trial.senders[self._arrival.sender].max_tokens

    def _settle(self, first: int, used: Amounts, now: float) -> None:
        """The end of all holds from the `first` on."""
        at = self._trial.micros(now)
        for held in self._held[first:]:
            self._trial.counts.settle(held, [taken(demand, used) for demand in held[0]], at)
        del self._held[first:]

    def _release(self, now: float) -> None:
        """The end of all holds of a request for which nothing could be tried: it counts for nothing."""
        for held in self._held:
            self._trial.counts.settle(held, [0] * len(held[0]), self._trial.micros(now))

    def _pay(self, deployment: Deployment, usage: Usage, *, wasted: bool) -> None:
        found = self._trial.rates_of(deployment)
        if found is not None:
            at = found.of(usage)
            dollars = parts(usage, at) / at.parts / 1e6
            self._tally.cost += dollars
            if wasted:
                self._tally.wasted += dollars
