"""A load of SSE streams: time to the first text, gaps between chunks, clean ends, cancels. Prints one JSON object.

It knows how a chat is asked for and that our canned provider's text is one word per chunk; it must not know who
answers: the provider itself, nginx or the gateway.
"""

import argparse
import asyncio
import json
import time
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

WORD = b"lantern"
END = b"0\r\n\r\n"
STALL = 0.050
"""A gap this much longer than the pace is a stall."""
clock = time.perf_counter  # uvloop's own time has steps of a millisecond


class Tally:
    """What all streams saw together; times in seconds."""

    def __init__(self, pace: float) -> None:
        self.pace = pace
        self.first: list[float] = []
        self.gaps: list[float] = []
        self.chunks = self.complete = self.cancelled = self.failed = self.stalls = 0
        self.complaint = ""

    def gap(self, seconds: float) -> None:
        self.gaps.append(seconds)
        self.stalls += seconds > self.pace + STALL

    def fail(self, why: str) -> None:
        self.failed += 1
        self.complaint = self.complaint or why

    def summary(self, wall: float) -> dict[str, Any]:
        first, gaps = sorted(self.first), sorted(self.gaps)
        return {
            "chunks": self.chunks,
            "complete": self.complete,
            "cancelled": self.cancelled,
            "failed": self.failed,
            "complaint": self.complaint,
            "seconds": wall,
            "ttft_p50_ms": percentile(first, 50) * 1e3,
            "ttft_p99_ms": percentile(first, 99) * 1e3,
            "gap_p50_ms": percentile(gaps, 50) * 1e3,
            "gap_p99_ms": percentile(gaps, 99) * 1e3,
            "gap_max_ms": (gaps[-1] if gaps else 0.0) * 1e3,
            "stalls": self.stalls,
        }


class Stream(asyncio.Protocol):
    """One connection. It asks, reads its answer to the end (or hangs up after `cancel` chunks), and asks again."""

    def __init__(self, request: bytes, tally: Tally, rounds: int, cancel: int) -> None:
        self._request, self._tally, self._cancel = request, tally, cancel
        self._left = rounds
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._clear()

    def _clear(self) -> None:
        self._seen = 0
        self._at = 0.0
        self._tail = b""
        self._done = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self) -> None:
        self._clear()
        self._left -= 1
        self._asked = clock()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = clock()
        if not self._tail and not data.startswith(b"HTTP/1.1 200"):
            self._stop(data[:300].decode("latin-1"))
            return
        data = self._tail + data
        words = data.count(WORD)
        if words:
            self._count(words, now)
        self._done = self._done or b"[DONE]" in data
        if self._cancel and self._seen >= self._cancel:
            self._tally.cancelled += 1
            self._stop(None)
            return
        if data.endswith(END):
            self._finish()
            return
        self._tail = data[-6:]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.over.done():
            self._tally.fail(f"the connection closed after {self._seen} chunks")
            self.over.set_result(None)

    def _count(self, words: int, now: float) -> None:
        if self._seen:
            self._tally.gap(now - self._at)
        else:
            self._tally.first.append(now - self._asked)
        self._at = now
        self._seen += words
        self._tally.chunks += words

    def _finish(self) -> None:
        if not self._done:
            self._stop("a clean end without [DONE]")
            return
        self._tally.complete += 1
        if self._left:
            self.ask()
        else:
            self._stop(None)

    def _stop(self, why: str | None) -> None:
        if why is not None:
            self._tally.fail(why)
        if not self.over.done():
            self.over.set_result(None)
        self._transport.abort()


def percentile(ordered: list[float], rank: float) -> float:
    """The value below which `rank` per cent of an ordered list lie; 0 of an empty one."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * rank / 100))] if ordered else 0.0


def request_bytes(url: str, model: str, key: str) -> bytes:
    body = json.dumps(
        {
            "model": model,
            "stream": True,
            "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": "Say the word for the light a ship hangs out. " * 18}],
        }
    ).encode()
    return (
        f"POST {urlsplit(url).path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def load(args: argparse.Namespace) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    tally = Tally(args.pace)
    where = urlsplit(args.url)
    request = request_bytes(args.url, args.model, args.key)
    begun = loop.time()

    async def one(wait: float) -> None:
        if args.late_connect:
            await asyncio.sleep(wait)
        _, stream = await loop.create_connection(
            lambda: Stream(request, tally, args.rounds, args.cancel), where.hostname, where.port
        )
        if not args.late_connect:
            await asyncio.sleep(max(0.0, begun + 0.2 + wait - loop.time()))
        stream.ask()
        await stream.over

    async with asyncio.timeout(args.timeout):
        for _ in range(args.repeat):
            await asyncio.gather(*(one(args.ramp * n / args.streams) for n in range(args.streams)))
    return tally.summary(loop.time() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", default="paced")
    parser.add_argument("--key", default="none")
    parser.add_argument("--streams", type=int, default=512, help="connections at once")
    parser.add_argument("--rounds", type=int, default=1, help="streams on each connection, one after another")
    parser.add_argument("--repeat", type=int, default=1, help="the whole load so many times, on new connections")
    parser.add_argument("--ramp", type=float, default=0.0, help="seconds over which the starts are spread")
    parser.add_argument("--pace", type=float, default=0.020, help="the provider's seconds between chunks")
    parser.add_argument("--cancel", type=int, default=0, help="hang up after so many chunks (0: never)")
    parser.add_argument("--late-connect", action="store_true", help="connect when the stream starts")
    parser.add_argument("--timeout", type=float, default=60.0)
    print(json.dumps(uvloop.run(load(parser.parse_args()))))


if __name__ == "__main__":
    main()
