"""Recorded texts in the shape that the GenAI conventions give messages.

Pure. Texts that were cut are no JSON any more and stay as they are.
"""

from collections.abc import Callable
from typing import Any

import msgspec

Part = dict[str, Any]


def input_messages(prompt: str) -> str:
    """`gen_ai.input.messages` of a record's prompt."""
    return _reshaped(prompt, lambda messages: [_message(one["role"], one["parts"]) for one in messages])


def output_messages(answer: str) -> str:
    """`gen_ai.output.messages` of a record's answer."""
    return _reshaped(answer, lambda parts: [_message("assistant", parts)])


def _message(role: str, parts: list[Part]) -> dict[str, Any]:
    return {"role": role, "parts": [PARTS.get(part["type"], _as_it_is)(part) for part in parts]}


def _as_it_is(part: Part) -> Part:
    return part


def _result(part: Part) -> Part:
    return {"type": "tool_call_response", "id": part["call_id"], "response": part["parts"]}


def _call(part: Part) -> Part:
    return {"type": "tool_call", "id": part["id"], "name": part["name"], "arguments": part["arguments"]}


PARTS: dict[str, Callable[[Part], Part]] = {
    "text": lambda part: {"type": "text", "content": part["text"]},
    "refusal": lambda part: {"type": "text", "content": part["text"]},
    "reasoning": lambda part: {"type": "reasoning", "content": part["text"]},
    "tool_call": _call,
    "tool_result": _result,
}
"""By the kind of a part of ours."""


def _reshaped(text: str, reshape: Callable[[Any], list[dict[str, Any]]]) -> str:
    try:
        return msgspec.json.encode(reshape(msgspec.json.decode(text))).decode()
    except (msgspec.DecodeError, KeyError, TypeError):
        return text
