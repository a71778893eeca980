"""The shipped rows are well formed, sourced and dated; a malformed table does not load."""

import re
from datetime import date
from urllib.parse import urlsplit

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
version = "2026-11-23"
[sources.s]
what = "prices"
version = "1"
url = "https://s.example"
license = "MIT"
date = "2026-11-23"
"""


UNSURE = {"together/meta-llama/Llama-3.3-70B-Instruct-Turbo"}
"""Models of the catalog whose price is left out, because its two sources have different ones."""


def key(row: ModelRow) -> tuple[str, str]:
    return row.provider, row.model


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


def test_there_are_enough_rows_to_be_useful() -> None:
    assert len(CATALOG.providers) >= 10
    assert len(CATALOG.models) >= 40


@pytest.mark.parametrize("name", ["genai-prices", "models.dev"])
def test_sources_are_dated_and_licensed(name: str) -> None:
    source = CATALOG.sources[name]
    assert source.license == "MIT"
    assert date.fromisoformat(source.date).year == 2026
    assert CATALOG.version.startswith("fairlead 2026-")


def test_a_model_has_a_price_unless_the_sources_contradict_each_other() -> None:
    unpriced = {f"{row.provider}/{row.model}" for row in CATALOG.models.values() if not CATALOG.price(*key(row))}
    assert unpriced == UNSURE


def test_a_small_table_parses() -> None:
    table = parse(PROVIDER, MODELS + model(context="1_000"))
    assert isinstance(table.providers["p"], ProviderRow)
    assert table.models["p", "m"].context == 1000
    assert table.price("p", "m") is None
    assert [row.model for row in table.models_of("p")] == ["m"]


@pytest.mark.parametrize(
    ("providers", "models", "words"),
    [
        (PROVIDER, MODELS + model() + model(), "twice"),
        (PROVIDER, MODELS + model(provider='"q"'), "unknown provider"),
        (PROVIDER, MODELS + model(sources='["t"]'), "no known source"),
        (PROVIDER, MODELS + model(sources="[]"), "no known source"),
        (PROVIDER, MODELS + model(contxt="1"), "contxt"),
        (PROVIDER + "x = 1", MODELS, "x"),
        (PROVIDER.replace("bearer", "basic"), MODELS, "basic"),
        ("[", MODELS, "Invalid"),
    ],
)
def test_a_malformed_table_is_refused(providers: str, models: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(providers, models)
