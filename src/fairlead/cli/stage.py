"""Where settings are played: with the requests of a journal, or with their own. It tells how far that is.

It must not know what is made of what they come to.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from fairlead.cli.journals import Journals
from fairlead.cli.stores import UnusableError
from fairlead.simulator.recorded import Times
from fairlead.simulator.setting import Setting
from fairlead.simulator.simulate import simulate, trial_of
from fairlead.simulator.summary import Summary
from fairlead.simulator.trace import traffic
from fairlead.simulator.traffic import Traffic


class Stage:
    """`trace` is the path of a journal whose requests are played; None: settings have their own."""

    def __init__(self, trace: str | None) -> None:
        """Raises UnusableError where the journal cannot be read."""
        self._journals = None if trace is None else Journals(Path(trace))
        self.trace = None if self._journals is None else self._journals.trace()

    @property
    def recorded(self) -> int | None:
        """How many requests the journal has; None: there is no journal."""
        return None if self.trace is None else self.trace.requests

    def check(self, setting: Setting) -> None:
        """Raises SettingError where the setting's parts do not go together; nothing is played."""
        trial_of(setting, measured, self._traffic(setting))

    def play(self, setting: Setting, tell: Callable[[int], None] = lambda _: None) -> Summary:
        """Raises UnusableError where the journal is no longer there."""
        return simulate(setting, measured=measured, trace=self._traffic(setting), tell=tell)

    def _traffic(self, setting: Setting) -> Traffic | None:
        if self._journals is None or self.trace is None:
            return None
        return traffic(self.trace, self._journals.by_end(), setting.snapshot)


@cache
def measured(journal: str) -> Mapping[str, Times]:
    """What a journal measured, by deployment; it is read once. Raises ValueError where it cannot be."""
    try:
        histories = Journals(Path(journal)).trace().histories
    except UnusableError as error:
        raise ValueError(str(error)) from None
    return {name: history.times() for name, history in histories.items()}
