"""S14: instances that spend one budget at the same time, each request using no more than its estimate.

The short form makes 4 000 requests, the full one (`make soak`) 100 000.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from tests.forms import FULL
from tests.state.race import AT_ONCE, LARGEST, PLACES, budget
from tests.state.rules import begun
from tests.valkey import ROOT, Valkey

from fairlead.state.local import LocalState
from fairlead.state.port import State
from fairlead.state.valkey import ValkeyState

INSTANCES = 2
REQUESTS = 100_000 if FULL else 4_000
LIMIT = REQUESTS * LARGEST // 5
"""Four fifths of what all requests together would use."""


@pytest.mark.parametrize("engine", ["local", "valkey"])
async def test_a_budget_is_used_up_and_never_overspent(
    engine: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    place = str(folder) if engine == "local" else emptied(request.getfixturevalue("server"))
    state: State = LocalState(folder) if engine == "local" else ValkeyState(place, timeout=10)
    await begun(state, budget(LIMIT))
    told = await asyncio.gather(*[instance(place, number) for number in range(INSTANCES)])
    used, let_in = (sum(one[word] for one in told) for word in ("used", "let_in"))
    money, places = await state.standings([budget(LIMIT), PLACES])
    await state.close()
    print(f"{engine}: {REQUESTS} requests, {INSTANCES} x {AT_ONCE} at once: let in {let_in}, used {used} of {LIMIT}")
    assert let_in < REQUESTS, "nobody was refused: that is no race"
    assert used <= LIMIT
    assert used >= 0.95 * LIMIT
    assert money.remaining == LIMIT - used
    assert places.remaining == PLACES.limit


async def instance(place: str, number: int) -> dict[str, int]:
    """What one process says of its part of the requests."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.state.race", place, f"p{number}", str(REQUESTS // INSTANCES), str(LIMIT)),
        stdout=asyncio.subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": "src:."},
    )  # fmt: skip
    told, _ = await process.communicate()
    found: dict[str, int] = json.loads(told)
    return found


def emptied(server: Valkey) -> str:
    with server.client() as client:
        client.flushall()
    return server.url
