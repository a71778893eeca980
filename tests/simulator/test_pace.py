"""What a simulated request costs of a CPU, held to a yardstick on the same CPU; in the full form alone, which measures.

No seconds are asserted: a slower machine is slower at both.
"""

import gc
import time
from collections.abc import Callable
from heapq import heapify, heapreplace
from random import Random

import msgspec
import pytest
from tests.forms import FULL
from tests.simulator.worlds import QUICK, route, setting

from fairlead.canonical.routing import Retry
from fairlead.simulator.simulate import simulate

SIZES = (100_000, 1_000_000)
REPEATS = 3
YARDSTICKS = 40.0
"""As many may a request take at the most. It takes some 30; 35 are 50 000 requests per second where one is 0.57 µs."""
FAILING = setting(
    route("a", "b", "c", retry=Retry(attempts=1)),
    errors="429=0.1,503=0.1",
    providers={"a": QUICK},
    rps=50.0,
)
pytestmark = pytest.mark.skipif(not FULL, reason="the full form measures")


def cpu(work: Callable[[], object]) -> float:
    """Seconds of CPU: the least of a few times, since other work only ever adds."""
    found = []
    for _ in range(REPEATS):
        gc.collect()
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return min(found)


def played(requests: int) -> float:
    """Seconds of CPU for each of so many requests."""
    return cpu(lambda: simulate(msgspec.structs.replace(FAILING, requests=requests))) / requests


def yardstick() -> float:
    """Seconds of CPU for what a simulation is made of: one draw, and one event that takes another's place in a heap."""
    rng, count = Random(1), 200_000
    waiting = [rng.random() for _ in range(100)]
    heapify(waiting)

    def draw() -> None:
        for _ in range(count):
            heapreplace(waiting, waiting[0] + rng.lognormvariate(0.0, 1.0))

    return cpu(draw) / count


def test_a_request_costs_no_more_than_it_may() -> None:
    assert played(SIZES[0]) < YARDSTICKS * yardstick()


def test_a_request_of_many_costs_what_one_of_few_does() -> None:
    few, many = map(played, SIZES)
    assert many < 1.25 * few
