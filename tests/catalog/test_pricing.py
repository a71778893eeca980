"""Price tables: what ships is whole and dated, a malformed row is named, history has its own prices."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from fairlead.canonical.usage import Change, Price, Usage
from fairlead.catalog.pricing import TableError, parse_prices, reprice
from fairlead.config.bind import bind
from fairlead.config.problems import Findings
from fairlead.config.shipped import catalog

DOCS = (Path(__file__).parents[2] / "docs" / "cost.md").read_text()
CATALOG = catalog()
PRICED = [name for name, row in CATALOG.providers.items() if not row.self_hosted]
HEAD = """
version = "2026-11-27"
[sources.s]
what = "prices"
version = "1"
url = "https://s.example"
license = "MIT"
date = "2026-11-23"
"""
ROW = '[[prices]]\nprovider = "p"\nmodels = ["m", "m-1"]\nsource = "s"\n'
DATED = f"""{HEAD}
{ROW}price = {{input = 1, output = 2}}
{ROW}from = 2026-03-13
price = {{input = 3.5, output = "4"}}
{ROW}from = 2026-12-01
price = {{input = 5, output = 6}}
"""


def instant(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize("provider", PRICED)
def test_a_shipped_table_is_sourced_dated_and_of_one_version(provider: str) -> None:
    table = CATALOG.prices_of(provider)
    assert table is not None
    assert table.version == CATALOG.version
    assert all(source.license == "MIT" and date.fromisoformat(source.date) for source in table.sources.values())
    assert {name for name, _ in table.models()} == {provider}


@pytest.mark.parametrize("provider", PRICED)
def test_a_shipped_price_is_plausible(provider: str) -> None:
    table = CATALOG.prices_of(provider)
    assert table is not None
    for _, model in table.models():
        price = CATALOG.price(provider, model)
        assert price is not None
        assert max(price.input, price.output) < 1000
        assert price.cache_read is None or price.cache_read <= price.input
        assert not price.changes


def test_two_prices_are_as_their_source_has_them() -> None:
    """As genai-prices 0.2.3 has them; the price pages themselves were not consulted."""
    mini, haiku = CATALOG.price("openai", "gpt-4o-mini"), CATALOG.price("anthropic", "claude-haiku-4-5")
    assert mini is not None
    assert haiku is not None
    assert (mini.input, mini.output, mini.cache_read) == (Decimal("0.15"), Decimal("0.6"), Decimal("0.075"))
    assert (haiku.input, haiku.output, haiku.cache_write, haiku.cache_write_1h) == tuple(
        map(Decimal, ("1", "5", "1.25", "2"))
    )


def test_a_provider_without_a_table_has_no_prices() -> None:
    assert CATALOG.prices_of("ollama") is None
    assert CATALOG.prices_of("../models") is None
    assert CATALOG.price("ollama", "llama3") is None


@pytest.mark.parametrize(
    ("at", "figure"),
    [
        ("2020-01-01", "1"),
        ("2026-03-12T23:59:59.999", "1"),
        ("2026-03-13", "3.5"),
        ("2026-11-30T23:59:59", "3.5"),
        ("2026-12-01", "5"),
        ("2030-01-01", "5"),
    ],
)
@pytest.mark.parametrize("name", ["m", "m-1"])
def test_a_request_is_priced_by_its_own_day(at: str, figure: str, name: str) -> None:
    usage = Usage(input=1_000_000)
    assert reprice(usage, f"p/{name}", instant(at), parse_prices(DATED)) == Decimal(figure)


def test_what_is_known_to_come_is_in_the_price_of_today() -> None:
    table = parse_prices(DATED)
    later = Price(input=Decimal(5), output=Decimal(6), version="fairlead 2026-11-27")
    price = table.since("p", "m", date(2026, 11, 27))
    assert price is not None
    assert (price.input, price.changes) == (Decimal("3.5"), (Change(begin=instant("2026-12-01"), price=later),))
    assert price.at(instant("2026-12-01")) == later
    assert price.at(None) is None


def test_before_its_first_row_a_price_is_unknown() -> None:
    table = parse_prices(f"{HEAD}{ROW}from = 2026-03-13\nprice = {{input = 1, output = 2}}")
    assert table.at("p", "m", instant("2026-03-12")) is None
    assert table.since("p", "m", date(2026, 3, 12)) is None
    assert reprice(Usage(input=1), "p/m", instant("2026-03-12"), table) is None


@pytest.mark.parametrize("served", ["p/other", "q/m", "m", ""])
def test_what_no_row_names_is_unknown(served: str) -> None:
    assert reprice(Usage(input=1), served, 0.0, parse_prices(DATED)) is None


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("price = {input = 1}", r"\['m', 'm-1'\].*missing required field `output`"),
        ("price = {input = 1, output = 2, cached = 1}", "unknown field `cached`"),
        ('price = {input = "free", output = 2}', "Invalid decimal string"),
        ("price = {input = -1, output = 2}", "p/m: input is -1; a price is a number from 0"),
        ("price = {input = nan, output = 2}", "p/m: input is NaN"),
        ("price = {input = 0.0000000001, output = 2}", "at most 9 decimals"),
        ("price = {input = 1000000, output = 2}", "p/m: input is 1000000;"),
        ("prize = {input = 1, output = 2}", "prize"),
        ("price = {input = 1, output = 2, above = [{tokens = 0, price = {input = 1, output = 2}}]}", "from 1"),
        (
            (
                "price = {input = 1, output = 2, above = [{tokens = 2, price = {input = 1, output = 2}}, "
                "{tokens = 1, price = {input = 1, output = 2}}]}"
            ),
            "shorter prompt comes first",
        ),
        (
            (
                'price = {input = 1, output = 2, services = [{name = "a", price = {input = 1, output = 2}}, '
                '{name = "a", price = {input = 1, output = 2}}]}'
            ),
            "services: a name is there twice",
        ),
        (
            "price = {input = 1, output = 2, hours = [{begin = 60, end = 60, price = {input = 1, output = 2}}]}",
            "minutes of the day",
        ),
        (
            'price = {input = 1, output = 2, services = [{name = "a", price = {input = 1, output = -2}}]}',
            "output is -2",
        ),
        ("price = {input = 1, output = 2, changes = [{begin = 1, price = {input = 1, output = 2}}]}", "from = the day"),
        ("from = 2026-13-01\nprice = {input = 1, output = 2}", "not TOML"),
        ('from = "soon"\nprice = {input = 1, output = 2}', "from"),
    ],
)
def test_a_malformed_row_is_named(row: str, words: str) -> None:
    with pytest.raises(TableError, match=words):
        parse_prices(HEAD + ROW + row)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "not TOML"),
        ("", "version"),
        ('prices = "none"' + HEAD, "each row under"),
        (HEAD.replace("what =", "wat ="), "wat"),
        (HEAD + ROW.replace('source = "s"', 'source = "t"') + "price = {input = 1, output = 2}", "'t' is not among"),
        (HEAD + ROW.replace('["m", "m-1"]', "[]") + "price = {input = 1, output = 2}", "at least one"),
        (HEAD + 2 * (ROW + "price = {input = 1, output = 2}\n"), "p/m: its rows must be in the order of their days"),
        (
            (
                f"{HEAD}{ROW}from = 2026-03-13\nprice = {{input = 1, output = 2}}\n"
                f"{ROW}from = 2026-03-12\nprice = {{input = 1, output = 2}}\n"
            ),
            "p/m from 2026-03-12",
        ),
    ],
)
def test_a_malformed_table_is_refused(text: str, words: str) -> None:
    with pytest.raises(TableError, match=words):
        parse_prices(text)


@pytest.mark.parametrize("name", [name for name in Price.__struct_fields__ if name not in ("changes", "version")])
def test_all_that_a_price_can_say_is_documented(name: str) -> None:
    words = {"told": "## Told by the provider"}
    assert words.get(name, f"`{name}`") in DOCS or f"{name} =" in DOCS


@pytest.mark.parametrize("name", [name for name in Usage.__struct_fields__ if name not in ("service", "told")])
def test_all_that_usage_tells_is_documented(name: str) -> None:
    assert f"| `{name}`" in DOCS


def test_the_table_in_the_documentation_is_one() -> None:
    (text,) = re.findall(r"^```toml\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    table = parse_prices(text)
    before, after = instant("2026-12-31"), instant("2027-01-01")
    usage = Usage(input=1_000_000)
    assert reprice(usage, "openai/gpt-4o", before, table) == Decimal("2.5")
    assert reprice(usage, "openai/gpt-4o", after, table) == Decimal(4)


def test_the_configuration_in_the_documentation_binds() -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    findings = Findings("cost.md")
    assert bind(text.encode(), findings) is not None, findings.in_order()
