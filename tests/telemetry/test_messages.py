"""Texts in the shape that the conventions give messages."""

import json

import msgspec
import pytest

from fairlead.canonical.chat import Message, Reasoning, Text, ToolCall, ToolResult
from fairlead.telemetry.messages import input_messages, output_messages


def test_a_conversation() -> None:
    said = (
        Message(role="user", parts=(Text(text="what time is it?"),)),
        Message(role="assistant", parts=(ToolCall(id="c1", name="clock", arguments="{}"),)),
        Message(role="tool", parts=(ToolResult(call_id="c1", parts=(Text(text="noon"),)),)),
    )
    assert json.loads(input_messages(msgspec.json.encode(said).decode())) == [
        {"role": "user", "parts": [{"type": "text", "content": "what time is it?"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "clock", "arguments": "{}"}]},
        {
            "role": "tool",
            "parts": [
                {"type": "tool_call_response", "id": "c1", "response": [{"type": "text", "text": "noon"}]},
            ],
        },
    ]


def test_an_answer() -> None:
    given = msgspec.json.encode((Reasoning(text="hm"), Text(text="noon"))).decode()
    assert json.loads(output_messages(given)) == [
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "noon"}]}
    ]


@pytest.mark.parametrize("text", ["", '[{"role": "user", "par', '["what"]', "null", "7"])
def test_what_was_cut_stays_as_it_is(text: str) -> None:
    assert input_messages(text) == text
