"""Streams in Anthropic's words for tests: spelled event by event, and read by Anthropic's own SDK."""

import json
from typing import Any

import httpx2
from anthropic import Anthropic
from anthropic.types import Message

Json = dict[str, Any]


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def start(**usage: Any) -> bytes:
    message: Json = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 1, **usage},
    }
    return event("message_start", message=message)


def block(index: int, begin: Json, *deltas: Json) -> bytes:
    """A whole block: its start, its deltas, its stop."""
    pieces = [event("content_block_start", index=index, content_block=begin)]
    pieces += [event("content_block_delta", index=index, delta=delta) for delta in deltas]
    return b"".join((*pieces, event("content_block_stop", index=index)))


def text(index: int, *pieces: str) -> bytes:
    deltas = [{"type": "text_delta", "text": piece} for piece in pieces]
    return block(index, {"type": "text", "text": ""}, *deltas)


def tool(index: int, call_id: str, name: str, *pieces: str) -> bytes:
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return block(index, {"type": "tool_use", "id": call_id, "name": name, "input": {}}, *deltas)


def end(reason: str | None = "end_turn", *, usage: Json | None = None, **delta: Any) -> bytes:
    last = {"stop_reason": reason, "stop_sequence": None, **delta}
    return event("message_delta", delta=last, usage=usage or {"output_tokens": 5}) + event("message_stop")


PING = event("ping")


def read_by_sdk(stream: bytes) -> Message:
    """The message that Anthropic's own client makes of `stream`; raises what the client raises."""

    def reply(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream)

    with (
        httpx2.Client(transport=httpx2.MockTransport(reply)) as http,
        Anthropic(api_key="k", base_url="http://x", http_client=http, max_retries=0) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as opened,
    ):
        return opened.get_final_message()


def sent(stream: bytes) -> list[Json]:
    """The data of every event, after a check that its name is its type."""
    found = []
    for raw in stream.decode().split("\n\n")[:-1]:
        name, data = raw.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found
