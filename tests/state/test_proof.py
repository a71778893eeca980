"""X31: a limiter that is there and does not limit, or that lets nobody in, is found before the first request."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.state.rules import ALGORITHMS

from fairlead.canonical.limits import Algorithm, Demand, Denied, Granted, Standing, Verdict
from fairlead.state.local import LocalState
from fairlead.state.port import StateError
from fairlead.state.proof import prove


class Broken(LocalState):
    """An engine that gives one verdict for one algorithm, whatever is asked."""

    def __init__(self, folder: Path, algorithm: Algorithm, verdict: Verdict) -> None:
        super().__init__(folder)
        self._algorithm = algorithm
        self._verdict = verdict

    async def reserve(self, hold: str, demands: Sequence[Demand], note: bytes, *, strict: bool = False) -> Verdict:
        if demands[0].rule.algorithm == self._algorithm:
            return self._verdict
        return await super().reserve(hold, demands, note, strict=strict)


@pytest.fixture(params=[Granted((Standing(1, 0),), 0), Denied((Standing(0, 1, 1),))], ids=["lenient", "closed"])
def verdict(request: pytest.FixtureRequest) -> Verdict:
    found: Verdict = request.param
    return found


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_x31_an_algorithm_that_does_not_weigh_is_named(
    folder: Path, algorithm: Algorithm, verdict: Verdict
) -> None:
    state = Broken(folder, algorithm, verdict)
    with pytest.raises(StateError, match=f"does not limit by '{algorithm}'"):
        await prove(state)
    await state.close()
