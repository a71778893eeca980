"""What is held is never too little, what is settled is exact, and nothing that a client sends makes it absurd."""

from decimal import ROUND_CEILING, Decimal
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.canonical.limits import Unit
from fairlead.canonical.routing import Deployment
from fairlead.canonical.usage import Above, Change, Hours, Price, Service, Usage, cost
from fairlead.config.shipped import catalog
from fairlead.policy.estimate import (
    LONGEST_OUTPUT,
    MOST_ANSWERS,
    UNSAID_OUTPUT,
    Estimate,
    Terms,
    amounts,
    estimate,
    partial,
    spent,
    terms,
)
from fairlead.policy.rates import Rates, money, rates

FIGURES = st.decimals(0, 1000, allow_nan=False, allow_infinity=False, places=9).map(Decimal.normalize)
KNOWN = [
    "cache_read", "cache_write", "cache_write_1h", "reasoning", "audio_input", "cached_audio", "audio_output",
    "image_input", "cached_image", "image_output", "web_search",
]  # fmt: skip
PLAIN = st.builds(Price, input=FIGURES, output=FIGURES, request=FIGURES, **dict.fromkeys(KNOWN, st.none() | FIGURES))
COUNTS = st.integers(0, 5_000_000)
TIERED = st.builds(
    lambda price, steps: msgspec.structs.replace(
        price, above=tuple([Above(tokens=tokens, price=inner) for tokens, inner in sorted(steps.items())])
    ),
    PLAIN,
    st.dictionaries(st.integers(1, 5_000_000), PLAIN, max_size=2),
)
SERVED = st.builds(
    lambda price, tiers: msgspec.structs.replace(
        price, services=tuple([Service(name=name, price=inner) for name, inner in tiers.items()])
    ),
    TIERED,
    st.dictionaries(st.sampled_from(["flex", "priority"]), TIERED, max_size=2),
)
PRICES = st.builds(
    lambda price, begin, peak, change, later: msgspec.structs.replace(
        price,
        hours=(Hours(begin=begin, end=begin + 60, price=peak),) if peak else (),
        changes=(Change(begin=change, price=later),) if later else (),
    ),
    SERVED,
    st.integers(0, 1380),
    st.none() | SERVED,
    st.integers(0, 10**6),
    st.none() | SERVED,
)
INSTANTS = st.integers(0, 2 * 10**6)


@st.composite
def usages(draw: st.DrawFn, most_input: int = 5_000_000, most_output: int = 5_000_000) -> Usage:
    """Counts that agree with each other."""
    text, heard, seen, said, drawn, thought = (
        draw(st.integers(0, most // 6))
        for most in (most_input, most_input, most_input, most_output, most_output, most_output)
    )
    cached_audio, cached_image = draw(st.integers(0, heard)), draw(st.integers(0, seen))
    read = draw(st.integers(0, text))
    written = draw(st.integers(0, text - read))
    return Usage(
        input=text + heard + seen,
        output=said + drawn + thought,
        cache_read=read + cached_audio + cached_image,
        cache_write=written,
        cache_write_1h=draw(st.integers(0, written)),
        reasoning=thought,
        audio_input=heard,
        cached_audio=cached_audio,
        audio_output=said,
        image_input=seen,
        cached_image=cached_image,
        image_output=drawn,
    )


ODD = st.builds(Usage, **dict.fromkeys([*Usage.__struct_fields__[:13]], COUNTS), service=st.sampled_from(["", "flex"]))
USAGES = st.builds(
    lambda usage, searches, service: msgspec.structs.replace(usage, web_searches=searches, service=service),
    usages(),
    st.integers(0, 9),
    st.sampled_from(["", "default", "flex", "priority", "unheard-of"]),
)
SHIPPED = [price for provider in catalog().providers for name in catalog().names_of(provider)
           if (price := catalog().price(provider, name))]  # fmt: skip
HELD = Estimate(input=100, output=50, tokens=150, money=7, priced=True)


def priced(price: Price | None) -> Rates | None:
    return None if price is None else rates(price)


def micro(dollars: Decimal) -> int:
    return int((dollars * 1_000_000).to_integral_value(ROUND_CEILING))


def check(usage: Usage, price: Price, at: int) -> None:
    """What a budget counts is the cost, rounded up by less than a millionth; without a cost it is never less than 0."""
    exact, now = cost(usage, price, at), price.at(at)
    assert now is not None
    counted = money(usage, rates(now))
    if exact is None:
        assert counted >= 0
    else:
        assert counted == micro(exact)
        assert exact * 1_000_000 <= counted < exact * 1_000_000 + 1


@given(USAGES | ODD, PRICES, INSTANTS)
def test_money_is_the_exact_cost_rounded_up(usage: Usage, price: Price, at: int) -> None:
    check(usage, price, at)


@given(USAGES, st.sampled_from(SHIPPED), INSTANTS)
def test_money_is_exact_for_every_price_that_ships(usage: Usage, price: Price, at: int) -> None:
    check(usage, price, at)


@given(USAGES, PRICES, FIGURES, INSTANTS)
def test_what_the_provider_tells_is_counted(usage: Usage, price: Price, told: Decimal, at: int) -> None:
    """And where it does not, at the price that is there for estimates."""
    price = msgspec.structs.replace(price, told=Decimal("1.05"), hours=(), changes=())
    check(msgspec.structs.replace(usage, told=told), price, at)
    assert cost(usage, price, at) is None
    assert money(usage, rates(price)) >= 0


def test_a_price_in_whatever_notation_is_the_same_rate() -> None:
    written = Price(input=Decimal("1E+1"), output=Decimal("0.0750"), cache_read=Decimal("1e-7"))
    at = rates(written)
    assert (Decimal(at.input) / at.parts, Decimal(at.output) / at.parts) == (Decimal(10), Decimal("0.075"))
    assert (Decimal(at.cache_read) / at.parts, at.cache_write) == (Decimal("1E-7"), at.input)


@given(
    st.lists(st.tuples(COUNTS, st.none() | st.integers(1, 200_000), st.none() | PRICES), min_size=1, max_size=4),
    st.none() | st.integers(1, 10**12),
    st.integers(1, 8),
    st.data(),
)
def test_whatever_is_used_within_the_caps_was_held(
    offers: list[tuple[int, int | None, Price | None]], max_tokens: int | None, n: int, data: st.DataObject
) -> None:
    """Whichever deployment served it, at whatever instant, and whatever its tokens were."""
    held = estimate([(counted, Terms(cap, priced(price))) for counted, cap, price in offers], max_tokens, n)
    counted, cap, price = data.draw(st.sampled_from(offers))
    longest = min(max_tokens or UNSAID_OUTPUT, LONGEST_OUTPUT) if cap is None else min(max_tokens or cap, cap)
    usage = data.draw(usages(counted, longest * n))
    now = None if price is None else price.at(data.draw(INSTANTS))
    used, asked = spent(usage, priced(now)), amounts(held)
    for unit in get_args(Unit):
        assert used[unit] <= asked[unit]


@given(COUNTS, COUNTS, st.integers(1, 10**6), st.integers(1, 10**6), PRICES)
def test_more_input_or_output_never_costs_less(one: int, more: int, few: int, many: int, price: Price) -> None:
    term = Terms(None, rates(price))
    less, most = estimate([(one, term)], few), estimate([(one + more, term)], few + many)
    assert less.money <= most.money
    assert less.tokens <= most.tokens


@pytest.mark.parametrize(
    ("max_tokens", "cap", "n", "output"),
    [
        (100, 16_384, 1, 100),
        (None, 16_384, 1, 16_384),
        (100_000, 16_384, 3, 3 * 16_384),
        (None, None, 2, 2 * UNSAID_OUTPUT),
        (10_000, None, 1, 10_000),
        (10**12, None, 1, LONGEST_OUTPUT),
        (10**12, 16_384, 1_000, MOST_ANSWERS * 16_384),
        (-1, 16_384, 0, 0),
        (100, 16_384, -5, 100),
    ],
)
def test_output_is_what_the_client_allows_within_what_the_model_can(
    max_tokens: int | None, cap: int | None, n: int, output: int
) -> None:
    held = estimate([(7, Terms(cap, None))], max_tokens, n)
    assert (held.input, held.output, held.tokens, held.money) == (7, output, 7 + output, 0)


def test_a_deployment_without_a_price_is_told() -> None:
    known = Terms(10, rates(Price(input=Decimal(1), output=Decimal(1))))
    assert estimate([(5, known), (5, known)], None).priced
    mixed = estimate([(5, known), (5, Terms(10, None))], None)
    assert (mixed.priced, mixed.money) == (False, 15)


def test_tokens_are_those_of_one_deployment() -> None:
    """The one that counts the input high is not the one that may answer at length."""
    held = estimate([(900, Terms(100, None)), (500, Terms(200, None))], None)
    assert (held.input, held.output, held.tokens) == (900, 200, 1000)


def test_no_deployment_at_all_costs_nothing() -> None:
    assert estimate([], 100) == Estimate(input=0, output=0, tokens=0, money=0, priced=True)


def test_an_unknown_cap_is_the_context() -> None:
    deployment = Deployment(
        name="p/m", provider="p", model="m", dialect="openai_chat", base_url="https://a.example", context=8000
    )
    assert terms(deployment) == Terms(8000, None)


def test_every_unit_has_an_amount() -> None:
    assert set(amounts(HELD)) == set(spent(None, None)) == set(get_args(Unit))
    assert amounts(HELD) == {
        "requests": 1,
        "tokens": 150,
        "input_tokens": 100,
        "output_tokens": 50,
        "concurrency": 1,
        "money": 7,
    }


def test_a_request_that_used_nothing_is_still_a_request() -> None:
    assert spent(None, None) == {
        "requests": 1,
        "tokens": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "concurrency": 0,
        "money": 0,
    }


@pytest.mark.parametrize(("received", "output"), [(0, 0), (1, 1), (7, 1), (8, 2), (199, 49), (10_000, 50)])
def test_an_answer_that_broke_off_costs_its_input_and_what_came(received: int, output: int) -> None:
    assert partial(HELD, received) == Usage(input=100, output=output)


@given(st.integers(0, 10**9))
def test_what_broke_off_never_costs_more_than_was_held(received: int) -> None:
    used, held = spent(partial(HELD, received), None), amounts(HELD)
    assert all(used[unit] <= held[unit] for unit in get_args(Unit) if unit != "money")
