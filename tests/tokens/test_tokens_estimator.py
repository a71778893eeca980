"""The estimate of a request over all that may serve it."""

import json
from decimal import Decimal

import msgspec
from tiktoken import Encoding

from fairlead.canonical.routing import Deployment
from fairlead.canonical.usage import Price
from fairlead.catalog.counting import counting
from fairlead.dialects import openai_chat
from fairlead.policy.estimate import Terms
from fairlead.policy.rates import rates
from fairlead.tokens.characters import estimated as characters
from fairlead.tokens.counter import Counter
from fairlead.tokens.estimator import estimated, shown, vocabularies, ways

PRICE = Price(input=Decimal("2.5"), output=Decimal(10))
GPT = Deployment(
    name="openai/gpt-4o",
    provider="openai",
    model="gpt-4o",
    dialect="openai_chat",
    base_url="https://a.example",
    max_output=16_384,
    price=PRICE,
)
CLAUDE = msgspec.structs.replace(
    GPT, name="anthropic/claude-opus-5", model="claude-opus-5", max_output=32_000, price=None
)
ANY = msgspec.structs.replace(GPT, name="openai/*", model="*", max_output=None, price=None)
TEXT = "Limits must hold across processes, and a budget is never exceeded."
BODY = {"model": "fast", "messages": [{"role": "user", "content": TEXT}]}
REQUEST = shown(json.dumps(BODY).encode(), openai_chat.decode_request)


def test_deployments_that_count_and_cost_alike_are_one_way() -> None:
    other = msgspec.structs.replace(GPT, name="azure/gpt-4o", provider="azure")
    assert ways([GPT, other], "fast") == ways([GPT], "fast")
    assert len(ways([GPT, other, CLAUDE], "fast")) == 2


def test_a_wildcard_serves_what_was_asked_for() -> None:
    (way,) = ways([ANY], "openai/gpt-4")
    assert way.counting == counting("gpt-4")
    assert way.terms == Terms(None, None)


def test_only_public_vocabularies_are_wanted() -> None:
    assert vocabularies(ways([GPT, CLAUDE, ANY], "gpt-4")) == {"o200k_base", "cl100k_base"}
    assert vocabularies(ways([CLAUDE], "fast")) == set()


async def test_the_most_of_every_unit_is_taken(counter: Counter, o200k: Encoding) -> None:
    found = await estimated(counter, REQUEST, ways([GPT, CLAUDE], "fast"), max_tokens=100_000, n=2)
    exact, guessed = len(o200k.encode(TEXT)) + 7, characters(TEXT, 150) + 7
    assert guessed > exact
    assert found.input == guessed
    assert found.output == 2 * 32_000
    assert found.tokens == guessed + 2 * 32_000
    at = rates(PRICE)
    assert found.money * at.parts >= exact * at.input + 2 * 16_384 * at.output > (found.money - 1) * at.parts
    assert not found.priced


async def test_one_deployment_alone_is_exact(counter: Counter, o200k: Encoding) -> None:
    found = await estimated(counter, REQUEST, ways([GPT], "fast"), max_tokens=10)
    assert (found.input, found.output, found.priced) == (len(o200k.encode(TEXT)) + 7, 10, True)


def test_a_request_that_no_other_dialect_could_be_told_is_estimated_too(o200k: Encoding) -> None:
    """It may well be served by a provider of its own dialect, so it must not be refused here."""
    several = shown(json.dumps({**BODY, "n": 3}).encode(), openai_chat.decode_request)
    exact = len(o200k.encode(TEXT)) + 7
    assert exact <= sum(len(o200k.encode(text)) for text in several.texts) + several.frame <= exact + 50
