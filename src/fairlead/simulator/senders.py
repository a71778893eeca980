"""From a setting to its traffic: who sends requests, by which key, for what and how many.

Every name that is not there is told with what was probably meant. It must not know what becomes of a request.
"""

from collections.abc import Iterator

from fairlead.canonical.routing import Snapshot
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
    snapshot = setting.snapshot
    keys = {key.name or key.id: key for key in snapshot.keys.values()}
    loads = setting.scenario.traffic or {name: written.Load() for name in snapshot.tenants or keys or ("everyone",)}
    without = sum(load.rps is None for load in loads.values())
    for name, load in loads.items():
        where = f"traffic.{name}"
        key = _key(snapshot, keys, name, load)
        rate = setting.rps / without if load.rps is None else load.rps
        yield (
            Sender(
                name=name,
                key=key,
                models=tuple(_models(snapshot, key, load, where)),
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


def _key(snapshot: Snapshot, keys: dict[str, VirtualKey], name: str, load: written.Load) -> VirtualKey:
    """The key that a load's requests come with; a tenant without one in the file has those made at run time."""
    if load.key is not None:
        known(load.key, keys, "key", f"traffic.{name}.key")
        key = keys[load.key]
        if load.tenant not in {None, key.tenant}:
            message = f"the key {load.key!r} is of the tenant {key.tenant!r}; remove `tenant` or name another key"
            raise SettingError(message, f"traffic.{name}.tenant")
        return key
    if load.tenant is not None:
        known(load.tenant, snapshot.tenants, "tenant", f"traffic.{name}.tenant")
    elif name in keys:
        return keys[name]
    tenant = load.tenant or (name if name in snapshot.tenants else "")
    own = next((key for key in keys.values() if tenant and key.tenant == tenant), None)
    return own or VirtualKey(id=name, name=name, tenant=tenant)


def _models(snapshot: Snapshot, key: VirtualKey, load: written.Load, where: str) -> Iterator[str]:
    """What is asked for: as the load says, or every model with a route of its own that its key may use."""
    if not load.model:
        plain = [route for route in snapshot.routes if not route.model.endswith("*")]
        if not plain:
            raise SettingError("every route has a wildcard; say with `model` what is asked for", where)
        rules = Rules(tiers=snapshot.tiers, tenants=snapshot.tenants, scoped=snapshot.scoped)
        allowed = [route.model for route in plain if rules.may_use(key, route.model, route)]
        if not allowed:
            raise SettingError("its key may use none of the routes; say with `model` what is asked for", where)
        yield from allowed
        return
    routes = Routes(snapshot.routes, snapshot.facts)
    for model in load.model:
        if routes.find(model) is None:
            known(model, [route.model for route in snapshot.routes], "route for the model", f"{where}.model")
        yield model
