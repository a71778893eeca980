"""Events → the stream of chat completion chunks that an OpenAI client reads.

It knows which chunks such a client needs, and in which order. It must not know where the events come from.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from fairlead.canonical.events import (
    Event,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from fairlead.dialects.openai_chat.errors import encode_broken
from fairlead.dialects.openai_chat.usage import encode_finish, encode_usage

_json = msgspec.json.encode
_DONE = b"data: [DONE]\n\n"


class Encoder:
    """One event in, its chunks out. Every chunk of a stream has the same id, model and time."""

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._head = b""
        self._tail = b"]}\n\n"
        self._refused = False
        self._calls: dict[int, int] = {}

    def encode(self, event: Event) -> bytes:
        """The bytes that tell `event`; none for what the dialect has no words for (signatures)."""
        match event:
            case TextDelta(text=text):
                return self._delta(b'{"content":' + _json(text) + b"}")
            case ToolCallDelta(index=index, arguments=arguments):
                return self._call(index, {"function": {"arguments": arguments}})
            case ReasoningDelta(text=text):
                return self._delta(b'{"reasoning_content":' + _json(text) + b"}") if text else b""
            case RefusalDelta(text=text):
                self._refused = True
                return self._delta(b'{"refusal":' + _json(text) + b"}")
            case ToolCallStarted(index=index, id=call_id, name=name):
                self._calls[index] = len(self._calls)
                function = {"name": name, "arguments": ""}
                return self._call(index, {"id": call_id, "type": "function", "function": function})
            case Started():
                return self._start(event)
            case Finished():
                return self._finish(event)
            case _:
                return encode_broken(event)

    def _start(self, event: Started) -> bytes:
        head = {"id": event.id, "object": "chat.completion.chunk", "created": event.created, "model": event.model}
        self._head = b"data: " + _json(head)[:-1] + b',"choices":['
        self._tail = b'],"usage":null}\n\n' if self._include_usage else b"]}\n\n"
        return self._delta(b'{"role":"assistant","content":"","refusal":null}')

    def _finish(self, event: Finished) -> bytes:
        reason = encode_finish(event.reason, refused=self._refused).encode()
        last = self._chunk(b'{"index":0,"delta":{},"logprobs":null,"finish_reason":"' + reason + b'"}')
        if self._include_usage and event.usage is not None:
            last += self._head + b'],"usage":' + _json(encode_usage(event.usage)) + b"}\n\n"
        return last + _DONE

    def _call(self, index: int, call: Mapping[str, Any]) -> bytes:
        return self._delta(b'{"tool_calls":[' + _json({"index": self._calls[index], **call}) + b"]}")

    def _delta(self, delta: bytes) -> bytes:
        return self._chunk(b'{"index":0,"delta":' + delta + b',"logprobs":null,"finish_reason":null}')

    def _chunk(self, choice: bytes) -> bytes:
        return self._head + choice + self._tail
