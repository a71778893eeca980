"""Everything that a simulation depends on, as users say it: a configuration, a scenario, faults, rates and a seed.

Here is also what is assumed where they say nothing. It must not know how providers, senders and chance are made of it.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from fairlead.canonical.routing import Deployment, Snapshot
from fairlead.config.problems import did_you_mean
from fairlead.config.units import format_count, format_duration
from fairlead.simulator import scenario as written
from fairlead.simulator.chance import Distribution, Fixed, Gamma, log_normal
from fairlead.simulator.faults import Struck
from fairlead.simulator.providers import Behavior

HOSTED = Behavior(first_token=log_normal(0.4, 2.0), per_token=log_normal(0.012, 0.04), refusal=log_normal(0.08, 0.4))
"""What is assumed of a provider of which the scenario says nothing."""
SELF_HOSTED = Behavior(
    first_token=log_normal(0.15, 0.8), per_token=log_normal(0.02, 0.05), refusal=log_normal(0.01, 0.05)
)
PROMPT = log_normal(600, 6000)
ANSWER = log_normal(200, 1200)
EVERYONE = "*"
"""Every provider, where faults are given."""
FORMS = ({"always"}, {"median", "p99"}, {"mean"}, {"mean", "shape"})
"""The keys of a time or a size that go together."""


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


def distribution(time: written.Time | written.Tokens, where: str) -> Distribution:
    """What is written of a time or a size. Raises SettingError."""
    write, of_journals = _WRITTEN[type(time)]
    if {name for name in time.__struct_fields__ if getattr(time, name) is not None} not in FORMS:
        raise SettingError(
            f"write exactly one of a plain value (or {{always: …}}), {{median: …, p99: …}}, "
            f"{{mean: …, shape: …}}{of_journals}",
            where,
        )
    if time.always is not None:
        return Fixed(time.always)
    if time.mean is not None:
        return Gamma(time.mean, time.shape or 1.0)
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


def every_name(setting: Setting) -> frozenset[str]:
    """What providers and deployments are called in any configuration that the scenario is for."""
    return frozenset().union(*map(names_of, setting.configurations))


def assumed_of(deployment: Deployment) -> Behavior:
    """How a provider of which nobody says anything is assumed to behave."""
    return SELF_HOSTED if deployment.self_hosted else HOSTED


def known(name: str, names: Iterable[str], what: str, path: str = "") -> None:
    """Raises SettingError where the name is not there, with what was probably meant."""
    there = sorted(set(names))
    if name not in there:
        hint = did_you_mean(name, there) or (f"; known here: {', '.join(there)}" if there else ", which has none")
        raise SettingError(f"there is no {what} {name!r} in the configuration{hint}", path)
