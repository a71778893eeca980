"""From a setting to its synthetic providers: how each deployment behaves, and what it shares with others.

Every name that is not there is told with what was probably meant, and what says nothing is refused. It must not read
files: a time that was measured comes in as `measured`.
"""

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

from fairlead.canonical.limits import SECOND, Limit, Unit
from fairlead.canonical.routing import Deployment
from fairlead.config.problems import did_you_mean
from fairlead.simulator import scenario as written
from fairlead.simulator.chance import Distribution
from fairlead.simulator.faults import Struck, add_up
from fairlead.simulator.outages import strikes
from fairlead.simulator.providers import Behavior, Provider
from fairlead.simulator.recorded import Times
from fairlead.simulator.setting import (
    EVERYONE,
    Setting,
    SettingError,
    assumed_of,
    deployments_of,
    distribution,
    every_name,
    known,
)
from fairlead.simulator.supply import Places, Quota

Measured = Callable[[str], Mapping[str, Times]]
"""What a journal (its path) measured, by deployment. Raises ValueError where it cannot be read."""


def providers_of(setting: Setting, measured: Measured) -> dict[str, Provider]:
    """By deployment. Those of one provider share the quota and the places that are said of it, and nothing else: how
    many may wait in its line is each one's own.

    Raises SettingError.
    """
    _check(setting)
    struck = strikes(setting)
    quotas: dict[str, Quota] = {}
    places: dict[str, Places] = {}
    found: dict[str, Provider] = {}
    for deployment in deployments_of(setting.snapshot).values():
        limited, quota = said(setting, deployment, "quota")
        bounded, capacity = said(setting, deployment, "capacity")
        if quota is not None:
            quotas.setdefault(limited, Quota(tuple(_limits(quota))))
        if capacity is not None:
            places.setdefault(bounded, Places(capacity))
        found[deployment.name] = Provider(
            _behavior(setting, deployment, measured),
            Random(f"{setting.seed}/{deployment.name}"),
            [one.trouble for one in struck if deployment.name in one.hit],
            quota=quotas.get(limited),
            places=places.get(bounded),
            queue=said(setting, deployment, "queue")[1],
        )
    return found


def said(setting: Setting, deployment: Deployment, key: str) -> tuple[str, Any]:
    """What the scenario says of a deployment under a key of its `providers`, and under whose name: the deployment's
    own, or else its provider's. None: it says nothing.
    """
    for name in (deployment.name, deployment.provider):
        value = getattr(setting.scenario.providers.get(name), key, None)
        if value is not None:
            return name, value
    return "", None


def faults_of(setting: Setting, deployment: Deployment) -> tuple[Struck, ...]:
    """What the deployment does wrong, outages aside."""
    names = (deployment.name, deployment.provider, EVERYONE)
    given = next((setting.faults[name] for name in names if name in setting.faults), None)
    return (said(setting, deployment, "faults")[1] or ()) if given is None else given


def _check(setting: Setting) -> None:
    """Names that are not there, and values that would change nothing."""
    names = every_name(setting)
    for name, given in setting.scenario.providers.items():
        path = f"providers.{name}"
        known(name, names, "provider or deployment", path)
        if given == written.Provider():
            raise SettingError(f"it says nothing of {name!r}; write what is not as usual, or remove it", path)
        if given.queue is not None and not _is_bounded(setting, name):
            raise SettingError(
                "without a capacity nobody has to wait; add `capacity`, or remove `queue`", f"{path}.queue"
            )
        if given.quota is not None and given.quota.requests is None and given.quota.tokens is None:
            raise SettingError("it limits nothing; write `requests`, `tokens` or both", f"{path}.quota")
    for name, struck in setting.faults.items():
        known(name, names | {EVERYONE}, "provider or deployment")
        try:
            add_up(struck, f"the faults of {name!r}")
        except ValueError as error:
            raise SettingError(str(error)) from None


def _is_bounded(setting: Setting, name: str) -> bool:
    """Whether anything of this name has a capacity, in any configuration that the scenario is for."""
    found = [one for snapshot in setting.configurations for one in deployments_of(snapshot).values()]
    return any(said(setting, one, "capacity")[1] is not None for one in found if name in {one.name, one.provider})


def _behavior(setting: Setting, deployment: Deployment, measured: Measured) -> Behavior:
    assumed = assumed_of(deployment)

    def time(key: str) -> Distribution:
        name, told = said(setting, deployment, key)
        place = f"providers.{name}.{key}"
        if told is None:
            return getattr(assumed, key)  # type: ignore[no-any-return]
        if told.journal is None:
            return distribution(told, place)
        if told != written.Time(journal=told.journal):
            raise SettingError("a journal tells all of it; remove the other values, or `journal`", place)
        try:
            return _measured(measured(told.journal), deployment.name, key, told.journal)
        except ValueError as error:
            raise SettingError(str(error), place) from None

    return Behavior(
        first_token=time("first_token"),
        per_token=time("per_token"),
        refusal=time("refusal"),
        faults=faults_of(setting, deployment),
    )


def _measured(times: Mapping[str, Times], deployment: str, key: str, journal: str) -> Distribution:
    """What a journal tells of a deployment's time. Raises ValueError where that is nothing."""
    if deployment not in times:
        hint = did_you_mean(deployment, times) or f"; it has {', '.join(sorted(times)) or 'no attempts at all'}"
        raise ValueError(f"{journal} has no attempt on {deployment!r}{hint}")
    time: Distribution | None = getattr(times[deployment], key)
    if time is None:
        raise ValueError(f"no attempt on {deployment!r} in {journal} tells its {key}; write another time")
    return time


def _limits(quota: written.Quota) -> Iterator[Limit]:
    units: tuple[tuple[Unit, int | None], ...] = (("requests", quota.requests), ("tokens", quota.tokens))
    for unit, amount in units:
        if amount is not None:
            yield Limit(unit=unit, algorithm="token_bucket", limit=amount, per=int(quota.per * SECOND))
