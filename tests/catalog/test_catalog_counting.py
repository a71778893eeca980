"""Which vocabulary a model has, by its name."""

from pathlib import Path

import pytest
import tiktoken.model

from fairlead.catalog.counting import FAMILIES, OTHER, counting
from fairlead.catalog.table import ModelRow
from fairlead.config.shipped import catalog


@pytest.mark.parametrize(
    ("model", "vocabulary"),
    [
        ("gpt-4o", "o200k_base"),
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("chatgpt-4o-latest", "o200k_base"),
        ("gpt-4.1-nano", "o200k_base"),
        ("gpt-5", "o200k_base"),
        ("gpt-5.4-mini", "o200k_base"),
        ("o1", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("o4-mini", "o200k_base"),
        ("openai/gpt-4o", "o200k_base"),
        ("ft:gpt-4o-mini-2024-07-18:acme::x", "o200k_base"),
        ("ft:gpt-4-0613:acme::x", "cl100k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("gpt-35-turbo", "cl100k_base"),
        ("text-embedding-3-large", "cl100k_base"),
        ("claude-opus-5", None),
        ("anthropic/claude-sonnet-4-5", None),
        ("openai/gpt-oss-120b", None),
        ("llama-3.3-70b-versatile", None),
        ("omni", None),
        ("", None),
    ],
)
def test_a_models_vocabulary(model: str, vocabulary: str | None) -> None:
    assert counting(model).vocabulary == vocabulary


@pytest.mark.parametrize("model", sorted(tiktoken.model.MODEL_TO_ENCODING))
def test_it_agrees_with_tiktokens_own_table(model: str) -> None:
    """Where we name a vocabulary at all, it is the one that tiktoken names."""
    ours = counting(model).vocabulary
    assert ours in (None, tiktoken.model.MODEL_TO_ENCODING[model])


@pytest.mark.parametrize(
    ("model", "per_cent", "image"),
    [
        ("claude-3-5-haiku-20241022", 115, 1600),
        ("claude-sonnet-4-20250514", 115, 1600),
        ("claude-opus-4-5", 115, 1600),
        ("claude-opus-4-8", 150, 4800),
        ("claude-haiku-5-5", 150, 4800),
        ("mistral-large-2512", 115, 4800),
    ],
)
def test_what_is_estimated_has_its_own_margin(model: str, per_cent: int, image: int) -> None:
    assert (counting(model).per_cent, counting(model).image) == (per_cent, image)


@pytest.mark.parametrize(
    ("model", "small", "image"),
    [
        ("gpt-4o-2024-08-06", 85, 1445),
        ("gpt-4o-mini", 2833, 48_169),
        ("gpt-4.1", 85, 1445),
        ("gpt-4.1-mini", 2489, 2489),
        ("gpt-4.1-nano", 3779, 3779),
        ("gpt-5", 70, 1190),
        ("gpt-5-mini", 2489, 2489),
        ("gpt-5.4-nano", 3779, 3779),
        ("gpt-5.5", 10_000, 10_000),
        ("o3", 75, 1275),
        ("o4-mini", 2642, 2642),
        ("gpt-4-turbo", 85, 1445),
    ],
)
def test_the_most_that_an_image_costs(model: str, small: int, image: int) -> None:
    """As OpenAI's guide to images has it: tiles of 512 pixels, or patches of 32."""
    assert (counting(model).small_image, counting(model).image) == (small, image)


def test_every_row_is_documented_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "estimates.md").read_text()
    for pattern, row in (*FAMILIES, ("all others", OTHER)):
        name = pattern if row is OTHER else f"`{pattern}`"
        texts = f"`{row.vocabulary}`" if row.vocabulary else f"characters + {row.per_cent - 100} %"
        assert f"| {name} | {texts} | {row.small_image} | {row.image} |" in page


def test_no_row_is_hidden_by_an_earlier_one() -> None:
    for pattern, row in FAMILIES:
        example = pattern.replace("[0-6]", "5").replace("*", "")
        assert counting(example) == row, pattern


def test_a_small_image_never_costs_more() -> None:
    assert all(row.small_image <= row.image for row in (OTHER, *(row for _, row in FAMILIES)))


@pytest.mark.parametrize("row", catalog().models_of("openai"), ids=lambda row: row.model)
def test_openais_models_of_the_catalog_are_known_or_newer_than_the_vocabularies(row: ModelRow) -> None:
    assert counting(row.model).vocabulary is not None or row.model.startswith("gpt-6")
