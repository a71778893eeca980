"""Counts the input of requests, exactly where that is quick enough, and never holds the event loop up.

A short text is counted at once, a long one in a thread (tiktoken lets the interpreter go meanwhile). Where the
vocabulary is not there yet, or more is waiting for the thread than it counts in a moment, characters are estimated.
"""

from asyncio import get_running_loop
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from fairlead.catalog.counting import Counting, Vocabulary
from fairlead.tokens.characters import estimated
from fairlead.tokens.chat import Content
from fairlead.tokens.vocabulary import load

if TYPE_CHECKING:
    from tiktoken import Encoding

AT_ONCE = 24_576
"""Characters that are counted on the event loop: 1 to 2 ms for prose, 5 ms for the worst that a client can send."""
WAITING = 1_000_000
"""Characters that may wait for the thread: about 50 ms of prose."""
PIECE = 65_536
"""Characters that tiktoken is given at once: a run of a million spaces makes its pattern matcher give up."""


class Counter:
    """The loaded vocabularies of one process, and the thread that counts long texts."""

    def __init__(self) -> None:
        self._encodings: dict[Vocabulary, Encoding] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tokens")
        self._waiting = 0

    def load(self, names: Iterable[Vocabulary]) -> None:
        """Loads what is not loaded yet, and returns when it is: for the time before a worker takes requests."""
        for name in names:
            if name not in self._encodings:
                self._encodings[name] = load(name)

    def prepare(self, names: Iterable[Vocabulary]) -> None:
        """Begins to load what is not loaded yet, in the thread. Until it is there, characters are estimated.

        tiktoken does not let the interpreter go while it builds its tables: other tasks stand still for 0.1 to 0.2 s.
        """
        missing = [name for name in names if name not in self._encodings]
        if missing:
            get_running_loop().run_in_executor(self._thread, self.load, missing)

    async def count(self, content: Content, counting: Counting) -> int:
        """The input tokens of `content` on a model that is counted as `counting` says."""
        encoding = self._encodings.get(counting.vocabulary) if counting.vocabulary else None
        size = content.size
        if encoding is not None and size <= AT_ONCE:
            texts = _exactly(encoding, content.texts)
        elif encoding is not None and self._waiting + size <= WAITING:
            texts = await self._elsewhere(encoding, content.texts, size)
        else:
            texts = sum(estimated(text, counting.per_cent) for text in content.texts)
        return texts + _surroundings(content, counting)

    async def _elsewhere(self, encoding: "Encoding", texts: list[str], size: int) -> int:
        self._waiting += size
        try:
            return await get_running_loop().run_in_executor(self._thread, _exactly, encoding, texts)
        finally:
            self._waiting -= size

    def close(self) -> None:
        """Ends the thread once it has done what it is at."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _surroundings(content: Content, counting: Counting) -> int:
    """Everything but the texts."""
    return (
        content.frame
        + content.images * counting.image
        + content.small_images * counting.small_image
        + (counting.tools if content.tools else 0)
    )


def _exactly(encoding: "Encoding", texts: list[str]) -> int:
    """Special tokens in a text are text: a client cannot spell one."""
    count = encoding.encode_ordinary
    return sum(len(count(piece)) for text in texts for piece in pieces(text))


def pieces(text: str) -> Iterator[str]:
    """`text` in pieces of at most PIECE characters, cut where both patterns cut: between a word and a space.

    A text without such a place is cut anyway, which can only part a token in two.
    """
    begin = 0
    while len(text) - begin > PIECE:
        end = _word_end(text, begin + PIECE // 2, begin + PIECE)
        yield text[begin:end]
        begin = end
    yield text[begin:] if begin else text


def _word_end(text: str, low: int, high: int) -> int:
    """The last place in [low, high) where a word ends before a space and a letter; `high` where a look finds none."""
    place = high
    for _ in range(64):
        place = text.rfind(" ", low, place)
        if place < 0:
            break
        if text[place - 1].isalnum() and text[place + 1].isalpha():
            return place
    return high
