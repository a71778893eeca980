"""From a setting to its traffic: who sends requests, by which key, for what and how many.

Every name that is not there is told with what was probably meant. It must not know what becomes of a request.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from fairlead.canonical.routing import Route, Snapshot
from fairlead.canonical.tenants import VirtualKey
from fairlead.policy.routes import Routes
from fairlead.policy.rules import Rules
from fairlead.simulator import scenario as written
from fairlead.simulator.setting import ANSWER, PROMPT, Setting, SettingError, distribution, known
from fairlead.simulator.traffic import HOUR, Burst, Sender, Shape, Traffic, arrivals


def traffic_of(setting: Setting) -> Traffic:
    """The setting's own traffic. Raises SettingError."""
    senders = list(_senders(setting))
    if not any(shape.rate for _, shape in senders):
        raise SettingError("every rate is 0, so nothing would be simulated; give one of them an `rps`", "traffic")
    second = setting.scenario.hour * HOUR
    return Traffic(
        senders=tuple(sender for sender, _ in senders),
        arrivals=arrivals(senders, setting.seed, second),
        begins=setting.begins + second,
    )


def _senders(setting: Setting) -> Iterator[tuple[Sender, Shape]]:
    """Everyone who sends requests: as the scenario says, or else every tenant, or else every key, alike."""
    loads = loads_of(setting)
    without = sum(load.rps is None for load in loads.values())
    for name, load in loads.items():
        where = f"traffic.{name}"
        _check_owner(setting.configurations, name, load)
        _check_shape(where, load)
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


def loads_of(setting: Setting) -> Mapping[str, written.Load]:
    """As the scenario says, or else of every tenant of any configuration, or else of every key."""
    if setting.scenario.traffic:
        return setting.scenario.traffic
    tenants = {name: written.Load(tenant=name) for one in setting.configurations for name in one.tenants}
    keys = {name: written.Load(key=name) for one in setting.configurations for name in _keys(one)}
    return tenants or keys or {"everyone": written.Load()}


def owners_of(configurations: Iterable[Snapshot]) -> frozenset[str]:
    """What tenants and keys are called, of which a load may have its name."""
    return frozenset(name for one in configurations for names in (one.tenants, _keys(one)) for name in names)


def _keys(snapshot: Snapshot) -> dict[str, VirtualKey]:
    return {key.name or key.id: key for key in snapshot.keys.values()}


def _check_owner(configurations: Sequence[Snapshot], name: str, load: written.Load) -> None:
    """Whose requests a load's are must be in one of the configurations at least, and of one owner."""
    if load.key is not None:
        known(load.key, [key for one in configurations for key in _keys(one)], "key", f"traffic.{name}.key")
    if load.tenant is not None:
        tenants = [tenant for one in configurations for tenant in one.tenants]
        known(load.tenant, tenants, "tenant", f"traffic.{name}.tenant")
    owners = {keys[load.key].tenant for keys in map(_keys, configurations) if load.key in keys}
    if load.tenant is not None and owners and load.tenant not in owners:
        message = f"the key {load.key!r} is of the tenant {owners.pop()!r}; remove `tenant` or name another key"
        raise SettingError(message, f"traffic.{name}.tenant")


def _check_shape(where: str, load: written.Load) -> None:
    """Whatever is said of when requests come must make a difference."""
    if load.day is not None and load.day.low == 1.0:
        message = "a day whose lowest rate is the mean has no high and low; write less than 1, or remove `day`"
        raise SettingError(message, f"{where}.day.low")
    if load.bursts is not None and load.bursts.times == 1.0:
        raise SettingError(
            "once the traffic is no burst; write another number, or remove `bursts`", f"{where}.bursts.times"
        )


def _key(snapshot: Snapshot, name: str, load: written.Load) -> VirtualKey:
    """The key that a load's requests come with; a tenant without one in the file has those made at run time."""
    keys = _keys(snapshot)
    called = load.key or ("" if load.tenant else name)
    if called in keys:
        return keys[called]
    tenant = load.tenant or (name if name in snapshot.tenants else "")
    own = next((key for key in keys.values() if tenant and key.tenant == tenant), None)
    return own or VirtualKey(id=name, name=name, tenant=tenant)


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
            known(model, [route.model for one in configurations for route in one.routes], "route for the model", where)


def _may_use(snapshot: Snapshot, key: VirtualKey, route: Route) -> bool:
    rules = Rules(tiers=snapshot.tiers, tenants=snapshot.tenants, scoped=snapshot.scoped)
    return rules.may_use(key, route.model, route)
