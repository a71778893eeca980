"""A process that spends one budget as fast as it can, for the proof that nobody overspends it.

`python -m tests.state.race <engine> <name> <requests> <limit>` makes that many requests, AT_ONCE of them under way at
any moment, each holding an estimate and using no more than that. It prints what it used and how many were let in.
"""

import asyncio
import json
import random
import sys

from tests.state.hammer import opened
from tests.state.rules import limited

from fairlead.canonical.limits import Demand, Granted, Rule
from fairlead.state.port import Hold, Settlement, State

AT_ONCE = 64
LARGEST = 1000
"""The largest estimate, in millionths of a dollar."""
PLACES = limited("concurrency", 100_000)


def budget(limit: int) -> Rule:
    return limited("calendar", limit, unit="money")


async def spend(state: State, rule: Rule, name: str, requests: int) -> tuple[int, int]:
    """What all requests together used, and how many were let in."""
    chance = random.Random(name)
    numbers = iter(range(requests))
    spent: list[int] = []

    async def client() -> None:
        for number in numbers:
            estimate = chance.randint(1, LARGEST)
            demands = (Demand(rule, estimate), Demand(PLACES, 1))
            verdict = await state.reserve(f"{name}-{number}", demands, b"")
            await asyncio.sleep(0)
            if isinstance(verdict, Granted):
                used = chance.randint(0, estimate)
                await state.settle([Settlement(Hold(f"{name}-{number}", demands, verdict.since), (used, 1))])
                spent.append(used)

    await asyncio.gather(*[client() for _ in range(AT_ONCE)])
    return sum(spent), len(spent)


async def run(engine: str, name: str, requests: int, limit: int) -> dict[str, int]:
    state = opened(engine)
    used, let_in = await spend(state, budget(limit), name, requests)
    await state.close()
    return {"used": used, "let_in": let_in}


if __name__ == "__main__":
    engine, name, requests, limit = sys.argv[1:]
    print(json.dumps(asyncio.run(run(engine, name, int(requests), int(limit)))))
