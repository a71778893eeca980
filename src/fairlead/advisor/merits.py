"""How facts become points. Every point has a reason, and every reason its fact.

It must not know what is asked beyond what a rule's `when` names, nor how points make a ranking.
"""

from collections.abc import Callable, Iterator
from math import ceil

import msgspec

from fairlead.advisor.demands import Case, Check, charged, paid
from fairlead.advisor.facts import Fact, Value
from fairlead.advisor.needs import spoken
from fairlead.advisor.rules import Merit


class Reason(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Points and what they are for. Without a fact: no source says."""

    rule: str
    points: float
    text: str
    fact: str = ""
    value: Value = ""
    unit: str = ""
    source: str = ""
    date: str = ""
    by: str = ""


def reason(rule: str, points: float, text: str, fact: Fact | None) -> Reason:
    """A reason that rests on a fact."""
    if fact is None:
        return Reason(rule=rule, points=points, text=text)
    return Reason(
        rule=rule,
        points=hundredths(points),
        text=text,
        fact=fact.name,
        value=fact.value,
        unit=fact.unit,
        source=fact.source,
        date=fact.date.isoformat(),
        by=fact.by,
    )


def hundredths(points: float) -> float:
    """The points as they are counted and shown, so that whoever adds up what is shown finds the same order."""
    return round(points, 2)


def weigh(case: Case, checks: list[Check]) -> list[Reason]:
    """All points of a case that has passed its checks; their sum is its score."""
    start = reason("start", case.rules.start, "every gateway begins here", None)
    merits = [merit for merit in case.rules.merits if not merit.when or _asked(case)[merit.when]]
    return [start, *(found for merit in merits for found in KINDS[merit.kind](merit, case, checks))]


def _asked(case: Case) -> dict[str, bool]:
    needs = case.needs
    return {
        "stack": bool(needs.stack),
        "rps": needs.rps is not None,
        "budget": needs.budget is not None,
        "audit": "audit" in needs.features(case.rules),
        "compliance": bool(needs.compliance),
    }


def _offers(merit: Merit, case: Case, _: list[Check]) -> Iterator[Reason]:
    fact = case.fact(merit.fact)
    if fact is not None and fact.value:
        yield reason(merit.rule, merit.points, noted(merit.title, fact), fact)


def _matches(merit: Merit, case: Case, _: list[Check]) -> Iterator[Reason]:
    fact = case.fact(merit.fact)
    for part in _listed(fact):
        if part in case.needs.stack:
            yield reason(merit.rule, merit.points, f"at home in {part}", fact)


def _each(merit: Merit, case: Case, _: list[Check]) -> Iterator[Reason]:
    fact = case.fact(merit.fact)
    for service in _listed(fact):
        if service not in case.needs.stack:
            yield reason(merit.rule, merit.points, f"needs {service} beside it", fact)


def _word(merit: Merit, case: Case, _: list[Check]) -> Iterator[Reason]:
    fact = case.fact(merit.fact)
    points = merit.words.get(str(fact.value), 0) if fact is not None else 0
    if fact is not None and points:
        yield reason(merit.rule, points, noted(str(fact.value), fact), fact)


def _scaled(merit: Merit, case: Case, _: list[Check]) -> Iterator[Reason]:
    count = case.number(merit.fact)
    if count is not None:
        share = min(1.0, count / merit.most)
        yield reason(merit.rule, merit.points * share, f"{count:g} {merit.fact}", case.fact(merit.fact))


def _licence(merit: Merit, _: Case, checks: list[Check]) -> Iterator[Reason]:
    costs = paid(checks)
    if costs:
        yield reason(merit.rule, merit.points, f"a licence or a paid plan for {charged(costs)}", costs[0])


def _features(merit: Merit, case: Case, _: list[Check]) -> Iterator[Reason]:
    for feature, name in case.rules.features.items():
        fact = case.fact(name)
        asked = feature in case.needs.features(case.rules)
        if fact is not None and fact.value and not fact.paid and not asked and case.allows(fact):
            yield reason(merit.rule, merit.points, f"also has {fact.title}", fact)


def _cores(merit: Merit, case: Case, _: list[Check]) -> Iterator[Reason]:
    carries = case.number(merit.fact)
    if case.way == "managed":
        return
    if carries is None:
        yield reason(merit.rule, merit.unknown, "no source says what a core carries: measure it first", None)
        return
    cores = ceil((case.needs.rps or 0) * case.rules.head_room / carries)
    text = f"{cores} core{'' if cores == 1 else 's'} for {case.rules.head_room:g} times the load"
    yield reason(merit.rule, max(merit.most, merit.points * cores), text, case.fact(merit.fact))


def _shown(merit: Merit, case: Case, _: list[Check]) -> Iterator[Reason]:
    if case.number(merit.fact) is None:
        text = f"no source shows that it holds {case.needs.rps:,.10g} requests/s: measure it first"
        yield reason(merit.rule, merit.unknown, text, None)


def _share(merit: Merit, case: Case, _: list[Check]) -> Iterator[Reason]:
    adds, budget = case.number(merit.fact), case.needs.budget
    if adds is None:
        yield reason(merit.rule, merit.unknown, "no source says what it adds: measure it first", None)
    elif budget:
        text = f"adds {spoken(adds)} ms of the {spoken(budget)} that are left"
        yield reason(merit.rule, merit.points * (1 - adds / budget), text, case.fact(merit.fact))


def _listed(fact: Fact | None) -> tuple[str, ...]:
    return fact.value if fact is not None and isinstance(fact.value, tuple) else ()


def noted(text: str, fact: Fact) -> str:
    """The text with what the fact's note adds."""
    return f"{text} ({fact.note})" if fact.note else text


KINDS: dict[str, Callable[[Merit, Case, list[Check]], Iterator[Reason]]] = {
    "offers": _offers,
    "matches": _matches,
    "each": _each,
    "word": _word,
    "scaled": _scaled,
    "licence": _licence,
    "features": _features,
    "cores": _cores,
    "shown": _shown,
    "share": _share,
}
