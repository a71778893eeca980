"""The outages of a scenario: whom each of them strikes together, and when.

What is out when depends on the seed alone, and not on who asks. It must not know what becomes of an attempt.
"""

from collections.abc import Iterator
from random import Random

import msgspec

from fairlead.canonical.routing import Deployment
from fairlead.policy.select import is_within
from fairlead.simulator import scenario as written
from fairlead.simulator.chance import Spells
from fairlead.simulator.faults import SLOWER, Struck, fault
from fairlead.simulator.providers import Trouble
from fairlead.simulator.setting import Setting, SettingError, deployments_of, every_name, known

REGION = "region:"


class Strike(msgspec.Struct, frozen=True):
    """One of the scenario's outages, before it has begun."""

    of: tuple[str, ...]
    """Whom it strikes, as the scenario says it."""
    hit: frozenset[str]
    """The deployments of the configuration that these are."""
    trouble: Trouble


def strikes(setting: Setting) -> list[Strike]:
    """In the scenario's order. Raises SettingError."""
    return list(_strikes(setting))


def struck_by_outages(setting: Setting) -> frozenset[str]:
    """The deployments of which anything is said in `outages`."""
    deployments = deployments_of(setting.snapshot).values()
    named = [name for outage in setting.scenario.outages for name in outage.of]
    return frozenset(one.name for one in deployments if any(_is_of(one, name) for name in named))


def _strikes(setting: Setting) -> Iterator[Strike]:
    deployments = deployments_of(setting.snapshot).values()
    everywhere = [one for snapshot in setting.configurations for one in deployments_of(snapshot).values()]
    names = every_name(setting) | {REGION + one.region for one in everywhere if one.region}
    for number, outage in enumerate(setting.scenario.outages):
        path = f"outages[{number}]"
        if not outage.of:
            raise SettingError("it strikes nobody; write a provider, a deployment or `region:NAME`", f"{path}.of")
        for name in outage.of:
            if not any(_is_of(one, name) for one in everywhere):
                known(name, names, "provider, deployment or region", f"{path}.of")
        hit = frozenset(one.name for one in deployments if any(_is_of(one, name) for name in outage.of))
        spells = Spells(outage.every, outage.lasting, Random(f"{setting.seed}/outage/{number}"))
        yield Strike(outage.of, hit, Trouble(_struck(outage, path), spells))


def _is_of(deployment: Deployment, name: str) -> bool:
    """Whether a deployment is the one with this name, its provider's or in the region of this name."""
    if name.startswith(REGION):
        return is_within(deployment.region, name.removeprefix(REGION))
    return name in {deployment.name, deployment.provider}


def _struck(outage: written.Outage, path: str) -> Struck:
    """What attempts get in an outage, as the scenario's `path` has it."""
    if not outage.share:
        raise SettingError("it strikes no attempt; write a share above 0, or remove the outage", f"{path}.share")
    try:
        found = fault(outage.fault)
    except ValueError as error:
        raise SettingError(str(error), f"{path}.fault") from None
    if outage.times is None:
        return Struck(outage.fault, found, outage.share, SLOWER)
    if found.stage != "slowness":
        raise SettingError(f"only 'slow' takes longer, and its fault is {outage.fault!r}", f"{path}.times")
    if outage.times == 1.0:
        raise SettingError("once as slow is no slower; write a number above 1", f"{path}.times")
    return Struck(outage.fault, found, outage.share, outage.times)
