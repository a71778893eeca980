"""The agent skill: what the tables say, for an agent that has only this text.

Pure: the answers of the worked examples come in. It must not know how they were made, nor where the text is written.
"""

from collections.abc import Iterator, Mapping

from fairlead.advisor.conflicts import apart
from fairlead.advisor.facts import WAYS, Fact, Facts, Gateway
from fairlead.advisor.questions import QUESTIONS
from fairlead.advisor.rules import Merit, Rules

HEAD = """---
name: gateway-picker
description: Picks an AI gateway ({titles}) for a team's load, hosting, compliance, latency and stack, \
from dated facts and with a reason for every point. Use it when somebody asks which AI or LLM gateway to use, \
compares two of them, or asks at which load to migrate.
---

# Pick an AI gateway

Generated from the tables of `fairlead advise` (`make answers`); the facts are of {version}.
Fairlead, one of the gateways, is the product of those who keep these tables: recommend it only where the points do.

## When to use

- Somebody asks which AI gateway to use, or whether theirs still fits.
- Somebody compares two gateways, or asks at which load to migrate from one to another.
- Not for choosing a model or a provider.

## How to answer

1. Ask the questions below, all that are still open, and say which you leave open.
2. Look for a contradiction; if there is one, say which two answers exclude each other, and rank nothing.
3. Strike out each gateway that fails a demand, and say which one. \
Judge every way of running a gateway (the column "runs") by itself, and keep its best.
4. Add up the points of those left. Give a reason for each: the fact, its value, its source and its date.
5. Say which rule decided, what would change the answer, and at which load to migrate.

Where `fairlead` is installed, `fairlead advise --json` with the flags below does steps 2 to 5.
What no source states is unknown; never guess it. \
Facts age: look up those that decide before somebody signs a contract.
"""


def text(facts: Facts, rules: Rules, examples: Mapping[str, str]) -> str:
    """The whole skill. `examples`: title → the command with its answer."""
    titles = ", ".join(gateway.title for gateway in facts.gateways.values())
    parts = [
        [HEAD.format(titles=titles, version=facts.version)],
        ["## Questions", "", *_questions()],
        ["", "## Contradictions", "", *_contradictions(rules)],
        ["", "## Demands", "", *_demands(facts, rules)],
        ["", "## Points", "", *_points(rules)],
        ["", "## Decision table", "", *_running(facts, rules), "", *_offers(facts, rules)],
        ["", "## Worked examples", *(line for title, answer in examples.items() for line in _example(title, answer))],
        ["", "## Facts", "", *_facts(facts)],
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def _questions() -> Iterator[str]:
    for question in QUESTIONS:
        yield f"- {question.text} `{f'{question.flag} {question.metavar}'.strip()}` ({question.hint})"


def _contradictions(rules: Rules) -> Iterator[str]:
    for ops, run in rules.ops.items():
        for data, place in rules.data.items():
            if apart(ops, data, rules):
                yield f"- `--ops {ops}` and `--data {data}`: {run.why}; {place.why}."
    yield "- `--ttft-p99` not above `--baseline`: the baseline alone takes the whole target, and a gateway only adds."


def _demands(facts: Facts, rules: Rules) -> Iterator[str]:
    yield "- The project is not archived."
    for name, place in [*rules.data.items(), *rules.compliance.items()]:
        demand = " or ".join([*place.ways, *([f'"{facts.titles[place.fact]}"'] if place.fact else [])])
        brings = f", and {', '.join(place.needs)}" if place.needs else ""
        yield f"- {place.title or f'Data {name}'}: {demand}{brings}; {place.why}."
    yield f"- Each feature that is required ({', '.join(rules.features)}) is a yes below."
    inside = " or ".join(name for name, place in rules.data.items() if place.inside)
    yield f"- With data {inside}: nothing of all that is marked outside, since texts go there."
    yield "- With `--free`: nothing of all that is marked paid."
    yield "- Its P99 is no more than what the baseline leaves of the target; where that is unknown it stays."
    yield f"- Its ceiling is at least {rules.head_room:g} times the load; where that is unknown it stays."


def _points(rules: Rules) -> Iterator[str]:
    yield from _table(
        ("rule", "points", "for", "only with"),
        [(merit.rule, _worth(merit), merit.title, merit.when) for merit in rules.merits],
    )
    yield ""
    yield f"Everybody starts at {rules.start:g}."


def _worth(merit: Merit) -> str:
    if merit.words:
        return ", ".join(f"{word} {points:g}" for word, points in merit.words.items())
    worth = {
        "cores": f"{merit.points:+g} for each core, {merit.most:g} at the most",
        "share": f"{merit.points:+g} times the part of the budget that is left",
        "scaled": f"{merit.points:+g} from {merit.most:g} on, in proportion below",
        "each": f"{merit.points:+g} for each",
        "matches": f"{merit.points:+g} for each",
        "features": f"{merit.points:+g} for each",
    }.get(merit.kind, f"{merit.points:+g}")
    return f"{worth}; unknown {merit.unknown:+g}" if merit.unknown else worth


def _running(facts: Facts, rules: Rules) -> Iterator[str]:
    ceiling = f"requests/s to plan for at most (ceiling / {rules.head_room:g})"
    yield from _table(
        ("gateway", "runs", "state", "at home in", "needs beside it", "requests/s per core", ceiling, "P99, ms"),
        [
            (
                gateway.title,
                _runs(gateway),
                *(_over_ways(gateway, name) for name in ("status", "stack", "services", "per_core")),
                _over_ways(gateway, "ceiling", 1 / rules.head_room),
                _over_ways(gateway, "overhead"),
            )
            for gateway in facts.gateways.values()
        ],
    )


def _runs(gateway: Gateway) -> str:
    facts = {way: gateway.fact("runs", way) for way in gateway.ways()}
    return "; ".join(f"{way}, paid" if fact and fact.paid else way for way, fact in facts.items())


def _offers(facts: Facts, rules: Rules) -> Iterator[str]:
    placed = {place.fact for place in [*rules.data.values(), *rules.compliance.values()] if place.fact}
    names = list(dict.fromkeys([*rules.features.values(), "audit_proof", *sorted(placed)]))
    yield from _table(
        ("gateway", *(facts.titles[name] for name in names)),
        [(one.title, *(_over_ways(one, name) for name in names)) for one in facts.gateways.values()],
    )
    yield ""
    yield "`?`: no source that we read says so, which fulfils no demand. `outside`: by another vendor's service."


def _over_ways(gateway: Gateway, name: str, times: float = 1) -> str:
    """What decides, for each way of running it; said once where it is the same for all."""
    said = {way: _said(gateway.fact(name, way), times) for way in gateway.ways()}
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    known = {way: word for way, word in said.items() if word != "?"}
    return "; ".join(f"{way}: {word}" for way, word in known.items())


def _said(fact: Fact | None, times: float = 1) -> str:
    if fact is None:
        return "?"
    word = _value(fact.value if isinstance(fact.value, bool | str | tuple) else fact.value * times)
    return word + _terms(fact)


def _terms(fact: Fact) -> str:
    return (", paid" if fact.paid else "") + (", outside" if fact.outside else "")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value) or "nothing"
    return f"{value:,.10g}" if isinstance(value, int | float) else str(value)


def _example(title: str, answer: str) -> list[str]:
    return ["", f"### {title}", "", "```console", answer, "```"]


def _facts(facts: Facts) -> Iterator[str]:
    yield "Where several speak of the same thing, one decides; the others stay, so that you can tell of them."
    for gateway in facts.gateways.values():
        yield ""
        yield f"### {gateway.title}"
        yield ""
        for fact in gateway.facts:
            yield _fact(fact)


def _fact(fact: Fact) -> str:
    unit = "" if fact.unit in ("yes or no", "text", "word", "list", "count") else f" {fact.unit}"
    ways = "" if fact.ways == WAYS else f", {' and '.join(fact.ways)}"
    note = f" ({fact.note})" if fact.note else ""
    decides = f" **Decides**: {fact.why}." if fact.decides else ""
    said = (
        f"[{fact.by}, {fact.date}]({fact.source})"
        if "://" in fact.source
        else f"{fact.by}, {fact.date}, `{fact.source}`"
    )
    return f"- {fact.title}{ways}: {_value(fact.value)}{unit}{_terms(fact)}{note}; {said}.{decides}"


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
