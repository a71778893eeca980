"""The shipped rows are well formed, sourced and dated; a malformed table does not load."""

import re
from datetime import date
from decimal import Decimal
from urllib.parse import urlsplit

import msgspec
import pytest

from fairlead.catalog.table import ModelRow, ProviderRow, parse
from fairlead.config.shipped import catalog
from fairlead.dialects.table import DIALECTS

CATALOG = catalog()
PROVIDER = """
[p]
title = "P"
base_url = "https://p.example/v1"
dialect = "openai_chat"
auth = "bearer"
docs = "https://p.example"
checked = "2026-11-23"
"""
MODELS = """
version = "1"
[sources.s]
what = "prices"
version = "1"
url = "https://s.example"
license = "MIT"
date = "2026-11-23"
"""


def model(**fields: str) -> str:
    row = {"provider": '"p"', "model": '"m"', "sources": '["s"]', **fields}
    return "[[models]]\n" + "".join(f"{key} = {value}\n" for key, value in row.items())


@pytest.mark.parametrize("name", CATALOG.providers)
def test_a_provider_row_is_complete(name: str) -> None:
    row = CATALOG.providers[name]
    assert re.fullmatch(r"[a-z0-9-]+", name)
    assert row.dialect in DIALECTS
    assert urlsplit(row.base_url).scheme == ("http" if row.self_hosted else "https")
    assert not row.base_url.endswith("/")
    assert urlsplit(row.docs).scheme == "https"
    assert date(2026, 1, 1) <= date.fromisoformat(row.checked)
    assert (row.auth == "none") == (not row.keys)
    assert all(family.endswith("*") for family in row.families)


@pytest.mark.parametrize("row", CATALOG.models.values(), ids=lambda row: f"{row.provider}/{row.model}")
def test_a_model_row_is_plausible(row: ModelRow) -> None:
    assert row.context is None or 1_000 <= row.context <= 10_000_000
    assert row.max_output is None or row.max_output <= (row.context or row.max_output)
    assert (row.input is None) == (row.output is None)
    for price in (row.input, row.output, row.cache_read, row.cache_write):
        assert price is None or Decimal(0) <= price < 1000
    if row.input is not None and row.cache_read is not None:
        assert row.cache_read <= row.input


def test_two_prices_are_as_their_source_has_them() -> None:
    """As genai-prices 0.2.3 has them; the price pages themselves were not consulted."""
    mini, haiku = CATALOG.models["openai", "gpt-4o-mini"], CATALOG.models["anthropic", "claude-haiku-4-5"]
    assert (mini.input, mini.output, mini.cache_read) == (Decimal("0.15"), Decimal("0.6"), Decimal("0.075"))
    assert (haiku.input, haiku.output, haiku.cache_write) == (Decimal(1), Decimal(5), Decimal("1.25"))


def test_there_are_enough_rows_to_be_useful() -> None:
    assert len(CATALOG.providers) >= 10
    assert len(CATALOG.models) >= 40


@pytest.mark.parametrize("name", ["genai-prices", "models.dev"])
def test_sources_are_dated_and_licensed(name: str) -> None:
    source = CATALOG.sources[name]
    assert source.license == "MIT"
    assert date.fromisoformat(source.date).year == 2026
    assert CATALOG.version.startswith("fairlead 2026-")


def test_a_price_carries_the_tables_version() -> None:
    row = ModelRow(provider="p", model="m", sources=("s",), input=Decimal(1), output=Decimal(2))
    price = row.price("v")
    assert price is not None
    assert (price.input, price.output, price.cache_read, price.version) == (Decimal(1), Decimal(2), None, "v")


@pytest.mark.parametrize("changes", [{"input": None}, {"output": None}, {"price_up_to": 1000}])
def test_a_price_that_would_be_wrong_is_none(changes: dict[str, int | None]) -> None:
    row = ModelRow(provider="p", model="m", sources=("s",), input=Decimal(1), output=Decimal(2))
    assert msgspec.structs.replace(row, **changes).price("v") is None


def test_a_small_table_parses() -> None:
    table = parse(PROVIDER, MODELS + model(input='"0.1"', output='"2"', context="1_000"))
    assert isinstance(table.providers["p"], ProviderRow)
    assert table.models["p", "m"].input == Decimal("0.1")
    assert [row.model for row in table.models_of("p")] == ["m"]


@pytest.mark.parametrize(
    ("providers", "models", "words"),
    [
        (PROVIDER, MODELS + model() + model(), "twice"),
        (PROVIDER, MODELS + model(provider='"q"'), "unknown provider"),
        (PROVIDER, MODELS + model(sources='["t"]'), "no known source"),
        (PROVIDER, MODELS + model(sources="[]"), "no known source"),
        (PROVIDER, MODELS + model(pirce='"1"'), "pirce"),
        (PROVIDER + "x = 1", MODELS, "x"),
        (PROVIDER.replace("bearer", "basic"), MODELS, "basic"),
        ("[", MODELS, "Invalid"),
    ],
)
def test_a_malformed_table_is_refused(providers: str, models: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(providers, models)
