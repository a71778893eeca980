"""What a request may come to, and what it came to: tokens and money, as amounts of every unit that a limit can have.

Money is whole millionths of a dollar, rounded up. It must not know how input is counted, nor what limits there are.
"""

from collections.abc import Iterable

import msgspec

from fairlead.canonical.limits import Unit
from fairlead.canonical.routing import Deployment
from fairlead.canonical.usage import Usage
from fairlead.policy.rates import Rates, money, rates

UNSAID_OUTPUT = 4096
"""Tokens of an answer, where neither the client nor the catalog says how long it may be."""
LONGEST_OUTPUT = 1_000_000
"""Tokens that no answer exceeds, where the catalog does not know the model."""
MOST_ANSWERS = 128
BYTES_PER_TOKEN = 4
MAY_BE_CHARGED = frozenset({"timeout", "cut", "protocol"})
"""Failures of attempts that the provider may have worked on, and may charge."""

Amounts = dict[Unit, int]


class Terms(msgspec.Struct, frozen=True):
    """What a deployment's answers may come to. `longest` None: not known; `rates` None: it has no price."""

    longest: int | None
    rates: Rates | None


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """The most that a request can come to, over all deployments that may serve it."""

    input: int
    output: int
    tokens: int
    """Input and output of the one deployment that may take most, so perhaps less than the sum of the two above."""
    money: int
    priced: bool
    """Whether every deployment has a price; `money` counts one without as 0."""


def terms(deployment: Deployment) -> Terms:
    """The terms of a deployment. An answer is part of the context, so it is no longer than that."""
    longest = deployment.context if deployment.max_output is None else deployment.max_output
    return Terms(longest, None if deployment.price is None else rates(deployment.price))


def estimate(offers: Iterable[tuple[int, Terms]], max_tokens: int | None, n: int = 1) -> Estimate:
    """The most of each unit over `offers`: for each deployment its input as counted, and its terms."""
    answers = min(max(n, 1), MOST_ANSWERS)
    most_input = most_output = most_tokens = most_money = 0
    priced = True
    for counted, term in offers:
        output = answers * _longest(max_tokens, term.longest)
        most_input = max(most_input, counted)
        most_output = max(most_output, output)
        most_tokens = max(most_tokens, counted + output)
        if term.rates is None:
            priced = False
        else:
            most_money = max(most_money, term.rates.most(counted, output))
    return Estimate(input=most_input, output=most_output, tokens=most_tokens, money=most_money, priced=priced)


def _longest(max_tokens: int | None, cap: int | None) -> int:
    """Tokens of one answer: what the client allows, and never more than the model can give."""
    if max_tokens is None:
        return UNSAID_OUTPUT if cap is None else cap
    return min(max(max_tokens, 0), LONGEST_OUTPUT if cap is None else cap)


def amounts(held: Estimate) -> Amounts:
    """What a request asks of a limit on each unit."""
    return {
        "requests": 1,
        "tokens": held.tokens,
        "input_tokens": held.input,
        "output_tokens": held.output,
        "concurrency": 1,
        "money": held.money,
    }


def spent(usage: Usage | None, at: Rates | None) -> Amounts:
    """What a request that is over really took of each unit; without usage nothing but the request itself."""
    used = usage or Usage()
    return {
        "requests": 1,
        "tokens": used.total,
        "input_tokens": used.input,
        "output_tokens": used.output,
        "concurrency": 0,
        "money": 0 if at is None else money(used, at),
    }


def rough(body: int) -> Estimate:
    """What a request may come to of whose body nobody counted more than the bytes."""
    counted = -(-body // BYTES_PER_TOKEN)
    return Estimate(input=counted, output=LONGEST_OUTPUT, tokens=counted + LONGEST_OUTPUT, money=0, priced=False)


def partial(held: Estimate, received: int) -> Usage:
    """The usage of an answer that ended without telling its own, after `received` bytes of it.

    The input was read in full. A token of output is at least one from the first byte on, and never more than was held.
    """
    output = min(held.output, max(received // BYTES_PER_TOKEN, 1)) if received > 0 else 0
    return Usage(input=held.input, output=output)
