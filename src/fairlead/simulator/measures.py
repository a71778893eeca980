"""What a simulation counts while it runs, in memory that does not grow with the number of requests.

Requests belong to batches by their number, so that a figure can be told with how sure it is. It must not know how a
request comes to its end, nor how a figure is shown.
"""

from collections import Counter
from collections.abc import Sequence
from copy import copy
from typing import TypeVar

from fairlead.canonical.routing import Failed
from fairlead.policy.health import Health
from fairlead.simulator.providers import Played
from fairlead.simulator.sketch import Sketch, merged
from fairlead.simulator.traffic import Arrival

BATCHES = 20
BINS = 240
"""The most parts of a time line; then each two become one."""


class Tally:
    """What the requests of one sender in one batch came to."""

    __slots__ = (
        "answered", "attempts", "cost", "cut", "failed", "fallbacks", "input", "output", "refused", "requests",
        "retried", "wasted",
    )  # fmt: skip

    def __init__(self) -> None:
        self.requests = self.answered = self.cut = self.failed = self.refused = 0
        self.attempts = self.retried = self.fallbacks = 0
        self.input = self.output = 0
        """Tokens of whole answers."""
        self.cost = self.wasted = 0.0
        """US dollars; `wasted` is a part of `cost`: for attempts and answers of no use."""


class Tried:
    """What the attempts that reached one deployment came to, for the requests of one batch."""

    __slots__ = ("answered", "attempts", "broken", "limited", "queued", "waited")

    def __init__(self) -> None:
        self.attempts = self.answered = 0
        self.broken = 0
        """Answers that began, and broke off."""
        self.limited = 0
        """Further attempts, which a limit of ours on the deployment stopped before they reached it."""
        self.queued = 0
        """Attempts that waited in the provider's queue."""
        self.waited = 0.0
        """Seconds in it, of all of them."""


Counts = TypeVar("Counts", Tally, Tried)


class Batch:
    """What the requests of one batch came to."""

    __slots__ = ("added", "first_token", "latency", "refusals", "senders", "tried")

    def __init__(self, senders: int, deployments: Sequence[str]) -> None:
        self.senders = [Tally() for _ in range(senders)]
        self.tried = {name: Tried() for name in deployments}
        self.refusals: Counter[tuple[int, str]] = Counter()
        """By the sender's number and by the limit or the code that refused."""
        self.latency = Sketch()
        """Seconds from a request to the end of its answer, of those that were answered."""
        self.first_token = Sketch()
        self.added = Sketch()
        """Seconds from a request to the start of the attempt that answered: what attempts that failed cost it."""

    @classmethod
    def of(cls, parts: Sequence["Batch"]) -> "Batch":
        """What the requests of several batches came to."""
        result = cls(0, ())
        result.senders = [total(of_sender) for of_sender in zip(*[part.senders for part in parts], strict=True)]
        result.tried = {name: total([part.tried[name] for part in parts]) for name in parts[0].tried}
        result.refusals = sum((part.refusals for part in parts), Counter())
        for name in ("latency", "first_token", "added"):
            setattr(result, name, merged(getattr(part, name) for part in parts))
        return result


def total(counted: Sequence[Counts]) -> Counts:
    """The sum of tallies; there is at least one."""
    result = type(counted[0])()
    for name in result.__slots__:
        setattr(result, name, sum(getattr(one, name) for one in counted))
    return result


class Line:
    """A quantity over time, in bins that become wider as time goes on."""

    __slots__ = ("bins", "width")

    def __init__(self, width: float = 1.0) -> None:
        self.width = width
        self.bins: list[float] = []

    def add(self, at: float, amount: float = 1.0) -> None:
        place = int(at / self.width)
        while place >= BINS:
            self._widen()
            place = int(at / self.width)
        bins = self.bins
        if place >= len(bins):
            bins.extend([0.0] * (place + 1 - len(bins)))
        bins[place] += amount

    def span(self, begin: float, end: float) -> None:
        """Adds the seconds between two instants to the bins that they lie in."""
        while begin < end:
            stop = min((int(begin / self.width) + 1) * self.width, end)
            if stop <= begin:  # a bin narrower than a float can tell apart
                return
            self.add(begin, stop - begin)
            begin = stop

    def widen(self, width: float) -> None:
        """Bins become at least as wide as that."""
        while self.width < width:
            self._widen()

    def _widen(self) -> None:
        odd = [*self.bins, 0.0]
        self.bins = [odd[index] + odd[index + 1] for index in range(0, len(self.bins), 2)]
        self.width *= 2


class Seen:
    """What one deployment has seen over time."""

    __slots__ = ("failures", "half_open", "load", "open", "openings", "resting", "states", "trouble")

    def __init__(self) -> None:
        self.openings = 0
        self.failures: Counter[str] = Counter()
        self.load = Line()
        """Attempts that reached it."""
        self.trouble = Line()
        """Those of them that failed."""
        self.resting = Line()
        """Seconds in which the gateway left it alone, summed over its workers: for a cooldown, an open breaker, or a
        credential that was refused.
        """
        self.open = Line()
        """Those of them in which the breaker was open."""
        self.half_open = Line()
        """Seconds in which the breaker let only probes through."""
        self.states: dict[int, tuple[float, float, float, int]] = {}
        """By worker that has trouble with it: since when, until when it cools, until when it is left alone, and how
        often in a row its breaker has opened.
        """

    @property
    def lines(self) -> tuple[Line, ...]:
        return self.load, self.trouble, self.resting, self.open, self.half_open

    def learned(self, worker: int, health: Health, now: float, quarantined_until: float = 0.0) -> None:
        """What a worker knows of it now: it may leave it alone from now on, also for its credential's sake."""
        opened = self._passed(worker, now)
        self.openings += health.openings > opened
        until = max(health.cooldown_until, quarantined_until)
        if health.openings or until > now:
            self.states[worker] = now, health.cooldown_until, until, health.openings

    def over(self, now: float) -> None:
        """Nothing more comes: time is counted up to here."""
        for worker in list(self.states):
            self._passed(worker, now)

    def _passed(self, worker: int, now: float) -> int:
        """Counts the time in the state that ends now; gives how often in a row the breaker had opened."""
        since, cool_at, until, opened = self.states.pop(worker, (now, now, now, 0))
        self.resting.span(since, min(until, now))
        if opened:
            cooled = max(min(cool_at, now), since)
            self.open.span(since, cooled)
            self.half_open.span(cooled, now)
        return opened


class Measures:
    """Everything that is counted in one simulation of `total` requests."""

    def __init__(self, total: int, senders: Sequence[str], deployments: Sequence[str]) -> None:
        self.total = total
        self.senders = tuple(senders)
        self.batches = [Batch(len(senders), deployments) for _ in range(min(BATCHES, max(total, 1)))]
        self.seen = {name: Seen() for name in deployments}
        self.arrived = Line()
        self.lost = Line()
        """Requests that got no whole answer."""
        self.unpriced: set[str] = set()
        """Deployments that somebody charges for, and nobody knows how much, by the name under which they served."""
        self.came = 0.0
        """The instant at which the last request came."""
        self.until = 0.0
        """The instant at which the last request was over."""

    def arrives(self, number: int, arrival: Arrival) -> tuple[Batch, Tally]:
        """A request has come; where it will be counted."""
        batch = self.batches[number * len(self.batches) // self.total]
        tally = batch.senders[arrival.sender]
        tally.requests += 1
        self.came = arrival.at
        self.arrived.add(arrival.at)
        return batch, tally

    def refuse(self, batch: Batch, arrival: Arrival, why: str) -> None:
        """The request ends before anything is tried, for a limit (in words) or a row of CODES."""
        batch.senders[arrival.sender].refused += 1
        batch.refusals[arrival.sender, why] += 1
        self.lost.add(arrival.at)

    def attempt(self, batch: Batch, deployment: str, began: float, played: Played) -> None:
        """An attempt of a request of this batch came to something. It counts where it began."""
        tried, seen, outcome = batch.tried[deployment], self.seen[deployment], played.outcome
        if isinstance(outcome, Failed):
            if outcome.kind == "limited":
                tried.limited += 1
                return
            seen.failures[outcome.kind] += 1
            seen.trouble.add(began)
        else:
            tried.answered += 1
            tried.broken += played.broken
        tried.attempts += 1
        seen.load.add(began)
        if played.waited:
            tried.queued += 1
            tried.waited += played.waited

    def in_batches(self, most: float) -> "Measures":
        """The same in at most so many batches of one size, but in one at least."""
        there = len(self.batches)
        count = next((count for count in range(there, 1, -1) if count <= most and not there % count), 1)
        size = there // count
        result = copy(self)
        result.batches = [Batch.of(self.batches[begin : begin + size]) for begin in range(0, there, size)]
        return result

    def over(self, now: float) -> None:
        """The last request is over. All lines have bins of one width from now on."""
        self.until = now
        for seen in self.seen.values():
            seen.over(now)
        lines = [self.arrived, self.lost, *(line for seen in self.seen.values() for line in seen.lines)]
        widest = max(line.width for line in lines)
        for line in lines:
            line.widen(widest)
