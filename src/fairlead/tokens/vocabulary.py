"""OpenAI's vocabularies from the files beside this one: no network, no cache directory, no environment variable.

tiktoken is imported when one is loaded, never before: whoever counts nothing pays nothing.
"""

import zlib
from importlib.resources import files
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import msgspec

from fairlead.catalog.counting import Vocabulary

if TYPE_CHECKING:
    from tiktoken import Encoding


class Published(msgspec.Struct, frozen=True):
    """What OpenAI publishes of a vocabulary beside its tokens."""

    tokens: int
    sha256: str
    """Of the published file, which the shipped one is made from."""
    pattern: str
    special: dict[str, int]


PUBLISHED: dict[Vocabulary, Published] = {
    "o200k_base": Published(
        tokens=199_998,
        sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        pattern=(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
            r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        ),
        special={"<|endoftext|>": 199_999, "<|endofprompt|>": 200_018},
    ),
    "cl100k_base": Published(
        tokens=100_256,
        sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        pattern=(
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+|"
            r" ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
        ),
        special={
            "<|endoftext|>": 100_257,
            "<|fim_prefix|>": 100_258,
            "<|fim_middle|>": 100_259,
            "<|fim_suffix|>": 100_260,
            "<|endofprompt|>": 100_276,
        },
    ),
}


def load(name: Vocabulary) -> "Encoding":
    """The encoding, ready to count. Takes 0.1 to 0.3 s, of which tiktoken holds the interpreter for more than half."""
    from tiktoken import Encoding

    published = PUBLISHED[name]
    ranks = {token: rank for rank, token in enumerate(shipped(name))}
    encoding = Encoding(name, pat_str=published.pattern, mergeable_ranks=ranks, special_tokens=published.special)
    ranks.clear()  # tiktoken has made its own tables of them, and keeps ours too
    return encoding


def shipped(name: Vocabulary) -> list[bytes]:
    """Every token in the order of its rank. Raises ValueError where the shipped file is damaged."""
    packed = (files("fairlead.tokens") / "vocabularies" / f"{name}.bin").read_bytes()
    count = PUBLISHED[name].tokens
    try:
        unpacked = zlib.decompress(packed)
    except zlib.error as error:
        raise ValueError(f"the shipped vocabulary {name!r} is damaged ({error}); install fairlead anew") from None
    ends = list(accumulate(unpacked[:count], initial=count))
    if ends[-1] != len(unpacked) or len(ends) != count + 1:
        raise ValueError(f"the shipped vocabulary {name!r} is damaged (its length is wrong); install fairlead anew")
    return [unpacked[begin:end] for begin, end in pairwise(ends)]
