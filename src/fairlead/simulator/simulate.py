"""One simulation from a setting to its summary; everything that varies settings calls this.

It must not know how a setting is written, nor how a summary is shown.
"""

from collections.abc import Callable, Iterable
from random import Random
from typing import NoReturn

from fairlead.simulator.life import run
from fairlead.simulator.measures import Measures
from fairlead.simulator.outages import strikes
from fairlead.simulator.senders import traffic_of
from fairlead.simulator.setting import Setting
from fairlead.simulator.summarize import summary
from fairlead.simulator.summary import Summary
from fairlead.simulator.traffic import Arrival, Traffic
from fairlead.simulator.trial import Trial
from fairlead.simulator.upstreams import Measured, providers_of


def nothing_measured(journal: str) -> NoReturn:
    """For a setting in which no time is taken from a journal."""
    raise ValueError(f"nobody reads {journal!r} here")


def simulate(
    setting: Setting,
    *,
    measured: Measured = nothing_measured,
    trace: Traffic | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> Summary:
    """Deterministic: equal settings give equal summaries. `tell` hears how many requests have come.

    The first `setting.requests` of `trace` are played where one is given, instead of the setting's traffic.

    Raises SettingError where the setting's parts do not go together.
    """
    trial, arriving = trial_of(setting, measured, trace)
    measures = run(trial, arriving, setting.requests, tell)
    return summary(
        measures,
        workers=len(trial.fleets),
        strikes=strikes(setting),
    )


def trial_of(setting: Setting, measured: Measured, trace: Traffic | None = None) -> tuple[Trial, Iterable[Arrival]]:
    """The setting, ready to run; `trace` takes the place of its traffic. Raises SettingError."""
    traffic = traffic_of(setting) if trace is None else trace
    providers = providers_of(setting, measured)
    measures = Measures(setting.requests, [sender.name for sender in traffic.senders], list(providers))
    trial = Trial(
        setting.snapshot,
        providers,
        traffic.senders,
        measures,
        rng=Random(),
        begins=traffic.begins,
        seeds=Random(f"{setting.seed}/policy"),
    )
    return trial, traffic.arrivals
