"""What is assumed because nobody says it, in sentences: neither a scenario nor a journal. It must not know how anything
is played.
"""

from collections.abc import Iterator, Sequence
from math import exp

from fairlead.canonical.routing import Snapshot
from fairlead.policy.rules import every_limit
from fairlead.simulator.chance import Z99, Distribution, LogNormal
from fairlead.simulator.setting import ANSWER, HOSTED, PROMPT, SELF_HOSTED, Setting, deployments_of
from fairlead.simulator.trace import Trace, known_keys, named

NAMED = 5
"""Names that a sentence has before it tells how many more there are."""


def of_setting(setting: Setting, *, recorded: bool = False) -> Iterator[str]:
    """What a simulation of this setting assumes; `recorded` requests are those of a journal."""
    told = setting.scenario.providers.keys()
    silent = [one for one in deployments_of(setting.snapshot).values() if not {one.name, one.provider} & set(told)]
    for kind, behavior in (("hosted", HOSTED), ("self-hosted", SELF_HOSTED)):
        names = [one.name for one in silent if one.self_hosted is (kind == "self-hosted")]
        if names:
            yield (
                f"{listed(names)} as {kind} providers are taken to be: {_spread(behavior.first_token, 1000, ' ms')} to"
                f" the first token, {_spread(behavior.per_token, 1000, ' ms')} for each further one"
            )
    if not recorded:
        yield from _of_traffic(setting)
    if any(limit.unit == "money" for limit in every_limit(setting.snapshot)):
        yield "budgets begin unspent"


def _of_traffic(setting: Setting) -> Iterator[str]:
    loads = setting.scenario.traffic
    if not loads:
        yield "every tenant, or else every key, sends as many requests, for each route in turn"
    if not loads or any(load.prompt is None for load in loads.values()):
        yield f"prompts have {_spread(PROMPT)} tokens"
    if not loads or any(load.answer is None for load in loads.values()):
        yield f"answers have {_spread(ANSWER)} tokens"


def _spread(given: Distribution, factor: float = 1, unit: str = "") -> str:
    """A log-normal distribution by the two quantiles that it was made of."""
    if not isinstance(given, LogNormal):
        return f"{given.mean * factor:.3g}{unit}"
    p99 = given.median * exp(given.sigma * Z99)
    return f"{given.median * factor:.3g}{unit} (median; p99 {p99 * factor:.4g}{unit})"


def of_replay(trace: Trace, snapshot: Snapshot) -> Iterator[str]:
    """What a replay of the trace's requests under this configuration assumes."""
    yield "a provider answers an attempt as it answered the recorded one nearest in time, however many attempts it gets"
    yield "an answer has as many tokens as it had, whoever gives it" + (
        ", and as many of its prompt's tokens are cached" if trace.cached else ""
    )
    yield from _of_providers(trace, snapshot)
    yield from _of_callers(trace, snapshot)
    if trace.unknown:
        yield (
            f"{_requests(trace.unknown)} without a whole answer would have had the median one:"
            f" {trace.prompt} tokens of prompt where that is not known either, {trace.answer} of answer"
        )
    if trace.gone:
        yield f"the clients that left {_requests(trace.gone)} before the end stay for it"


def _of_providers(trace: Trace, snapshot: Snapshot) -> Iterator[str]:
    deployments = deployments_of(snapshot).values()
    unknown = [one for one in deployments if one.model != "*" and one.name not in trace.histories]
    for kind, names in (
        ("hosted", [one.name for one in unknown if not one.self_hosted]),
        ("self-hosted", [one.name for one in unknown if one.self_hosted]),
    ):
        if names:
            yield f"of {listed(names)} the journal tells nothing: taken for {kind} providers that never fail"
    for one in deployments:
        if one.model == "*":
            yield f"models of {one.name} that the journal tells nothing of are taken for ones that never fail"
    for name, history in trace.histories.items():
        if history.is_sample:
            yield f"of {history.count} attempts on {name} a fair sample stands for all"


def _of_callers(trace: Trace, snapshot: Snapshot) -> Iterator[str]:
    known = known_keys(snapshot)
    unknown = [named(who) for who in trace.callers if who[1] and who[1] not in known]
    if unknown:
        yield f"no key {listed(unknown)} is configured with a value: only the limits of its tenant and tags bind it"
    strangers = sorted({tenant for tenant, _ in trace.callers if tenant and tenant not in snapshot.tenants})
    if strangers:
        yield f"no tenant {listed(strangers)} is configured: without limits"
    units = {limit.unit for limit in every_limit(snapshot)}
    if "money" in units:
        yield "budgets begin unspent at the first request"
    if units - {"requests", "concurrency"}:
        yield "no request says how long its answer may be, so limits and budgets hold the longest that it can be"


def _requests(count: int) -> str:
    return f"{count} request{'s' if count > 1 else ''}"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: all of them, or the first and how many more."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
