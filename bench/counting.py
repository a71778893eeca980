"""What counting the tokens of a prompt costs: CPU by size, and the loading and memory of the vocabularies.

    python bench/counting.py [TEXT ...]

Counts the text of the files, or without any its own. It runs in one process, beside no load.
"""

import argparse
import asyncio
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import machine
from fairlead.catalog.counting import counting
from fairlead.dialects import openai_chat
from fairlead.tokens.chat import content
from fairlead.tokens.counter import Counter
from fairlead.tokens.vocabulary import PUBLISHED

PROSE = "Limits must hold across processes, machines and restarts; a budget of $12.50 is never exceeded by a client. "
SIZES = {"1 kB": 1024, "20 kB": 20_480, "400 kB": 409_600}
MODELS = {"o200k_base": "gpt-4o", "cl100k_base": "gpt-4", "characters": "claude-sonnet-4-5"}
ROUNDS = 7


class Pulse:
    """Watches for how long, at the most, other threads did not get to run."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat)

    def _beat(self) -> None:
        last = time.perf_counter()
        while not self._over.wait(0.0005):
            now = time.perf_counter()
            self.longest, last = max(self.longest, now - last), now

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


async def micros(work: Callable[[], Awaitable[object]], calls: int) -> float:
    """CPU of this process, threads included, per call: the least of some rounds, in microseconds."""
    rounds = []
    for _ in range(ROUNDS):
        cpu = time.process_time()
        for _ in range(calls):
            await work()
        rounds.append((time.process_time() - cpu) / calls * 1e6)
    return min(rounds)


def loading(counter: Counter) -> None:
    for name in PUBLISHED:
        before = machine.memory(os.getpid()).rss_mb
        with Pulse() as pulse:
            begun = time.perf_counter()
            counter.load((name,))
            taken = time.perf_counter() - begun
        gc.collect()
        grown = machine.memory(os.getpid()).rss_mb - before
        print(f"{name}: loaded in {taken * 1e3:.0f} ms, {pulse.longest * 1e3:.0f} ms at a stretch, {grown:+.0f} MB")


async def prompts(counter: Counter, text: str) -> None:
    print("| prompt | decode | " + " | ".join(MODELS) + " |")
    print("|---|---|" + "---|" * len(MODELS))
    for title, size in SIZES.items():
        message = {"role": "user", "content": (text * (size // len(text) + 1))[:size]}
        body = json.dumps({"model": "m", "messages": [message]}).encode()
        calls = max(2_000_000 // size, 3)

        async def decode(body: bytes) -> None:
            content(openai_chat.decode_request(body))

        shown = content(openai_chat.decode_request(body))
        work: list[Callable[[], Awaitable[object]]] = [partial(decode, body)]
        work += [partial(counter.count, shown, counting(model)) for model in MODELS.values()]
        cells = [await micros(each, calls) for each in work]
        print(f"| {title} | " + " | ".join(f"{cell:,.0f} µs" for cell in cells) + " |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="*", type=Path, help="files whose text is counted")
    args = parser.parse_args()
    text = "".join(path.read_text() for path in args.text) or PROSE
    counter = Counter()
    loading(counter)
    asyncio.run(prompts(counter, text))
    counter.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
