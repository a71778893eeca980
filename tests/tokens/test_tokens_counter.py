"""The counter is exact where it can be, and never keeps the event loop or a request waiting."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken import Encoding

from fairlead.catalog.counting import Vocabulary, counting
from fairlead.tokens import counter as module
from fairlead.tokens.characters import estimated
from fairlead.tokens.chat import Content
from fairlead.tokens.counter import AT_ONCE, PIECE, WAITING, Counter, pieces

GPT, CLAUDE = counting("gpt-4o"), counting("claude-sonnet-4-5")
PROSE = "Limits must hold across processes, and a budget is never exceeded. "
WORST = (" ", "\n", "a", "^", "0", "限", "👨‍👩‍👧‍👦", "\n \n\t", "qzxvkjwpfy" * 7)


def plain(*texts: str) -> Content:
    return Content(list(texts), frame=0)


@pytest.fixture
def fresh() -> Iterator[Counter]:
    """A counter with nothing loaded; closed at the end."""
    counter = Counter()
    yield counter
    counter.close()


async def test_text_for_a_public_vocabulary_is_exact(counter: Counter, o200k: Encoding, cl100k: Encoding) -> None:
    assert await counter.count(plain(PROSE, "限制"), GPT) == len(o200k.encode(PROSE)) + len(o200k.encode("限制"))
    assert await counter.count(plain(PROSE), counting("gpt-4")) == len(cl100k.encode(PROSE))


async def test_other_text_is_estimated_with_the_models_own_margin(counter: Counter) -> None:
    assert await counter.count(plain(PROSE), CLAUDE) == estimated(PROSE, 115)
    assert await counter.count(plain(PROSE), counting("claude-opus-5")) == estimated(PROSE, 150)


async def test_a_special_token_in_a_text_is_text(counter: Counter) -> None:
    assert await counter.count(plain("<|endoftext|>"), GPT) == 7


async def test_a_lone_surrogate_is_counted_all_the_same(counter: Counter) -> None:
    assert await counter.count(plain("a\ud800b"), GPT) > 0
    assert await counter.count(plain("a\ud800b"), CLAUDE) > 0


async def test_long_text_is_counted_exactly_and_in_the_thread(
    counter: Counter, o200k: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    exactly = module._exactly

    def watched(encoding: Encoding, texts: list[str]) -> int:
        seen.append(threading.current_thread().name)
        return exactly(encoding, texts)

    monkeypatch.setattr(module, "_exactly", watched)
    short, long = PROSE, PROSE * 1500
    assert len(long) > AT_ONCE
    assert await counter.count(plain(short), GPT) == len(o200k.encode(short))
    assert await counter.count(plain(long), GPT) == len(o200k.encode(long))
    assert seen[0] == threading.current_thread().name
    assert seen[1].startswith("tokens")


async def test_what_would_wait_long_is_estimated(counter: Counter, o200k: Encoding) -> None:
    """A queue of more than a moment's work: what is long does not join it, what is short never has to."""
    text = PROSE * (WAITING // len(PROSE) // 2)
    long = [asyncio.ensure_future(counter.count(plain(text), GPT)) for _ in range(2)]
    await asyncio.sleep(0)
    third, short = await counter.count(plain(text), GPT), await counter.count(plain(PROSE), GPT)
    assert third == estimated(text, 115)
    assert short == len(o200k.encode(PROSE))
    assert await asyncio.gather(*long) == [len(o200k.encode(text))] * 2
    assert await counter.count(plain(PROSE * 2 * WAITING), GPT) == estimated(PROSE * 2 * WAITING, 115)


async def test_a_request_that_is_given_up_leaves_the_queue(counter: Counter, o200k: Encoding) -> None:
    text = PROSE * (WAITING // len(PROSE) - 1)
    tasks = [asyncio.ensure_future(counter.count(plain(text), GPT)) for _ in range(2)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await counter.count(plain(text), GPT) == len(o200k.encode(text))


async def test_characters_are_estimated_until_the_vocabulary_is_there(
    fresh: Counter, o200k: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading happens in the thread, once, and only when it is asked for."""
    go, loaded = threading.Event(), []

    def load(name: Vocabulary) -> Encoding:
        go.wait(10)
        loaded.append((name, threading.current_thread().name.startswith("tokens")))
        return o200k

    monkeypatch.setattr(module, "load", load)
    assert await fresh.count(plain(PROSE), GPT) == estimated(PROSE, 115)
    fresh.prepare(["o200k_base"])
    fresh.prepare(["o200k_base"])
    assert await fresh.count(plain(PROSE), GPT) == estimated(PROSE, 115)
    go.set()
    exact = len(o200k.encode(PROSE))
    async with asyncio.timeout(10):
        while await fresh.count(plain(PROSE), GPT) != exact:
            await asyncio.sleep(0.001)
    assert loaded == [("o200k_base", True)]


@pytest.mark.parametrize("unit", WORST)
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4"])
async def test_no_text_defeats_the_counter_or_holds_the_loop(counter: Counter, model: str, unit: str) -> None:
    """The texts that are worst for tiktoken: a million spaces end it where they are given to it at once."""
    at_once = (unit * AT_ONCE)[: AT_ONCE - 100]
    begun = time.thread_time()
    assert await counter.count(plain(at_once), counting(model)) > 0
    assert time.thread_time() - begun < 0.05
    assert await counter.count(plain((unit * WAITING)[: WAITING - 100]), counting(model)) > 0


@given(st.text(min_size=0, max_size=400), st.integers(8, 60))
def test_pieces_are_the_text_and_none_is_too_long(text: str, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE", size)
        found = list(pieces(text))
    assert "".join(found) == text
    assert all(len(piece) <= size for piece in found)


WORDS = st.text(st.sampled_from("abcABC'1.,-_äß限\n\t/{}\""), min_size=1, max_size=12)


@settings(deadline=None)
@given(st.lists(WORDS, max_size=60).map(" word ".join))
def test_a_cut_between_words_changes_no_count(o200k: Encoding, cl100k: Encoding, text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE", 64)
        found = list(pieces(text))
    if not all(cut[0] == " " for cut in found[1:]):
        return
    for encoding in (o200k, cl100k):
        assert sum(len(encoding.encode_ordinary(piece)) for piece in found) == len(encoding.encode_ordinary(text))


def test_a_cut_is_never_before_a_space_that_may_be_part_of_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spaces in a row, or before a line's end or a mark, are one token's more often than not."""
    monkeypatch.setattr(module, "PIECE", 24)
    assert next(pieces("abcdefghijklm nopq  - \n  (rest)")) == "abcdefghijklm"


def test_long_prose_is_cut_only_between_words() -> None:
    found = list(pieces(PROSE * 5000))
    assert len(found) > 4
    assert all(len(piece) <= PIECE for piece in found)
    assert all(cut[0] == " " and cut[1].isalpha() for cut in found[1:])
