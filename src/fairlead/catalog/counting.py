"""How a model's input is counted, by its name: which vocabulary it has, and the most that its images and tools cost.

Rows only, and pure. It must not know how texts are counted (tokens). Sources and reasons: docs/estimates.md.
"""

from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Literal

import msgspec

Vocabulary = Literal["o200k_base", "cl100k_base"]


class Counting(msgspec.Struct, frozen=True, kw_only=True):
    """Figures in tokens, each the most that it can be."""

    vocabulary: Vocabulary | None = None
    """None: the model's own is not public, and its texts are estimated from their characters."""
    per_cent: int = 115
    """Where texts are estimated: of the tokens that their characters come to."""
    image: int
    small_image: int
    """An image for which the client asked for low detail."""
    tools: int = 0
    """What the provider adds by itself once there are tools."""


def _estimated(per_cent: int, image: int) -> Counting:
    """A model whose vocabulary is not public. 530: the most that Anthropic documents for tools."""
    return Counting(per_cent=per_cent, image=image, small_image=image, tools=530)


def _tiles(vocabulary: Vocabulary, base: int, tile: int) -> Counting:
    """An image of at most 768 by 2048 pixels: up to eight tiles of 512 by 512; a small one is the base alone."""
    return Counting(vocabulary=vocabulary, image=base + 8 * tile, small_image=base)


def _patches(most: int) -> Counting:
    """Up to 1536 patches of 32 by 32 pixels, times the model's factor; low detail is not promised to cost less."""
    return Counting(vocabulary="o200k_base", image=most, small_image=most)


FAMILIES: tuple[tuple[str, Counting], ...] = (
    ("gpt-4o-mini*", _tiles("o200k_base", 2833, 5667)),
    ("gpt-4o*", _tiles("o200k_base", 85, 170)),
    ("chatgpt-4o*", _tiles("o200k_base", 85, 170)),
    ("gpt-4.1-mini*", _patches(2489)),
    ("gpt-4.1-nano*", _patches(3779)),
    ("gpt-4.1*", _tiles("o200k_base", 85, 170)),
    ("gpt-4.5*", _tiles("o200k_base", 85, 170)),
    ("gpt-5*-mini*", _patches(2489)),
    ("gpt-5*-nano*", _patches(3779)),
    ("gpt-5.*", _patches(10_000)),
    ("gpt-5*", _tiles("o200k_base", 70, 140)),
    ("o1*", _tiles("o200k_base", 75, 150)),
    ("o3*", _tiles("o200k_base", 75, 150)),
    ("o4*", _patches(2642)),
    ("gpt-4*", _tiles("cl100k_base", 85, 170)),
    ("gpt-3.5*", _tiles("cl100k_base", 85, 170)),
    ("gpt-35-*", _tiles("cl100k_base", 85, 170)),
    ("text-embedding-*", _tiles("cl100k_base", 85, 170)),
    ("claude-3*", _estimated(115, 1600)),
    ("claude-*-4-[0-6]*", _estimated(115, 1600)),
    ("claude-*", _estimated(150, 4800)),
)
"""The first match counts. Who serves the model does not matter: OpenAI's names are OpenAI's models.

Claude's newer models make about 30 % more tokens of the same text, which is what 150 stands for.
"""

OTHER = _estimated(115, 4800)


@lru_cache(maxsize=4096)
def counting(model: str) -> Counting:
    """How the input of `model` is counted. A vendor in front (`openai/…`) and `ft:` are looked through."""
    name = model.rpartition("/")[2].removeprefix("ft:")
    return next((row for pattern, row in FAMILIES if fnmatchcase(name, pattern)), OTHER)
