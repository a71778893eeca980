"""Recorded texts in the shape that the GenAI conventions have for `gen_ai.input.messages` and `gen_ai.output.messages`.

Pure. It knows the conventions' parts. It must not know who reads them.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from fairlead.canonical.chat import Image, Message, Part, Reasoning, Refusal, Text, ToolCall, ToolResult

_PROMPT = msgspec.json.Decoder(tuple[Message, ...])
_ANSWER = msgspec.json.Decoder(tuple[Text | Reasoning | Refusal | ToolCall, ...])

Told = dict[str, Any]


def input_messages(prompt: str) -> str:
    """A record's prompt as JSON text. One that was cut, so that it is no JSON, is one text of the user's."""
    if not prompt:
        return ""
    try:
        messages = _PROMPT.decode(prompt)
    except msgspec.MsgspecError:
        return _json([_message("user", [_text(prompt)])])
    return _json([_named(one) for one in messages])


def output_messages(answer: str) -> str:
    """A record's answer as JSON text, likewise."""
    if not answer:
        return ""
    try:
        parts = _parts(_ANSWER.decode(answer))
    except msgspec.MsgspecError:
        parts = [_text(answer)]
    return _json([_message("assistant", parts)])


def _named(message: Message) -> Told:
    told = _message(message.role, _parts(message.parts))
    return told if message.name is None else told | {"name": message.name}


def _message(role: str, parts: list[Told]) -> Told:
    return {"role": role, "parts": parts}


def _parts(parts: Sequence[Part]) -> list[Told]:
    return [_part(part) for part in parts]


def _part(part: Part) -> Told:
    match part:
        case Text(text=text):
            return _text(text)
        case Image():
            return _image(part)
        case Reasoning(text=text):
            return {"type": "reasoning", "content": text}
        case Refusal(text=text):
            return {"type": "refusal", "content": text}
        case ToolCall(id=call, name=name, arguments=arguments):
            return {"type": "tool_call", "id": call, "name": name, "arguments": _arguments(arguments)}
        case ToolResult(call_id=call, parts=inner):
            return {"type": "tool_call_response", "id": call, "response": _response(inner)}


def _text(text: str) -> Told:
    return {"type": "text", "content": text}


def _image(image: Image) -> Told:
    mime = {} if image.media_type is None else {"mime_type": image.media_type}
    if image.data is not None:
        return {"type": "blob", "modality": "image", "content": image.data, **mime}
    return {"type": "uri", "modality": "image", "uri": image.url or "", **mime}


def _response(parts: Sequence[Text | Image]) -> Any:
    """A result that is one text is told as that text."""
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    return _parts(parts)


def _arguments(text: str) -> Any:
    """The JSON that the model wrote; what is broken stays the text that it is."""
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return text


def _json(told: list[Told]) -> str:
    return msgspec.json.encode(told).decode()
