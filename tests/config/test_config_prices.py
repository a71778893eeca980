"""What a deployment costs: the catalog's price, a discount or markup on it, or a price of your own."""

from decimal import Decimal

import pytest

from fairlead.canonical.routing import Snapshot
from fairlead.canonical.usage import Above, Price, Service
from fairlead.config.bind import bind
from fairlead.config.compile import compile_config
from fairlead.config.problems import Findings
from fairlead.config.shipped import catalog
from fairlead.config.world import World


def compiled(text: str) -> tuple[Snapshot | None, list[str]]:
    findings = Findings("f.yaml")
    config = bind(text.encode(), findings)
    assert config is not None, findings.in_order()
    world = World(environ={"OPENAI_API_KEY": "sk-openai"}, catalog=catalog(), pepper=b"pepper")
    return compile_config(config, world, findings), [str(problem) for problem in findings.in_order()]


def snapshot(text: str) -> Snapshot:
    made, found = compiled(text)
    assert made is not None, found
    return made


def price_of(deployment: str, providers: str = "") -> Price:
    (route,) = snapshot(f"{providers}\nroutes: [{{model: a, deployments: [{deployment}]}}]").routes
    price = route.choices[0].deployment.price
    assert price is not None
    return price


def test_a_price_of_your_own_may_say_all_that_a_price_can() -> None:
    price = price_of("""{use: openai/x, price: {
        input: 1, output: 2, cache_read: 0.1, cache_write: 1.25, cache_write_1h: 2, reasoning: 3, audio_input: 4,
        cached_audio: 0.4, audio_output: 5, image_input: 6, cached_image: 0.6, image_output: 7, web_search: 10,
        request: 0.5, above: [{tokens: 200k, input: 2, output: 3}],
        services: {priority: {input: 4, output: 8, above: [{tokens: 200k, input: 5, output: 9}]}}}}""")
    assert price == Price(
        input=Decimal(1),
        output=Decimal(2),
        cache_read=Decimal("0.1"),
        cache_write=Decimal("1.25"),
        cache_write_1h=Decimal(2),
        reasoning=Decimal(3),
        audio_input=Decimal(4),
        cached_audio=Decimal("0.4"),
        audio_output=Decimal(5),
        image_input=Decimal(6),
        cached_image=Decimal("0.6"),
        image_output=Decimal(7),
        web_search=Decimal(10),
        request=Decimal("0.5"),
        above=(Above(tokens=200_000, price=Price(input=Decimal(2), output=Decimal(3))),),
        services=(
            Service(
                name="priority",
                price=Price(
                    input=Decimal(4),
                    output=Decimal(8),
                    above=(Above(tokens=200_000, price=Price(input=Decimal(5), output=Decimal(9))),),
                ),
            ),
        ),
        version="configuration",
    )


@pytest.mark.parametrize(
    ("deployment", "providers", "factor", "words"),
    [
        ("openai/gpt-5.4", "providers: {openai: {discount: 15%}}", "0.85", " -15%"),
        ("openai/gpt-5.4", "providers: {openai: {markup: 5.5%}}", "1.055", " +5.5%"),
        ("{use: openai/gpt-5.4, discount: 100%}", "", "0", " -100%"),
        ("{use: openai/gpt-5.4, markup: 10%}", "providers: {openai: {discount: 15%}}", "1.1", " +10%"),
        ("openai/gpt-5.4", "", "1", ""),
    ],
)
def test_a_discount_holds_for_all_that_is_in_a_price(deployment: str, providers: str, factor: str, words: str) -> None:
    listed, price = catalog().price("openai", "gpt-5.4"), price_of(deployment, providers)
    assert listed is not None
    times = Decimal(factor)
    assert (price.input, price.output) == (listed.input * times, listed.output * times)
    assert price.above[0].price.output == listed.above[0].price.output * times
    assert price.services[0].price.input == listed.services[0].price.input * times
    assert price.version == catalog().version + words


def test_a_price_of_your_own_is_what_it_costs_whatever_the_provider_gives_off() -> None:
    price = price_of("{use: openai/gpt-4o, price: {input: 1, output: 2}}", "providers: {openai: {discount: 15%}}")
    assert (price.input, price.output, price.version) == (Decimal(1), Decimal(2), "configuration")


def test_a_wildcard_has_the_discount_too() -> None:
    made = snapshot("providers: {openai: {discount: 50%}}\nroutes: [{model: '*', deployments: [openai/*]}]")
    listed, fact = catalog().price("openai", "gpt-4o-2024-08-06"), made.facts["openai"]["gpt-4o-2024-08-06"].price
    assert listed is not None
    assert fact is not None
    assert fact.input * 2 == listed.input


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("providers: {openai: {discount: 1%, markup: 1%}}\nroutes: [{model: a, deployments: [openai/b]}]", "too"),
        ("providers: {openai: {discount: 101%}}\nroutes: [{model: a, deployments: [openai/b]}]", "whole price"),
        ("routes: [{model: a, deployments: [{use: openai/b, discount: 1%, markup: 1%}]}]", "write one of them"),
        (
            "routes: [{model: a, deployments: [{use: openai/b, discount: 1%, price: {input: 1, output: 1}}]}]",
            "price says what it costs",
        ),
        (
            """routes: [{model: a, deployments: [{use: openai/b, price: {input: 1, output: 1, above: [
            {tokens: 2k, input: 1, output: 1}, {tokens: 1k, input: 1, output: 1}]}}]}]""",
            "shorter prompt first",
        ),
    ],
)
def test_what_cannot_be_agreed_on_is_an_error(text: str, words: str) -> None:
    assert any(words in problem for problem in compiled(text)[1])
