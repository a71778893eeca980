"""A process that asks as often as it is let in, for the tests of exactness across processes.

`python -m tests.state.hammer <engine> <name>` asks ROUNDS times for every rule, and prints how often each let it in.
"""

import asyncio
import json
import sys
from pathlib import Path

from tests.state.rules import ALGORITHMS, begun, limited

from fairlead.canonical.limits import DAY, Demand, Granted, Rule
from fairlead.state.local import LocalState
from fairlead.state.port import State
from fairlead.state.valkey import ValkeyState

ROUNDS = 120
AT_ONCE = 20
LIMIT = 50
"""Let in by every rule, over all processes, in the little while that the test takes."""
RULES = {
    algorithm: limited(algorithm, LIMIT, per=DAY * 7, burst=LIMIT if algorithm == "gcra" else 0)
    for algorithm in ALGORITHMS
}


def opened(engine: str) -> State:
    """The engine behind a URL or a folder."""
    return ValkeyState(engine, timeout=10) if "://" in engine else LocalState(Path(engine))


async def let_in(state: State, rule: Rule, name: str) -> int:
    async def ask(number: int) -> bool:
        hold = f"{name}-{rule.algorithm}-{number}"
        return isinstance(await state.reserve(hold, (Demand(rule, 1),), b""), Granted)

    granted = 0
    for first in range(0, ROUNDS, AT_ONCE):
        granted += sum(await asyncio.gather(*[ask(number) for number in range(first, first + AT_ONCE)]))
    return granted


async def hammer(engine: str, name: str) -> dict[str, int]:
    state = opened(engine)
    await begun(state, *RULES.values())
    counts: dict[str, int] = {algorithm: await let_in(state, rule, name) for algorithm, rule in RULES.items()}
    await state.close()
    return counts


if __name__ == "__main__":
    print(json.dumps(asyncio.run(hammer(*sys.argv[1:]))))
