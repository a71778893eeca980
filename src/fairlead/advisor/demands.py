"""The hard demands: what a gateway must fulfil to be in the ranking at all. It must not know how the rest is ranked.

Every demand is judged for one way of running the gateway. What no source says does not fulfil a demand on features or
certificates; for latency and load it passes, and costs points, since those can be measured before one decides.
"""

from collections.abc import Iterator

import msgspec

from fairlead.advisor.facts import Fact, Gateway, Way
from fairlead.advisor.needs import Needs, spoken
from fairlead.advisor.rules import Place, Rules


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One gateway, run in one way, for somebody's needs."""

    needs: Needs
    gateway: Gateway
    way: Way
    rules: Rules
    titles: dict[str, str]

    def fact(self, name: str) -> Fact | None:
        """What is known of it."""
        return self.gateway.fact(name, self.way)

    def number(self, name: str) -> float | None:
        """The figure that is known of it."""
        return self.gateway.number(name, self.way)

    def allows(self, fact: Fact) -> bool:
        """Whether texts may go where the fact needs them."""
        return not fact.outside or self.needs.data is None or not self.rules.data[self.needs.data].inside


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What a demand says of a case, and the fact that it rests on; None: no source says."""

    rule: str
    passed: bool
    reason: str
    fact: Fact | None = None


def judge(case: Case) -> list[Check]:
    """All demands in the order in which they are made."""
    checks = [*_alive(case), *_hosting(case), *_residency(case), *_features(case), *_compliance(case)]
    return [*checks, *_licence(case, checks), *_latency(case), *_scale(case)]


def _alive(case: Case) -> Iterator[Check]:
    status = case.fact("status")
    if status is not None and status.value == "archived":
        yield Check(rule="archived", passed=False, reason=f"the project is archived: {status.note}", fact=status)


def _hosting(case: Case) -> Iterator[Check]:
    runs = case.fact("runs")
    if case.needs.ops is None:
        yield Check(rule="hosting", passed=True, reason=f"runs {case.way}", fact=runs)
        return
    passed = case.way in case.rules.ops[case.needs.ops].ways
    reason = f"runs {case.way}" + ("" if passed else f", not {case.needs.ops}")
    yield Check(rule="hosting", passed=passed, reason=reason, fact=runs)


def _residency(case: Case) -> Iterator[Check]:
    if case.needs.data is not None:
        yield _placed(case, "residency", f"data {case.needs.data}", case.rules.data[case.needs.data])


def _features(case: Case) -> Iterator[Check]:
    for feature in case.needs.features(case.rules):
        fact = case.fact(case.rules.features[feature])
        if fact is None or not fact.value:
            missing = _missing(case, case.rules.features[feature], fact)
            yield Check(rule=feature, passed=False, reason=missing, fact=fact)
        else:
            leaves = "" if case.allows(fact) else ", for which texts leave your network"
            yield Check(rule=feature, passed=not leaves, reason=_said(fact) + leaves, fact=fact)


def _missing(case: Case, name: str, fact: Fact | None) -> str:
    title = case.titles[name]
    elsewhere = [way for way in case.gateway.ways() if case.gateway.has(name, way)]
    if elsewhere:
        return f"{title} only {' or '.join(elsewhere)}, not {case.way}"
    if fact is None:
        return f"{title}: no source that we read says so"
    return f"no {title}" + (f" ({fact.note})" if fact.note else "")


def _compliance(case: Case) -> Iterator[Check]:
    for name in case.needs.compliance:
        demand = case.rules.compliance[name]
        yield _placed(case, name, demand.title, demand)


def _placed(case: Case, rule: str, title: str, demand: Place) -> Check:
    fact = case.fact(demand.fact)
    if case.way in demand.ways:
        return Check(rule=rule, passed=True, reason=f"{title}: it runs {case.way}", fact=case.fact("runs"))
    if fact is not None and fact.value:
        return Check(rule=rule, passed=True, reason=f"{title}: {_said(fact)}", fact=fact)
    said = _missing(case, demand.fact, fact) if demand.fact else f"it runs {case.way}"
    return Check(rule=rule, passed=False, reason=f"{title}: {said}", fact=fact)


def paid(checks: list[Check]) -> list[Fact]:
    """What takes a licence or a paid plan, of all that the needs rest on."""
    return [check.fact for check in checks if check.passed and check.fact is not None and check.fact.paid]


def charged(costs: list[Fact]) -> str:
    """What is paid for, in words."""
    return ", ".join(dict.fromkeys("running it so" if fact.name == "runs" else fact.title for fact in costs))


def _licence(case: Case, checks: list[Check]) -> Iterator[Check]:
    if case.needs.free:
        costs = paid(checks)
        reason = f"a licence or a paid plan for {charged(costs)}" if costs else "free for what you ask"
        yield Check(rule="licence", passed=not costs, reason=reason, fact=costs[0] if costs else None)


def _latency(case: Case) -> Iterator[Check]:
    budget, adds, fact = case.needs.budget, case.number("overhead"), case.fact("overhead")
    if budget is None:
        return
    if budget <= 0:
        reason = f"the baseline alone takes {spoken(case.needs.baseline or 0)} ms of {spoken(case.needs.ttft_p99 or 0)}"
        yield Check(rule="latency", passed=False, reason=reason, fact=fact)
    elif adds is not None:
        reason = f"adds {spoken(adds)} ms of the {spoken(budget)} that are left"
        yield Check(rule="latency", passed=adds <= budget, reason=reason, fact=fact)


def _scale(case: Case) -> Iterator[Check]:
    rps, ceiling = case.needs.rps, case.number("ceiling")
    if rps is not None and ceiling is not None:
        holds = ceiling / case.rules.head_room
        reason = f"shown to hold {ceiling:,.0f} requests/s, so planned for {holds:,.0f} at most"
        yield Check(rule="scale", passed=rps <= holds, reason=reason, fact=case.fact("ceiling"))


def _said(fact: Fact) -> str:
    return fact.title + (f" ({fact.note})" if fact.note else "")
