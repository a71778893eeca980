"""One simulation from a setting to its summary; everything that varies settings calls this."""

from collections.abc import Callable
from typing import NoReturn

from fairlead.canonical.routing import Snapshot
from fairlead.simulator.setting import Measured, Setting, trial_of
from fairlead.simulator.summary import Summary, summary
from fairlead.simulator.trial import Trial, run


def nothing_measured(journal: str, what: str) -> NoReturn:
    """For a setting in which no time is taken from a journal."""
    raise ValueError(f"nobody reads {journal!r} here for {what}")


def simulate(
    setting: Setting, *, measured: Measured = nothing_measured, tell: Callable[[int], None] = lambda _: None
) -> Summary:
    """Deterministic: equal settings give equal summaries. `tell` hears how many requests have come.

    Raises SettingError where the setting's parts do not go together.
    """
    trial, arriving = trial_of(setting, measured)
    measures = run(trial, arriving, setting.requests, tell)
    return summary(
        measures,
        workers=len(trial.fleets),
        unpriced=_unpriced(setting.snapshot),
        outages=_outages(trial, measures.until),
    )


def _unpriced(snapshot: Snapshot) -> list[str]:
    deployments = {choice.deployment.name: choice.deployment for route in snapshot.routes for choice in route.choices}
    return [name for name, one in deployments.items() if one.price is None and not one.self_hosted]


def _outages(trial: Trial, until: float) -> dict[str, list[tuple[float, float]]]:
    """The times of trouble that each deployment's provider had, cut off at the end."""
    return {
        name: sorted(span for trouble in provider.troubles for span in trouble.spells.known(until))
        for name, provider in trial.providers.items()
    }
