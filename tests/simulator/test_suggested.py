"""What is said of a suggestion."""

import msgspec
import pytest
from tests.simulator.settings import choice, route, setting

from fairlead.simulator.simulate import simulate
from fairlead.simulator.slo import parse
from fairlead.simulator.statistics import Interval
from fairlead.simulator.suggest import suggest
from fairlead.simulator.suggested import Check, sentences
from fairlead.simulator.summary import Refusals

TWO = setting(
    route(choice("openai/gpt", dollars="1"), choice("anthropic/claude", dollars="3"), fallback=False),
    requests=1000,
    openai="error=0.1",
)
FOUND = suggest(TWO, parse("success=0.95"), simulate)


@pytest.mark.parametrize(("factors", "said"), [((0.9, 0.9), "beyond"), ((0.9, 1.09), "within")])
def test_how_sure_a_saving_is(factors: tuple[float, float], said: str) -> None:
    """By turns, batches cost so many times as much as before."""
    before = [cost for cost in FOUND.before.batches["cost_per_1000"] if cost is not None]
    after = [cost * factors[number % 2] for number, cost in enumerate(before)]
    cheaper = msgspec.structs.replace(FOUND.before, batches=FOUND.before.batches | {"cost_per_1000": after})
    told = list(sentences(FOUND, parse("success=0.95"), Check(seed=2, before=FOUND.before, after=cheaper)))
    assert "(--seed 2), they cost 0." in told[2]
    assert told[2].endswith(f"a difference {said} chance")


def test_requests_that_a_limit_refuses_are_told_where_no_setting_reaches_the_target() -> None:
    limited = Refusals(sender="free", limit="100 tokens per minute", requests=480, share=Interval(0.96, 0.95, 0.97))
    after = msgspec.structs.replace(FOUND.after, refusal_rate=Interval(0.48, 0.47, 0.49), refusals=[limited])
    missed = msgspec.structs.replace(FOUND, reached=False, after=after)
    check = Check(seed=2, before=FOUND.before, after=FOUND.after)
    (told,) = [one for one in sentences(missed, parse("success=0.95"), check) if "are refused" in one]
    assert told == (
        "48 % of all requests are refused, which no retry, cooldown or weight can change: of those of 'free', 96 % by "
        "100 tokens per minute"
    )
    assert not [one for one in sentences(missed, parse("ttft_p99=1ms"), check) if "are refused" in one]
