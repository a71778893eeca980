"""A provider as a journal knows it: what an attempt came to then, it comes to again.

An attempt comes to what the recorded one nearest in time came to, so an outage or a storm of 429s strikes every
configuration at the same instants. It must not know what becomes of a request, nor where attempts were recorded.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from statistics import median

from fairlead.canonical.routing import Failed, Timeouts
from fairlead.simulator.providers import Played, Trouble, Upstream, answer
from fairlead.simulator.recorded import Tried
from fairlead.simulator.traffic import Arrival

REMEMBERED = 4096
"""Requests that failed here and may come again."""


class RecordedProvider:
    """A deployment of which at least one attempt is known, in order of time; `begins` is instant 0 in Unix seconds.

    `per_token` is in seconds, for a deployment of which no attempt tells it. A further attempt of one request comes to
    something later than the one before did: else whoever tries again soon would meet one recorded failure twice.
    """

    def __init__(self, tried: Sequence[Tried], begins: float, per_token: float) -> None:
        self.troubles: tuple[Trouble, ...] = ()
        self._tried = tried
        self._at = [one.at - begins for one in tried]
        self._per_token = median([one.per_token for one in tried if one.per_token is not None] or [per_token])
        self._failed: dict[Arrival, int] = {}
        """Which recorded failure a request has met last."""

    def renew(self) -> None:
        """Nothing here is chance."""

    def play(self, request: Arrival, now: float, timeouts: Timeouts, deadline: float) -> Played:
        """One attempt that begins at `now`. Whoever asks gives up as the gateway does."""
        patience = min(now + timeouts.first_token, deadline)
        place = self._nearest(now, self._failed.pop(request, -1) + 1)
        played = self._again(self._tried[place], request, now, patience=patience, deadline=deadline)
        if isinstance(played.outcome, Failed):
            self._failed[request] = place
            if len(self._failed) > REMEMBERED:
                del self._failed[next(iter(self._failed))]
        return played

    def _again(self, tried: Tried, request: Arrival, now: float, *, patience: float, deadline: float) -> Played:
        fault = tried.fault
        if fault is None:
            part = _part(tried.broke_after, request.answer)
            pace = self._per_token if tried.per_token is None else tried.per_token
            rest = pace * max(int(part * request.answer) - 1, 0)
            return answer(request, now, patience, deadline, first=tried.first, rest=rest, part=part)
        at = now + tried.first
        if fault.stage == "silence" or at >= patience:
            return Played(Failed(at=patience, kind="timeout", status=fault.status), patience)
        return Played(Failed(at=at, kind=fault.kind, status=fault.status, retry_after=fault.retry_after), at)

    def _nearest(self, now: float, first: int) -> int:
        """The attempt nearest to `now`, from number `first` on; the last one where there is none."""
        place = bisect_left(self._at, now, min(first, len(self._at)))
        if place == len(self._at):
            return place - 1
        if place > first and now - self._at[place - 1] <= self._at[place] - now:
            return place - 1
        return place


class ByModel:
    """A deployment that may stand for every model of its provider (`provider/*`): behind each name by which it is
    `called` for a model is a provider that `known` gives.
    """

    def __init__(self, called: Callable[[str], str], known: Callable[[str], Upstream]) -> None:
        self.troubles: tuple[Trouble, ...] = ()
        self._called = called
        self._known = known
        self._found: dict[str, Upstream] = {}

    def renew(self) -> None:
        for provider in self._found.values():
            provider.renew()

    def play(self, request: Arrival, now: float, timeouts: Timeouts, deadline: float) -> Played:
        name = self._called(request.model)
        if name not in self._found:
            self._found[name] = self._known(name)
        return self._found[name].play(request, now, timeouts, deadline)


def _part(broke_after: int, tokens: int) -> float:
    """Which part of an answer came that broke off after so many tokens: never all of it."""
    if not broke_after:
        return 1.0
    return (min(broke_after, tokens - 1) + 0.5) / tokens
