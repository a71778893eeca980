"""A provider that streams canned chunks at a fixed pace, in two dialects, to many clients cheaply.

The path says the pace: `/64x20/v1/chat/completions` answers with 64 chunks, 20 ms apart; a path that ends in
`/messages` answers in Anthropic's events. `GET /stats` says what happened. It must not know the gateway.
"""

import argparse
import asyncio
import functools
import json
import re
from collections.abc import Callable
from typing import cast

import uvloop

WORD = " lantern"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
SHAPE = re.compile(rb"/(\d+)x(\d+)/")
SLOT = 0.002
"""Streams of one pace are spread over slots this far apart, so that the load is even."""


def openai_chunks(count: int) -> list[str]:
    """The events of one answer, one write each; the first carries text, the last also the usage and the end."""

    def event(choices: str, usage: str = "null") -> str:
        return (
            'data: {"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion.chunk",'
            '"created":1741570283,"model":"canned","service_tier":"default",'
            f'"system_fingerprint":"fp_fc9f1d7035","choices":[{choices}],"usage":{usage}}}\n\n'
        )

    def delta(fields: str, finish: str = "null") -> str:
        return event(f'{{"index":0,"delta":{fields},"logprobs":null,"finish_reason":{finish}}}')

    middle = delta(f'{{"content":"{WORD}"}}')
    first = delta(f'{{"role":"assistant","content":"{WORD}","refusal":null}}')
    usage = f'{{"prompt_tokens":19,"completion_tokens":{count},"total_tokens":{count + 19}}}'
    last = middle + delta("{}", '"stop"') + event("", usage) + "data: [DONE]\n\n"
    return [first, *[middle] * (count - 2), last]


def anthropic_chunks(count: int) -> list[str]:
    def event(name: str, fields: str) -> str:
        return f'event: {name}\ndata: {{"type":"{name}",{fields}}}\n\n'

    start = event(
        "message_start",
        '"message":{"id":"msg_014p7gG3wDgGV9EUtLvnow3U","type":"message","role":"assistant","model":"canned",'
        '"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":19,"output_tokens":1}}',
    ) + event("content_block_start", '"index":0,"content_block":{"type":"text","text":""}')
    middle = event("content_block_delta", f'"index":0,"delta":{{"type":"text_delta","text":"{WORD}"}}')
    end = (
        event("content_block_stop", '"index":0')
        + event(
            "message_delta",
            '"delta":{"stop_reason":"end_turn","stop_sequence":null},'
            f'"usage":{{"input_tokens":19,"output_tokens":{count}}}',
        )
        + 'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )
    return [start + middle, *[middle] * (count - 2), middle + end]


@functools.cache
def script(dialect: str, count: int) -> list[bytes]:
    """The writes of one answer, framed for the wire."""
    make = anthropic_chunks if dialect == "anthropic" else openai_chunks
    bodies = [chunk.encode() for chunk in make(count)]
    writes = [b"%x\r\n%b\r\n" % (len(body), body) for body in bodies]
    return [HEAD + writes[0], *writes[1:-1], writes[-1] + b"0\r\n\r\n"]


class Pace:
    """All the streams of one interval, driven by one timer."""

    def __init__(self, interval: float, stats: dict[str, float]) -> None:
        self._slots: list[set[Stream]] = [set() for _ in range(max(1, round(interval / SLOT)))]
        self._step = interval / len(self._slots)
        self._at = 0
        self._due = 0.0
        self._running = False
        self._stats = stats
        self._loop = asyncio.get_running_loop()

    def join(self, stream: "Stream") -> None:
        self._slots[self._at].add(stream)
        stream.leave = functools.partial(self._slots[self._at].discard, stream)
        if not self._running:
            self._running = True
            self._due = self._loop.time()
            self._arm()

    def _arm(self) -> None:
        self._due += self._step
        self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        late = self._loop.time() - self._due
        self._stats["late_max_ms"] = max(self._stats["late_max_ms"], late * 1e3)
        self._at = (self._at + 1) % len(self._slots)
        slot = self._slots[self._at]
        ended = [stream for stream in slot if not stream.step()]
        self._stats["chunks"] += len(slot)
        slot.difference_update(ended)
        self._running = any(self._slots)
        if self._running:
            self._arm()


class Stream(asyncio.Protocol):
    """One connection: reads a request, then writes its script one chunk per turn of the pace."""

    def __init__(self, paces: dict[float, Pace], stats: dict[str, float]) -> None:
        self._paces, self._stats = paces, stats
        self._input = b""
        self._script: list[bytes] = []
        self._next = 0
        self.leave: Callable[[], None] = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._next < len(self._script):
            self._stats["cut"] += 1
            self._stats["open"] -= 1
        self._script = []
        self.leave()

    def data_received(self, data: bytes) -> None:
        self._input += data
        head, found, body = self._input.partition(b"\r\n\r\n")
        if not found:
            return
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if len(body) < (int(length.group(1)) if length else 0):
            return
        self._input = b""
        self._answer(head.split(b" ", 2)[1])

    def step(self) -> bool:
        """Writes the next chunk; says whether there is another."""
        self._transport.write(self._script[self._next])
        self._next += 1
        if self._next < len(self._script):
            return True
        self._stats["open"] -= 1
        return False

    def _answer(self, path: bytes) -> None:
        shape = SHAPE.search(path)
        if not shape:
            body = json.dumps(self._stats).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            self._stats["late_max_ms"] = 0.0
            return
        dialect = "anthropic" if path.partition(b"?")[0].endswith(b"/messages") else "openai"
        self._script, self._next = script(dialect, int(shape.group(1))), 0
        self._stats["streams"] += 1
        self._stats["open"] += 1
        interval = int(shape.group(2)) / 1e3
        if interval not in self._paces:
            self._paces[interval] = Pace(interval, self._stats)
        if self.step():
            self._paces[interval].join(self)


async def serve(port: int) -> None:
    stats = {"streams": 0, "open": 0, "cut": 0, "chunks": 0, "late_max_ms": 0.0}
    paces: dict[float, Pace] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stream(paces, stats), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
