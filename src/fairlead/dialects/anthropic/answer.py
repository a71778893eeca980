"""An Anthropic message, whole: bytes ↔ the canonical answer.

It knows the blocks that a model gives. It must not know how a message arrives in pieces.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeVar

import msgspec

from fairlead.canonical.chat import Answer, Reasoning, Refusal, Text, ToolCall
from fairlead.canonical.usage import Usage
from fairlead.dialects import body as gate
from fairlead.dialects.anthropic.request_encode import encode_input
from fairlead.dialects.anthropic.usage import (
    decode_usage,
    encode_usage,
    finish_reason,
    read_counts,
    stop_reason,
)


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A content block of any type. Blocks that this code does not know may use these names for anything."""

    type: str
    text: Any = ""
    thinking: Any = ""
    signature: Any = None
    data: Any = None
    id: Any = None
    name: Any = None
    input: msgspec.Raw = msgspec.Raw(b"{}")


class StopDetails(msgspec.Struct, frozen=True, kw_only=True):
    explanation: str | None = None


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    type: Literal["message"]
    id: str
    model: str
    content: list[Block]
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: msgspec.Raw = msgspec.Raw(b"")


class _Counted(msgspec.Struct, frozen=True, kw_only=True):
    type: Literal["message"]
    model: str
    content: list[msgspec.Raw]
    usage: msgspec.Raw = msgspec.Raw(b"")


_NOTHING = (None, Text(text=""), Reasoning())
_Wire = TypeVar("_Wire")
_decoder = msgspec.json.Decoder(_Message)
_counted = msgspec.json.Decoder(_Counted)


def decode_answer(body: bytes) -> Answer:
    """The answer that `body` is. Blocks that no other dialect has are left out. ValueError: not an answer."""
    wire = _read(_decoder, body)
    refusal = wire.stop_details.explanation if wire.stop_details else None
    parts = [part for block in wire.content if (part := decode_block(block)) not in _NOTHING]
    return Answer(
        id=wire.id,
        model=wire.model,
        parts=(*parts, Refusal(text=refusal)) if refusal else tuple(parts),
        finish=finish_reason(wire.stop_reason),
        raw_finish=wire.stop_reason,
        stop_sequence=wire.stop_sequence,
        usage=decode_usage(read_counts(wire.usage)),
    )


def encode_answer(answer: Answer) -> bytes:
    """The message that Anthropic's own clients accept; a refusal's words become its `stop_details`."""
    refusal = "".join(part.text for part in answer.parts if isinstance(part, Refusal))
    wire: dict[str, Any] = {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": list(_blocks(answer.parts)),
        "stop_reason": stop_reason(
            answer.finish, raw=answer.raw_finish, stop_sequence=answer.stop_sequence, refused=bool(refusal)
        ),
        "stop_sequence": answer.stop_sequence,
        "usage": encode_usage(answer.usage or Usage()),
    }
    if refusal:
        wire["stop_details"] = stop_details(refusal)
    return msgspec.json.encode(wire)


def read_usage(body: bytes) -> tuple[str, Usage | None]:
    """The model and the usage of a message. ValueError: not an answer."""
    wire = _read(_counted, body)
    return wire.model, decode_usage(read_counts(wire.usage))


def decode_block(block: Block) -> Text | Reasoning | ToolCall | None:
    """None: the block is of a type that only Anthropic has. ValueError: it is not what its type says."""
    match block:
        case Block(type="text", text=str(text)):
            return Text(text=text)
        case Block(type="thinking", thinking=str(thinking), signature=str() | None as signature):
            return Reasoning(text=thinking, signature=signature or None)
        case Block(type="redacted_thinking", data=str(data)):
            return Reasoning(redacted=data)
        case Block(type="tool_use", id=str(call_id), name=str(name)):
            return ToolCall(id=call_id, name=name, arguments=bytes(block.input).decode(errors="replace"))
        case Block(type="text" | "thinking" | "redacted_thinking" | "tool_use"):
            raise ValueError(f"a {block.type} block without its members")
    return None


def stop_details(explanation: str) -> dict[str, Any]:
    return {"type": "refusal", "category": None, "explanation": explanation}


def _read(decoder: msgspec.json.Decoder[_Wire], body: bytes) -> _Wire:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return decoder.decode(gate.mend(body))
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"not a message: {error}") from None


def _blocks(parts: Iterable[Text | Reasoning | Refusal | ToolCall]) -> Iterator[dict[str, Any]]:
    for part in parts:
        match part:
            case Text(text=text):
                yield {"type": "text", "text": text}
            case Reasoning(redacted=str(data)):
                yield {"type": "redacted_thinking", "data": data}
            case Reasoning():
                yield {"type": "thinking", "thinking": part.text, "signature": part.signature or ""}
            case ToolCall():
                arguments = encode_input(part.arguments)
                yield {"type": "tool_use", "id": part.id, "name": part.name, "input": arguments}
            case _:
                pass  # a refusal, told by `stop_details`
