"""Who asks for what, and when: open-loop arrivals, one load beside the other, in the order of time.

Pure: chance is a passed `random.Random`. Senders do not wait for answers, so a slow gateway gets no fewer requests. It
must not know what becomes of a request.
"""

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from math import cos, pi
from operator import attrgetter
from random import Random

import msgspec

from fairlead.canonical.tenants import VirtualKey
from fairlead.canonical.usage import Usage
from fairlead.simulator.chance import Distribution, Spells

HOUR = 3600.0


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """Where requests come from."""

    name: str
    key: VirtualKey
    models: tuple[str, ...]
    prompt: Distribution
    answer: Distribution
    max_tokens: int | None = None
    stream: bool = True
    users: int = 0
    """Among how many end users the requests are divided; 0: nobody is named."""


class Burst(msgspec.Struct, frozen=True, kw_only=True):
    """Times of `times` as much traffic as otherwise: mean seconds between two, and of one. The mean rate stays."""

    calm: float
    lasting: float
    times: float

    @property
    def otherwise(self) -> float:
        """The rate between two, as a share of the mean."""
        return (self.calm + self.lasting) / (self.calm + self.lasting * self.times)


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests per second there are at an instant: a mean, a daily sine and bursts. Times in seconds."""

    rate: float
    low: float = 1.0
    """The least of the day, as a share of the mean."""
    peak: float = 0.0
    """The second of the day with the most."""
    burst: Burst | None = None


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A request: when, of which sender (its number), for what, and what its answer will be if it gets one."""

    at: float
    sender: int
    model: str
    prompt: int
    """Tokens."""
    answer: int
    stream: bool = True
    user: str = ""
    usage: Usage | None = None
    """What the answer is counted at, where that is more than `prompt` and `answer` say (cached tokens, for one)."""
    tags: tuple[tuple[str, str], ...] = ()
    """What the request itself says beside the tags of its key and tenant."""


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Everyone who sends requests, and the requests in the order of time."""

    senders: tuple[Sender, ...]
    arrivals: Iterable[Arrival]
    begins: float
    """Unix seconds at instant 0."""


def arrivals(senders: Iterable[tuple[Sender, Shape]], seed: int, begins: float = 0.0) -> Iterator[Arrival]:
    """Without end. Each sender has chance of its own, so that one more does not change what the others ask for.

    `begins` is the second of the day at instant 0.
    """
    streams = [
        _of(number, sender, instants(shape, Random(f"{seed}/{sender.name}/when"), begins), seed)
        for number, (sender, shape) in enumerate(senders)
    ]
    return streams[0] if len(streams) == 1 else merge(*streams, key=attrgetter("at"))


def instants(shape: Shape, rng: Random, begins: float = 0.0) -> Iterator[float]:
    """A Poisson process of this rate. Where the rate is not constant it is thinned: P. A. W. Lewis and G. S. Shedler,
    "Simulation of nonhomogeneous Poisson processes by thinning", 1979.
    """
    if shape.rate <= 0.0:
        return
    now, draw = 0.0, rng.expovariate
    if shape.low >= 1.0 and shape.burst is None:
        while True:
            now += draw(shape.rate)
            yield now
    factor = _modulation(shape, rng, begins)
    highest = 2.0 - shape.low
    if shape.burst:
        highest *= shape.burst.otherwise * max(1.0, shape.burst.times)
    while True:
        now += draw(shape.rate * highest)
        if rng.random() * highest < factor(now):
            yield now


def _modulation(shape: Shape, rng: Random, begins: float) -> Callable[[float], float]:
    """How many times the mean rate there is at an instant; instants must not go back."""
    swing, burst = 1.0 - shape.low, shape.burst
    if burst is None:
        return lambda now: 1.0 + swing * cos(2 * pi * (begins + now - shape.peak) / (24 * HOUR))
    spells = Spells(burst.calm, burst.lasting, rng)
    otherwise = burst.otherwise

    def factor(now: float) -> float:
        daily = 1.0 + swing * cos(2 * pi * (begins + now - shape.peak) / (24 * HOUR))
        return daily * otherwise * (burst.times if spells.is_on(now) else 1.0)

    return factor


def _of(number: int, sender: Sender, when: Iterator[float], seed: int) -> Iterator[Arrival]:
    """One sender's requests. What each asks for does not depend on when it comes, so it is the same at another rate."""
    rng = Random(f"{seed}/{sender.name}/what")
    turns, models = len(sender.models), sender.models
    prompt, answer = sender.prompt.sampler(rng), sender.answer.sampler(rng)
    stream, users = sender.stream, sender.users
    longest = sender.max_tokens or 10**9
    for count, at in enumerate(when):
        tokens = int(prompt()) or 1, min(int(answer()) or 1, longest)
        user = f"u{rng.randrange(users)}" if users else ""
        yield Arrival(at, number, models[count % turns], *tokens, stream, user)
