"""The life of a request under a virtual clock. Read this first.

`life` is steps 5 to 10 of a chat request (docs/design.md) without its bytes: it makes the attempts that policy wants
and yields the instant at which it goes on; `run` is the clock. It must not know how providers misbehave, what is
counted, nor how figures are told.
"""

from collections.abc import Callable, Generator, Iterable
from heapq import heappop, heappush, heapreplace
from itertools import islice

from fairlead.policy.attempts import attempts
from fairlead.simulator.measures import Measures
from fairlead.simulator.traffic import Arrival
from fairlead.simulator.trial import Trial
from fairlead.simulator.visit import Visit

Life = Generator[float, None, None]
"""Yields the instant at which it goes on, and is not resumed before."""
RENEW_EVERY = 32
"""Requests from one renewal of chance to the next: few, so that settings in which the attempts of a request differ in
number soon meet the same chance again.
"""
TELL_EVERY = 1024
"""Requests between two words on how far a simulation is."""


def run(
    trial: Trial, arriving: Iterable[Arrival], total: int, tell: Callable[[int], None] = lambda _: None
) -> Measures:
    """Plays the first `total` arrivals to their end; `tell` hears now and then how many have come."""
    under_way: list[tuple[float, int, Life]] = []
    now = 0.0
    for number, arrival in enumerate(islice(arriving, total)):
        now = arrival.at
        while under_way and under_way[0][0] <= now:
            _go_on(under_way)
        if number % RENEW_EVERY == 0:
            trial.renew()
        going = life(trial, number, arrival)
        wakes = next(going, None)
        if wakes is not None:
            heappush(under_way, (wakes, number, going))
        if number % TELL_EVERY == 0:
            tell(number)
    while under_way:
        now = under_way[0][0]
        _go_on(under_way)
    trial.measures.over(now)
    return trial.measures


def _go_on(under_way: list[tuple[float, int, Life]]) -> None:
    """The next of those under way goes on, at its instant."""
    _, number, going = under_way[0]
    wakes = next(going, None)
    if wakes is None:
        heappop(under_way)
    else:
        heapreplace(under_way, (wakes, number, going))


def life(trial: Trial, number: int, arrival: Arrival) -> Life:
    """One request, from its arrival to the end of its answer."""
    visit = Visit(trial, number, arrival)
    plan = visit.admitted()
    if plan is None:
        return
    given = attempts(plan, arrival.at, arrival.at + plan.route.timeouts.total)
    now, played = arrival.at, None
    step = next(given, None)
    while step is not None:
        if step.start_at > now:
            now = step.start_at
            yield now
        played = visit.begin(step, now)
        now = played.outcome.at
        yield now
        visit.learn(played)
        try:
            following = given.send(played.outcome)
        except StopIteration:
            following = None
        visit.learned(now)
        step = following
    if played is not None and played.ends > now:
        now = played.ends
        yield now
    visit.close(played, now)
