"""A whole chat completion ↔ the canonical answer, and the short look that pass-through takes at one.

It knows what servers of this dialect really answer. It must not know streams.
"""

from collections.abc import Iterator
from typing import Annotated, Any, TypeVar

import msgspec

from fairlead.canonical.chat import Answer, Reasoning, Refusal, Text, ToolCall
from fairlead.canonical.usage import Usage
from fairlead.dialects import body as gate
from fairlead.dialects.openai_chat.usage import (
    WireUsage,
    count,
    decode_finish,
    decode_usage,
    encode_finish,
    encode_usage,
    has,
)

_T = TypeVar("_T")
_NOTHING = msgspec.Raw(b"")


class _Part(msgspec.Struct, frozen=True):
    type: str
    text: str = ""


class _Called(msgspec.Struct, frozen=True):
    name: str
    arguments: str | dict[str, Any] | None = None


class _ToolCall(msgspec.Struct, frozen=True):
    function: _Called
    id: str | None = None


class _Message(msgspec.Struct, frozen=True):
    content: str | list[_Part] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Message
    finish_reason: str | None = None


class _Completion(msgspec.Struct, frozen=True):
    choices: Annotated[list[_Choice], msgspec.Meta(min_length=1)]
    id: str | None = None
    model: str | None = None
    created: float | None = None
    usage: msgspec.Raw = _NOTHING
    service_tier: Any = None
    error: dict[str, Any] | str | None = None


class _AnyMessage(msgspec.Struct, frozen=True):
    pass


class _AnyChoice(msgspec.Struct, frozen=True):
    message: _AnyMessage


class _Proof(msgspec.Struct, frozen=True):
    choices: Annotated[list[_AnyChoice], msgspec.Meta(min_length=1)]
    model: str | None = None
    usage: msgspec.Raw = _NOTHING
    service_tier: Any = None
    error: msgspec.Raw = _NOTHING


class _PlainProof(msgspec.Struct, frozen=True):
    """What nearly every answer is: counts where they belong, and no error."""

    choices: Annotated[list[_AnyChoice], msgspec.Meta(min_length=1)]
    model: str = ""
    usage: WireUsage | None = None
    service_tier: Any = None
    error: None = None


_plain = msgspec.json.Decoder(_PlainProof).decode
_completion = msgspec.json.Decoder(_Completion)
_proof = msgspec.json.Decoder(_Proof)


def decode_answer(body: bytes) -> Answer:
    """The first choice of a completion. Raises ValueError for anything that is no completion or holds an error."""
    wire = _decode(_completion, body)
    if wire.error:
        raise ValueError("the answer is an error")
    choice = wire.choices[0]
    parts = tuple(_parts(choice.message))
    return Answer(
        id=wire.id or "",
        model=wire.model or "",
        created=int(wire.created or 0),
        parts=parts,
        finish=decode_finish(choice.finish_reason, calls=has(parts, ToolCall), refused=has(parts, Refusal)),
        raw_finish=choice.finish_reason,
        usage=decode_usage(wire.usage, wire.service_tier),
    )


def read_usage(body: bytes) -> tuple[str, Usage | None]:
    """The model that answered and what it counted. Raises ValueError as `decode_answer` does."""
    try:
        plain = _plain(body)
    except (msgspec.DecodeError, RecursionError):
        return _read_oddly(body)
    return plain.model, count(plain.usage, plain.service_tier)


def _read_oddly(body: bytes) -> tuple[str, Usage | None]:
    wire = _decode(_proof, body)
    if wire.error and wire.error != msgspec.Raw(b"null"):
        raise ValueError("the answer is an error")
    return wire.model or "", decode_usage(wire.usage, wire.service_tier)


def encode_answer(answer: Answer) -> bytes:
    """The completion that an OpenAI client reads; reasoning goes where most servers put it, in `reasoning_content`."""
    text = _joined(answer, Text)
    refusal = _joined(answer, Refusal)
    calls = [_call(part) for part in answer.parts if isinstance(part, ToolCall)]
    message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": refusal or None}
    reasoning = _joined(answer, Reasoning)
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = calls
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": encode_finish(answer.finish, refused=bool(refusal)),
    }
    completion = {
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": [choice],
    }
    if answer.usage is not None:
        completion["usage"] = encode_usage(answer.usage)
    return msgspec.json.encode(completion)


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return decoder.decode(gate.mend(body))
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"not a chat completion: {error}") from None


def _parts(message: _Message) -> Iterator[Text | Reasoning | Refusal | ToolCall]:
    reasoning = message.reasoning_content or message.reasoning
    if reasoning:
        yield Reasoning(text=reasoning)
    content = message.content
    text = content if isinstance(content, str) else "".join(p.text for p in content or () if p.type == "text")
    if text:
        yield Text(text=text)
    if message.refusal:
        yield Refusal(text=message.refusal)
    for at, call in enumerate(message.tool_calls or ()):
        yield ToolCall(id=call.id or f"call_{at}", name=call.function.name, arguments=_arguments(call.function))


def _arguments(called: _Called) -> str:
    """JSON text; some servers send the object itself."""
    if isinstance(called.arguments, dict):
        return msgspec.json.encode(called.arguments).decode()
    return called.arguments or ""


def _joined(answer: Answer, kind: type[Text | Reasoning | Refusal]) -> str:
    return "".join(part.text for part in answer.parts if isinstance(part, kind))


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
