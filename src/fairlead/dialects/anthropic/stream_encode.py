"""Canonical events → an Anthropic stream.

It knows that Anthropic's blocks come one after the other, each begun and ended before the next. It must not know which
provider the events came from.
"""

from typing import Any

import msgspec

from fairlead.canonical.events import (
    Broken,
    Event,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from fairlead.canonical.usage import Usage
from fairlead.dialects.anthropic.answer import stop_details
from fairlead.dialects.anthropic.errors import encode_broken
from fairlead.dialects.anthropic.request_encode import is_object
from fairlead.dialects.anthropic.usage import encode_usage, stop_reason
from fairlead.dialects.sse import frame

_Delta = TextDelta | ReasoningDelta | ToolCallStarted | ToolCallDelta

_json = msgspec.json.encode
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b}\n\n'
_BEGINNINGS: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
    "redacted_thinking": {"type": "redacted_thinking"},
    "tool_use": {"type": "tool_use", "input": {}},
}


class Encoder:
    """One block is open at a time. A part that begins while another is open closes it, and what comes late for a closed
    text or reasoning goes into a further block. Calls cannot be reopened: while the open one's arguments are no whole
    JSON object, whatever belongs to other parts waits.
    """

    def __init__(self, *, include_usage: bool) -> None:  # noqa: ARG002 - Anthropic always tells the usage
        self._over = False
        self._usage = Usage()
        self._refusal: list[str] = []
        self._block = -1
        self._part: int | None = None
        self._kind = ""
        self._arguments: list[str] = []
        self._grown = False
        self._calls: set[int] = set()
        self._waiting: list[_Delta] = []

    def encode(self, event: Event) -> bytes:
        """The bytes that tell `event` now; b"" while it has to wait, and after the stream's end."""
        if self._over:
            return b""
        match event:
            case Started():
                return self._start(event)
            case RefusalDelta(text=text):
                self._refusal.append(text)
                return b""
            case Finished():
                self._over = True
                return self._finish(event)
            case Broken():
                self._over = True
                return encode_broken(event)
            case _:
                return self._place(event)

    def _start(self, event: Started) -> bytes:
        self._usage = event.usage or Usage()
        message: dict[str, Any] = {
            "id": event.id,
            "type": "message",
            "role": "assistant",
            "model": event.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": encode_usage(self._usage),
        }
        return _event("message_start", message=message)

    def _finish(self, event: Finished) -> bytes:
        pieces = [self._close()]
        while self._waiting:
            pieces += [self._release(), self._close()]
        refusal = "".join(self._refusal)
        delta: dict[str, Any] = {
            "stop_reason": stop_reason(
                event.reason, raw=event.raw_reason, stop_sequence=event.stop_sequence, refused=bool(refusal)
            ),
            "stop_sequence": event.stop_sequence,
        }
        if refusal:
            delta["stop_details"] = stop_details(refusal)
        pieces.append(_event("message_delta", delta=delta, usage=encode_usage(event.usage or self._usage)))
        pieces.append(_event("message_stop"))
        return b"".join(pieces)

    def _place(self, event: _Delta) -> bytes:
        """`event` in its block, which is begun now if need be; or b"" and it waits."""
        kind = _kind(event)
        if event.index == self._part and kind == self._kind != "redacted_thinking":
            return self._delta(event)
        if kind == "tool_use" and event.index in self._calls:
            return b""  # its arguments were whole: nothing but blanks can follow
        if not self._is_whole():
            self._waiting.append(event)
            return b""
        closed = self._close()
        if self._waiting:
            self._waiting.append(event)
            return closed + self._release()
        if isinstance(event, ToolCallDelta):
            return closed  # of a call that never began
        return closed + self._begin(event, kind) + self._delta(event)

    def _release(self) -> bytes:
        """Another try for everything that waits, in its order, now that no block is open."""
        waiting, self._waiting = self._waiting, []
        return b"".join([self._place(event) for event in waiting])

    def _begin(self, event: _Delta, kind: str) -> bytes:
        self._part, self._kind = event.index, kind
        self._block += 1
        block = dict(_BEGINNINGS[kind])
        if isinstance(event, ToolCallStarted):
            self._calls.add(event.index)
            block |= {"id": event.id, "name": event.name}
        if isinstance(event, ReasoningDelta) and event.redacted is not None:
            block["data"] = event.redacted
        return _event("content_block_start", index=self._block, content_block=block)

    def _delta(self, event: _Delta) -> bytes:
        match event:
            case TextDelta(text=text):
                return _DELTA % (self._block, b'{"type":"text_delta","text":%b}' % _json(text))
            case ToolCallDelta(arguments=arguments):
                self._arguments.append(arguments)
                self._grown = True
                delta = b'{"type":"input_json_delta","partial_json":%b}' % _json(arguments)
                return _DELTA % (self._block, delta)
            case ReasoningDelta(redacted=None):
                return self._reasoning(event)
            case _:
                return b""  # its block's beginning told all

    def _reasoning(self, event: ReasoningDelta) -> bytes:
        deltas = []
        if event.text:
            deltas.append(b'{"type":"thinking_delta","thinking":%b}' % _json(event.text))
        if event.signature:
            deltas.append(b'{"type":"signature_delta","signature":%b}' % _json(event.signature))
        return b"".join([_DELTA % (self._block, delta) for delta in deltas])

    def _is_whole(self) -> bool:
        """Whether nothing more can come for the open block. Asked again only when its arguments have grown."""
        if self._kind != "tool_use":
            return True
        if not self._grown:
            return False
        self._grown = False
        return is_object("".join(self._arguments))

    def _close(self) -> bytes:
        if self._part is None:
            return b""
        self._part, self._kind = None, ""
        self._arguments.clear()
        self._grown = False
        return _event("content_block_stop", index=self._block)


def _kind(event: _Delta) -> str:
    match event:
        case TextDelta():
            return "text"
        case ReasoningDelta(redacted=redacted):
            return "thinking" if redacted is None else "redacted_thinking"
        case _:
            return "tool_use"


def _event(kind: str, **members: Any) -> bytes:
    return frame(_json({"type": kind, **members}), kind)
