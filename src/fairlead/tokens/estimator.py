"""The estimate of one request, over the deployments that may serve it.

It brings together how each counts (catalog, counter) and what each may cost (policy). It must not know limits.
"""

from collections.abc import Callable, Iterable

import msgspec

from fairlead.canonical.chat import ChatRequest
from fairlead.canonical.errors import GatewayError
from fairlead.canonical.routing import Deployment
from fairlead.catalog.counting import Counting, Vocabulary, counting
from fairlead.policy.estimate import Estimate, Terms, estimate, terms
from fairlead.tokens.chat import Content, content
from fairlead.tokens.counter import Counter
from fairlead.tokens.unmodelled import unmodelled


class Way(msgspec.Struct, frozen=True):
    """A deployment as an estimate sees it; many deployments can be the same one."""

    counting: Counting
    terms: Terms


def ways(deployments: Iterable[Deployment], asked: str) -> tuple[Way, ...]:
    """The different ways in which a request for the model `asked` may be served; a wildcard serves what was asked."""
    found = (
        Way(counting(asked if deployment.model == "*" else deployment.model), terms(deployment))
        for deployment in deployments
    )
    return tuple(dict.fromkeys(found))


def vocabularies(over: Iterable[Way]) -> set[Vocabulary]:
    """What a counter has to have loaded to count exactly."""
    return {way.counting.vocabulary for way in over if way.counting.vocabulary is not None}


def shown(body: bytes, decode: Callable[[bytes], ChatRequest]) -> Content:
    """What of a body costs tokens, whatever it holds. `decode` is its dialect's, and may refuse what only that says."""
    try:
        return content(decode(body))
    except GatewayError:
        return unmodelled(body)


async def estimated(
    counter: Counter, request: Content, over: Iterable[Way], *, max_tokens: int | None, n: int = 1
) -> Estimate:
    """The most that `request` can come to. `n` is how many answers it asks for."""
    inputs: dict[Counting, int] = {}
    offers: list[tuple[int, Terms]] = []
    for way in over:
        if way.counting not in inputs:
            inputs[way.counting] = await counter.count(request, way.counting)
        offers.append((inputs[way.counting], way.terms))
    return estimate(offers, max_tokens, n)
