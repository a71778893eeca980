"""From what a user writes to what is simulated: providers, senders and chance, for one configuration and one scenario.

Every name that is not there is told with what was probably meant. It must not read files: a time that was measured
comes in as `measured`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from random import Random

import msgspec

from fairlead.canonical.limits import SECOND, Limit, Unit
from fairlead.canonical.routing import Deployment, Route, Snapshot
from fairlead.canonical.tenants import VirtualKey
from fairlead.config.problems import did_you_mean
from fairlead.config.units import format_count, format_duration
from fairlead.policy.routes import Routes
from fairlead.policy.rules import Rules
from fairlead.simulator import scenario as written
from fairlead.simulator.chance import Distribution, Fixed, Gamma, Spells, log_normal
from fairlead.simulator.faults import Struck, fault
from fairlead.simulator.measures import Measures
from fairlead.simulator.providers import Behavior, Provider, Trouble
from fairlead.simulator.recorded import Times
from fairlead.simulator.traffic import HOUR, Arrival, Burst, Sender, Shape, Traffic, arrivals
from fairlead.simulator.trial import Trial

HOSTED = Behavior(first_token=log_normal(0.4, 2.0), per_token=log_normal(0.012, 0.04), refusal=log_normal(0.08, 0.4))
"""What is assumed of a provider of which the scenario says nothing."""
SELF_HOSTED = Behavior(
    first_token=log_normal(0.15, 0.8), per_token=log_normal(0.02, 0.05), refusal=log_normal(0.01, 0.05)
)
PROMPT = log_normal(600, 6000)
ANSWER = log_normal(200, 1200)
EVERYONE = "*"
"""Every provider, where faults are given."""
REGION = "region:"
Measured = Callable[[str], Mapping[str, Times]]
"""What a journal (its path) measured, by deployment. Raises ValueError where it cannot be read."""


class SettingError(Exception):
    """The scenario and the configuration do not go together. The message says what to change.

    `path` is where in the scenario; empty: the command line says it.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a simulation depends on. Two runs of one setting give the same figures."""

    snapshot: Snapshot
    scenario: written.Scenario = written.Scenario()
    faults: Mapping[str, tuple[Struck, ...]] = {}
    """By provider, deployment or EVERYONE; they take the place of the scenario's."""
    requests: int = 100_000
    rps: float = 50.0
    """Of everyone together who has no rate of their own."""
    seed: int = 1
    begins: float = 0.0
    """Unix seconds at instant 0, on a midnight (UTC)."""
    compared: tuple[Snapshot, ...] = ()
    """All configurations that the scenario is for, in one order, where it is for several: what only another one has may
    be named, and does nothing here.
    """

    @property
    def configurations(self) -> tuple[Snapshot, ...]:
        """All that the scenario is for. Who sends what is the same for each of them."""
        return self.compared or (self.snapshot,)


def trial_of(setting: Setting, measured: Measured, trace: Traffic | None = None) -> tuple[Trial, Iterable[Arrival]]:
    """The setting, ready to run; `trace` takes the place of its traffic. Raises SettingError."""
    deployments = deployments_of(setting.snapshot)
    traffic = _traffic(setting) if trace is None else trace
    providers = _providers(setting, deployments, measured)
    rng, seeds = Random(), Random(f"{setting.seed}/policy")

    def renew() -> None:
        rng.seed(seeds.getrandbits(64))
        for provider in set(providers.values()):
            provider.renew()

    trial = Trial(
        setting.snapshot,
        providers,
        traffic.senders,
        Measures(setting.requests, [sender.name for sender in traffic.senders], list(deployments)),
        rng=rng,
        begins=traffic.begins,
        renew=renew,
    )
    return trial, traffic.arrivals


def distribution(time: written.Time | written.Tokens, where: str) -> Distribution:
    """What is written of a time or a size. Raises SettingError."""
    write, of_journals = _WRITTEN[type(time)]
    given = [name for name in ("always", "median", "mean") if getattr(time, name) is not None]
    if len(given) != 1 or (time.p99 is not None) != (time.median is not None):
        raise SettingError(
            f"write exactly one of a plain value (or {{always: …}}), {{median: …, p99: …}}, "
            f"{{mean: …, shape: …}}{of_journals}",
            where,
        )
    if time.always is not None:
        return Fixed(time.always)
    if time.mean is not None:
        return Gamma(time.mean, time.shape)
    median, p99 = time.median or 0, time.p99 or 0
    if p99 < median:
        raise SettingError(f"its p99 ({write(p99)}) is below its median ({write(median)}); write a longer one", where)
    return log_normal(median, p99)


_WRITTEN: dict[type, tuple[Callable[..., str], str]] = {
    written.Time: (format_duration, " and {journal: PATH}"),
    written.Tokens: (format_count, ""),
}
"""How a value is written, and what else there may be."""


def deployments_of(snapshot: Snapshot) -> dict[str, Deployment]:
    """Every deployment of every route, by name."""
    return {choice.deployment.name: choice.deployment for route in snapshot.routes for choice in route.choices}


def names_of(snapshot: Snapshot) -> frozenset[str]:
    """What providers and deployments are called."""
    return frozenset(
        name for deployment in deployments_of(snapshot).values() for name in (deployment.name, deployment.provider)
    )


def assumed_of(deployment: Deployment) -> Behavior:
    """How a provider of which nobody says anything is assumed to behave."""
    return SELF_HOSTED if deployment.self_hosted else HOSTED


def _traffic(setting: Setting) -> Traffic:
    senders = list(_senders(setting))
    second = setting.scenario.hour * HOUR
    return Traffic(
        senders=tuple(sender for sender, _ in senders),
        arrivals=arrivals(senders, setting.seed, second),
        begins=setting.begins + second,
    )


def _providers(setting: Setting, deployments: dict[str, Deployment], measured: Measured) -> dict[str, Provider]:
    """By deployment. Deployments of one provider share its quota, its capacity and its troubles."""
    names = frozenset().union(*map(names_of, setting.configurations))
    for name in setting.scenario.providers:
        _known(name, names, "provider or deployment", f"providers.{name}")
    for name in setting.faults:
        _known(name, names | {EVERYONE}, "provider or deployment")
    troubles = list(_troubles(setting, deployments, names))
    made: dict[str, Provider] = {}
    found: dict[str, Provider] = {}
    for deployment in deployments.values():
        own = next((n for n in (deployment.name, deployment.provider) if n in setting.scenario.providers), "")
        faults = next((n for n in (deployment.name, deployment.provider, EVERYONE) if n in setting.faults), "")
        share = deployment.name if deployment.name in (own, faults) else deployment.provider
        if share not in made:
            behavior = _behavior(setting.scenario.providers.get(own), deployment, own, measured)
            if faults:
                behavior = msgspec.structs.replace(behavior, faults=setting.faults[faults])
            striking = [trouble for trouble, struck in troubles if deployment.name in struck]
            made[share] = Provider(behavior, Random(f"{setting.seed}/{share}"), striking)
        found[deployment.name] = made[share]
    return found


def _behavior(given: written.Provider | None, deployment: Deployment, where: str, measured: Measured) -> Behavior:
    base = assumed_of(deployment)
    if given is None:
        return base

    def time(name: str) -> Distribution:
        told: written.Time | None = getattr(given, name)
        place = f"providers.{where}.{name}"
        if told is None:
            return getattr(base, name)  # type: ignore[no-any-return]
        if told.journal is None:
            return distribution(told, place)
        return _measured(told.journal, deployment.name, name, place, measured)

    return Behavior(
        first_token=time("first_token"),
        per_token=time("per_token"),
        refusal=time("refusal"),
        faults=given.faults,
        quota=tuple(_quota(given.quota)) if given.quota else (),
        capacity=given.capacity,
        queue=given.queue,
    )


def _measured(journal: str, deployment: str, name: str, place: str, measured: Measured) -> Distribution:
    try:
        known = measured(journal)
    except ValueError as error:
        raise SettingError(str(error), place) from None
    if deployment not in known:
        hint = did_you_mean(deployment, known) or f"; it has {', '.join(sorted(known)) or 'no attempts at all'}"
        raise SettingError(f"{journal} has no attempt on {deployment!r}{hint}", place)
    time: Distribution | None = getattr(known[deployment], name)
    if time is None:
        message = f"no attempt on {deployment!r} in {journal} tells its {name}; write another time"
        raise SettingError(message, place)
    return time


def _quota(quota: written.Quota) -> Iterator[Limit]:
    units: tuple[tuple[Unit, int | None], ...] = (("requests", quota.requests), ("tokens", quota.tokens))
    for unit, amount in units:
        if amount is not None:
            yield Limit(unit=unit, algorithm="token_bucket", limit=amount, per=int(quota.per * SECOND))


def _troubles(
    setting: Setting, deployments: dict[str, Deployment], names: frozenset[str]
) -> Iterator[tuple[Trouble, set[str]]]:
    """Each trouble, with the deployments that it strikes together."""
    everywhere = [one for snapshot in setting.configurations for one in deployments_of(snapshot).values()]
    regions = {REGION + one.region for one in everywhere if one.region}
    for number, outage in enumerate(setting.scenario.outages):
        for name in outage.of:
            _known(name, names | regions, "provider, deployment or region", f"outages[{number}].of")
        try:
            struck = Struck(outage.fault, fault(outage.fault), outage.share, outage.times)
        except ValueError as error:
            raise SettingError(str(error), f"outages[{number}].fault") from None
        hit = {
            deployment.name
            for deployment in deployments.values()
            if {deployment.name, deployment.provider, f"{REGION}{deployment.region}"} & set(outage.of)
        }
        spells = Spells(outage.every, outage.lasting, Random(f"{setting.seed}/outage/{number}"))
        yield Trouble(struck, spells), hit


def _senders(setting: Setting) -> Iterator[tuple[Sender, Shape]]:
    """Everyone who sends requests: as the scenario says, or else every tenant, or else every key, alike."""
    loads = setting.scenario.traffic or dict.fromkeys(_everyone(setting.configurations), written.Load())
    without = sum(load.rps is None for load in loads.values())
    for name, load in loads.items():
        where = f"traffic.{name}"
        _check_owner(setting.configurations, name, load)
        rate = setting.rps / without if load.rps is None else load.rps
        yield (
            Sender(
                name=name,
                key=_key(setting.snapshot, name, load),
                models=tuple(_models(setting.configurations, name, load)),
                prompt=PROMPT if load.prompt is None else distribution(load.prompt, f"{where}.prompt"),
                answer=ANSWER if load.answer is None else distribution(load.answer, f"{where}.answer"),
                max_tokens=load.max_tokens,
                stream=load.stream,
                users=load.user or 0,
            ),
            Shape(
                rate=rate,
                low=load.day.low if load.day else 1.0,
                peak=load.day.peak * HOUR if load.day else 0.0,
                burst=Burst(calm=load.bursts.every, lasting=load.bursts.lasting, times=load.bursts.times)
                if load.bursts
                else None,
            ),
        )


def _everyone(configurations: Sequence[Snapshot]) -> list[str]:
    """Every tenant of any of them, or else every key."""
    tenants = dict.fromkeys(name for one in configurations for name in one.tenants)
    return list(tenants or dict.fromkeys(name for one in configurations for name in _keys(one))) or ["everyone"]


def _keys(snapshot: Snapshot) -> dict[str, VirtualKey]:
    return {key.name or key.id: key for key in snapshot.keys.values()}


def _check_owner(configurations: Sequence[Snapshot], name: str, load: written.Load) -> None:
    """Whose requests a load's are must be in one of the configurations at least."""
    if load.key is not None:
        _known(load.key, [key for one in configurations for key in _keys(one)], "key", f"traffic.{name}.key")
    if load.tenant is not None:
        tenants = [tenant for one in configurations for tenant in one.tenants]
        _known(load.tenant, tenants, "tenant", f"traffic.{name}.tenant")


def _key(snapshot: Snapshot, name: str, load: written.Load) -> VirtualKey:
    """The key that a load's requests come with; a tenant without one in the file has those made at run time."""
    keys = _keys(snapshot)
    called = load.key or ("" if load.tenant else name)
    if called in keys:
        return keys[called]
    tenant = load.tenant or (name if name in snapshot.tenants else "")
    own = next((key for key in keys.values() if tenant and key.tenant == tenant), None)
    if own is not None:
        return own
    tier = snapshot.tenants[tenant].tier if tenant in snapshot.tenants else ""
    return VirtualKey(id=name, name=name, tenant=tenant, tier=tier)


def _models(configurations: Sequence[Snapshot], name: str, load: written.Load) -> Iterable[str]:
    """What is asked for: as the load says, or every model with a route of its own that its key may use."""
    where = f"traffic.{name}"
    if load.model:
        _check_models(configurations, load.model, f"{where}.model")
        return load.model
    plain = [(one, route) for one in configurations for route in one.routes if not route.model.endswith("*")]
    if not plain:
        raise SettingError(
            "every route has a wildcard; say with `model` in a scenario's traffic what is asked for", where
        )
    allowed = dict.fromkeys(route.model for one, route in plain if _may_use(one, _key(one, name, load), route))
    if not allowed:
        raise SettingError(
            "its key may use none of the routes; say with `model` in a scenario's traffic what is asked for", where
        )
    return allowed


def _check_models(configurations: Sequence[Snapshot], models: Iterable[str], where: str) -> None:
    """Each model must have a route in one of the configurations at least."""
    routes = [Routes(one.routes, one.facts) for one in configurations]
    for model in models:
        if all(one.find(model) is None for one in routes):
            _known(model, [route.model for one in configurations for route in one.routes], "route for the model", where)


def _may_use(snapshot: Snapshot, key: VirtualKey, route: Route) -> bool:
    rules = Rules(tiers=snapshot.tiers, tenants=snapshot.tenants, scoped=snapshot.scoped)
    return rules.may_use(key, route.model, route)


def _known(name: str, names: Iterable[str], what: str, path: str = "") -> None:
    known = sorted(set(names))
    if name not in known:
        hint = did_you_mean(name, known) or (f"; known here: {', '.join(known)}" if known else ", which has none")
        raise SettingError(f"there is no {what} {name!r} in the configuration{hint}", path)
