"""What the documentation shows of commands is what they print today."""

from pathlib import Path

import pytest
from tools.answers import BLOCK, PAGES, refreshed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_the_answers_of_today(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert refreshed(text) == text, "run `make answers`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_with_our_prompt_is_one_that_is_run(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(BLOCK.findall(text)) == text.count("\n$ fairlead ")
