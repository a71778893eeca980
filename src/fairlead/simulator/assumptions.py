"""What is assumed because nobody says it, in sentences: neither a scenario nor a journal. It must not know how anything
is played.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import exp

import msgspec

from fairlead.canonical.routing import Deployment, Snapshot
from fairlead.config.problems import did_you_mean
from fairlead.policy.demands import ONE
from fairlead.policy.routes import Routes
from fairlead.policy.rules import every_limit
from fairlead.simulator.chance import Z99, Distribution, LogNormal
from fairlead.simulator.outages import struck_by_outages
from fairlead.simulator.senders import loads_of, owners_of, traffic_of
from fairlead.simulator.setting import ANSWER, PROMPT, Setting, assumed_of, deployments_of
from fairlead.simulator.trace import Trace, known_keys, named
from fairlead.simulator.upstreams import faults_of, said

UNSAID_LENGTH = "no request says how long its answer may be, so limits and budgets hold the longest that it can be"
NAMED = 5
"""Names that a sentence has before it tells how many more there are."""
TIMES = {"first_token": "to the first token", "per_token": "for each further one", "refusal": "to an error"}
BOUNDS = {"quota": "no rate limit", "capacity": "no bound on the requests worked on at once"}
Silences = Callable[[Deployment], tuple[str, ...]]
"""The keys of which nothing is said of a deployment."""


def of_settings(named: Iterable[tuple[str, Setting]], trace: Trace | None = None) -> list[str]:
    """What simulations of these settings assume, each sentence once: what all of them do, then what only some do, with
    their names. The requests are those of `trace`, if any.
    """
    found = [(name, list(_of_setting(setting, trace))) for name, setting in named]
    common = set.intersection(*(set(sentences) for _, sentences in found))
    shared = [sentence for sentence in found[0][1] if sentence in common]
    own = [f"{name}: {sentence}" for name, sentences in found for sentence in sentences if sentence not in common]
    return list(dict.fromkeys([*shared, *own]))


def _of_setting(setting: Setting, trace: Trace | None) -> Iterator[str]:
    deployments = list(_deployments(setting, trace))
    for kind, of_kind in _by_kind(deployments):
        for silent, names in _grouped(of_kind, lambda one: _unsaid(setting, one, TIMES)):
            assumed = assumed_of(of_kind[0])
            times = [f"{_spread(getattr(assumed, key), 1000, ' ms')} {TIMES[key]}" for key in silent]
            yield f"{listed(names)} as {kind} providers are taken to be: {', '.join(times)}"
    struck = struck_by_outages(setting)
    never = [one.name for one in deployments if one.name not in struck and not faults_of(setting, one)]
    if never:
        yield f"nothing goes wrong at {listed(never)}"
    for silent, names in _grouped(deployments, lambda one: _unsaid(setting, one, BOUNDS)):
        yield f"there is {' and '.join(BOUNDS[key] for key in silent)} at {listed(names)}"
    if trace is not None:
        yield from _of_requests(trace, setting.snapshot)
        return
    yield from _of_traffic(setting)
    if any(limit.unit == "money" for limit in every_limit(setting.snapshot)):
        yield "budgets begin unspent"


def _deployments(setting: Setting, trace: Trace | None) -> Iterable[Deployment]:
    """Those of the routes of which anything is asked for; of recorded requests that may be any."""
    if trace is not None:
        return deployments_of(setting.snapshot).values()
    unasked = _unasked(setting)
    asked = tuple(route for route in setting.snapshot.routes if route.model not in unasked)
    return deployments_of(msgspec.structs.replace(setting.snapshot, routes=asked)).values()


def _by_kind(deployments: Iterable[Deployment]) -> Iterator[tuple[str, list[Deployment]]]:
    """Those that are hosted and those that are not, as far as there are any."""
    for kind, self_hosted in (("hosted", False), ("self-hosted", True)):
        found = [one for one in deployments if one.self_hosted is self_hosted]
        if found:
            yield kind, found


def _unsaid(setting: Setting, deployment: Deployment, keys: Iterable[str]) -> tuple[str, ...]:
    """The keys under which the scenario says nothing of a deployment."""
    return tuple(key for key in keys if said(setting, deployment, key)[1] is None)


def _grouped(deployments: Iterable[Deployment], silences: Silences) -> list[tuple[tuple[str, ...], list[str]]]:
    """The names of those of which the same is not said, with what; without those of which all is."""
    found: dict[tuple[str, ...], list[str]] = {}
    for one in deployments:
        if silent := silences(one):
            found.setdefault(silent, []).append(one.name)
    return list(found.items())


def _of_traffic(setting: Setting) -> Iterator[str]:
    loads = list(loads_of(setting).values())
    if not setting.scenario.traffic:
        yield "every tenant, or else every key, sends as many requests, for each route in turn"
    yield from _of_nobodys(setting)
    yield from _of_strangers(_senders_tenants(setting), setting.snapshot)
    if unasked := _unasked(setting):
        yield f"nobody asks for what the routes {listed(unasked)} serve: their deployments are not tried for it"
    if any(load.prompt is None for load in loads):
        yield f"prompts have {_spread(PROMPT)} tokens"
    if any(load.answer is None for load in loads):
        yield f"answers have {_spread(ANSWER)} tokens"
    counted = {limit.unit for limit in every_limit(setting.snapshot)} - ONE.keys()
    if counted and all(load.max_tokens is None for load in loads):
        yield UNSAID_LENGTH


def _senders_tenants(setting: Setting) -> set[str]:
    """The tenants, of any configuration, that loads are of by themselves, and not by their key."""
    tenants = {tenant for one in setting.configurations for tenant in one.tenants}
    return tenants & {load.tenant or name for name, load in loads_of(setting).items() if load.key is None}


def _of_nobodys(setting: Setting) -> Iterator[str]:
    """Loads whose name says no more of whose they are, where there are tenants or keys."""
    owners = owners_of(setting.configurations)
    for name, load in setting.scenario.traffic.items():
        if owners and load.tenant is None and load.key is None and name not in owners:
            hint = did_you_mean(name, owners)
            yield f"{name} is neither a tenant nor a key, so no limit of one binds its requests{hint}"


def _unasked(setting: Setting) -> list[str]:
    """Routes of which nobody asks for anything."""
    routes = Routes(setting.snapshot.routes, setting.snapshot.facts)
    asked = {model for sender in traffic_of(setting).senders for model in sender.models}
    found = {route.model for route in map(routes.find, asked) if route is not None}
    return [route.model for route in setting.snapshot.routes if route.model not in found]


def _spread(given: Distribution, factor: float = 1, unit: str = "") -> str:
    """A log-normal distribution by the two quantiles that it was made of."""
    if not isinstance(given, LogNormal):
        return f"{given.mean * factor:.3g}{unit}"
    p99 = given.median * exp(given.sigma * Z99)
    return f"{given.median * factor:.3g}{unit} (median; p99 {p99 * factor:.4g}{unit})"


def of_replay(trace: Trace, snapshot: Snapshot) -> Iterator[str]:
    """What a replay of the trace's requests under this configuration assumes."""
    yield "a provider answers an attempt as it answered the recorded one nearest in time, however many attempts it gets"
    yield from _of_histories(trace, snapshot)
    yield from _of_requests(trace, snapshot)


def _of_requests(trace: Trace, snapshot: Snapshot) -> Iterator[str]:
    """What is assumed of recorded requests, whoever answers them."""
    yield "an answer has as many tokens as it had, whoever gives it" + (
        ", and as many of its prompt's tokens are cached" if trace.cached else ""
    )
    yield "what a request needs of a deployment (tools, images, several answers, its session) is not in its record"
    yield from _of_callers(trace, snapshot)
    if trace.unknown:
        yield (
            f"{_requests(trace.unknown)} had no whole answer; where one is given now, it is as long as the median,"
            f" {trace.answer} tokens, and so is a prompt of which nothing is known, {trace.prompt} tokens"
        )
    if trace.gone:
        yield f"the clients that left {_requests(trace.gone)} before the end stay for it"


def _of_histories(trace: Trace, snapshot: Snapshot) -> Iterator[str]:
    deployments = deployments_of(snapshot).values()
    unknown = [one for one in deployments if one.model != "*" and one.name not in trace.histories]
    for kind, of_kind in _by_kind(unknown):
        names = listed([one.name for one in of_kind])
        yield f"of {names} the journal tells nothing: taken for {kind} providers that never fail"
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
        yield (
            f"the configuration has no key {listed(unknown)}, or its secret is not set here:"
            " only the limits of its tenant and tags bind its requests"
        )
    yield from _of_strangers((tenant for tenant, _ in trace.callers if tenant), snapshot)
    units = {limit.unit for limit in every_limit(snapshot)}
    if "money" in units:
        yield "budgets begin unspent at the first request"
    if units - ONE.keys():
        yield UNSAID_LENGTH


def _of_strangers(tenants: Iterable[str], snapshot: Snapshot) -> Iterator[str]:
    """Senders' tenants that this configuration does not have."""
    strangers = sorted({tenant for tenant in tenants if tenant not in snapshot.tenants})
    if strangers:
        yield f"no tenant {listed(strangers)} is configured: without limits"


def _requests(count: int) -> str:
    return f"{count} request{'s' if count > 1 else ''}"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: all of them, or the first and how many more."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
