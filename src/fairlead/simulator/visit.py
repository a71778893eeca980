"""The books of one request: what is held for it, what its attempts come to, and what it is counted as.

It must not know when a request goes on (`life`), nor how providers misbehave.
"""

from collections.abc import Sequence

import msgspec

from fairlead.canonical.limits import Demand, Rule
from fairlead.canonical.routing import Answered, Choice, Deployment, Failed, Try
from fairlead.canonical.usage import Usage
from fairlead.policy.attempts import Plan
from fairlead.policy.demands import counts, demands, is_hard_budget, limited, taken, tightest
from fairlead.policy.estimate import MAY_BE_CHARGED, Amounts, Estimate, estimate, spent
from fairlead.policy.health import HEALTHY
from fairlead.policy.rates import parts
from fairlead.policy.routes import served_name
from fairlead.simulator.counts import Held
from fairlead.simulator.providers import Played
from fairlead.simulator.traffic import Arrival
from fairlead.simulator.trial import Trial

NOTHING = spent(None, None)
"""What a request used that was tried, and got no answer."""


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
            trial.measures.refuse(self._batch, arrival, way)
            return None
        self._way = way
        plan, rules = way.plans[self._worker], way.rules
        if arrival.user or arrival.tags:
            plan, rules = self._personal(plan)
        if rules:
            wanted = self._demands(rules)
            held, standings = trial.counts.reserve(wanted, trial.micros(arrival.at))
            if held is None:
                trial.measures.refuse(self._batch, arrival, tightest(wanted, standings)[0].rule.label)
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
        self._trial.measures.attempt(self._batch, deployment.name, self._tried_at, played)
        if isinstance(outcome, Answered):
            return
        self._fleet.busy[deployment.name] -= 1
        if outcome.kind in MAY_BE_CHARGED:
            self._pay(deployment, Usage(input=self._arrival.prompt), wasted=True)
        if len(self._held) > self._own:
            self._settle(self._own, NOTHING, outcome.at)

    def learned(self, now: float) -> None:
        """Health has learned it; notes where it now leaves the deployment alone, and others with its credential."""
        deployment, fleet, measures = self._choice.deployment, self._fleet, self._trial.measures
        quarantined_until = fleet.quarantined_until.get(deployment.credential, 0.0)
        if quarantined_until > now:
            for name in self._trial.sharing[deployment.credential]:
                health = fleet.health.get(name, HEALTHY)
                measures.seen[name].learned(self._worker, health, now, quarantined_until)
            return
        seen = measures.seen[deployment.name]
        if deployment.name in fleet.troubled or self._worker in seen.states:
            seen.learned(self._worker, fleet.health[deployment.name], now)

    def close(self, played: Played | None, now: float) -> None:
        """The request is over: what it came to is counted, and what it held is settled."""
        tally, arrival = self._tally, self._arrival
        tally.retried += self._retried
        if played is None:
            self._trial.measures.refuse(self._batch, arrival, "no_healthy_deployment")
            self._settle(0, None, now)
        elif isinstance(played.outcome, Answered):
            self._answered(played, played.outcome, now)
        else:
            tally.failed += 1
            self._trial.measures.lost.add(arrival.at)
            self._settle(0, NOTHING, now)

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
            self._settle(0, spent(usage, self._trial.rates_of(deployment, arrival.at)), now)
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
        """What a request meets that names its end user, or says tags."""
        trial, arrival = self._trial, self._arrival
        rules = trial.rules_of(trial.senders[arrival.sender].key, arrival.model, arrival.user, arrival.tags)
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

    def _settle(self, first: int, used: Amounts | None, now: float) -> None:
        """The end of all holds from the `first` on. `used` None: nothing could be tried, so it counts for nothing."""
        at = self._trial.micros(now)
        for held in self._held[first:]:
            self._trial.counts.settle(held, [0 if used is None else taken(one, used) for one in held[0]], at)
        del self._held[first:]

    def _pay(self, deployment: Deployment, usage: Usage, *, wasted: bool) -> None:
        found = self._trial.rates_of(deployment, self._arrival.at)
        if found is None:
            if not deployment.self_hosted:
                self._trial.measures.unpriced.add(served_name(deployment, self._arrival.model))
            return
        at = found.of(usage)
        dollars = parts(usage, at) / at.parts / 1e6
        self._tally.cost += dollars
        if wasted:
            self._tally.wasted += dollars
