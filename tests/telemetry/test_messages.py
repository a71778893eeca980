"""Texts in the shape that the conventions give messages: what their JSON Schemas demand of each part holds for all."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.canonical.chat import Image, Message, Reasoning, Refusal, Text, ToolCall, ToolResult
from fairlead.telemetry.messages import input_messages, output_messages

DEMANDED = {
    "text": {"content"},
    "reasoning": {"content"},
    "tool_call": {"name"},
    "tool_call_response": {"response"},
    "blob": {"modality", "content"},
    "uri": {"modality", "uri"},
    "refusal": set(),
}
"""What a part must have beside its type, by type: copied from gen-ai-input-messages.json at 2b902ce (2026). A refusal
is a part of our own kind, as the schemas allow.
"""

WORDS = st.text(max_size=20)
IMAGES = st.builds(Image, url=WORDS) | st.builds(Image, data=WORDS, media_type=st.sampled_from([None, "image/png"]))
SPOKEN = (
    st.builds(Text, text=WORDS)
    | st.builds(Reasoning, text=WORDS)
    | st.builds(Refusal, text=WORDS)
    | st.builds(ToolCall, id=WORDS, name=WORDS, arguments=st.sampled_from(["{}", '{"a": 1}', "", '{"a"']) | WORDS)
)
RESULTS = st.builds(ToolResult, call_id=WORDS, parts=st.lists(st.builds(Text, text=WORDS) | IMAGES).map(tuple))
MESSAGES = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool"]),
    parts=st.lists(SPOKEN | IMAGES | RESULTS, max_size=4).map(tuple),
    name=st.none() | WORDS,
)


def as_recorded(said: object) -> str:
    return msgspec.json.encode(said).decode()


def check(messages: Any) -> None:
    assert isinstance(messages, list)
    for message in messages:
        assert {"role", "parts"} <= message.keys() <= {"role", "parts", "name"}
        for part in message["parts"]:
            assert part.keys() >= DEMANDED[part["type"]]
            assert all(isinstance(part[name], str) for name in ("content", "uri", "modality") if name in part)


@given(st.lists(MESSAGES, max_size=4))
def test_every_prompt_is_told_as_the_schema_has_it(said: list[Message]) -> None:
    told = json.loads(input_messages(as_recorded(said)))
    check(told)
    assert [len(one["parts"]) for one in told] == [len(one.parts) for one in said]


@given(st.lists(SPOKEN, max_size=4))
def test_every_answer_is_one_message_of_the_assistants(parts: list[Any]) -> None:
    told = json.loads(output_messages(as_recorded(parts)))
    check(told)
    assert [one["role"] for one in told] == ["assistant"]


@given(st.text(min_size=1))
def test_what_was_cut_is_told_as_one_text(text: str) -> None:
    """Whoever reads the attribute parses it, so that a part of a prompt must be whole JSON all the same."""
    cut = '[{"role":"user","parts":[{"type":"text","text":"' + text
    assert json.loads(input_messages(cut)) == [{"role": "user", "parts": [{"type": "text", "content": cut}]}]
    assert json.loads(output_messages(cut)) == [{"role": "assistant", "parts": [{"type": "text", "content": cut}]}]


def test_a_conversation() -> None:
    said = (
        Message(role="user", parts=(Text(text="what time is it?"), Image(url="https://clock.example/now.png"))),
        Message(role="assistant", parts=(ToolCall(id="c1", name="clock", arguments='{"zone": "UTC"}'),)),
        Message(role="tool", parts=(ToolResult(call_id="c1", parts=(Text(text="noon"),)),)),
    )
    assert json.loads(input_messages(as_recorded(said))) == [
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "what time is it?"},
                {"type": "uri", "modality": "image", "uri": "https://clock.example/now.png"},
            ],
        },
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "c1", "name": "clock", "arguments": {"zone": "UTC"}}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "noon"}]},
    ]


def test_an_answer() -> None:
    given = as_recorded((Reasoning(text="hm"), Text(text="noon")))
    assert json.loads(output_messages(given)) == [
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "noon"}]}
    ]


@pytest.mark.parametrize("tell", [input_messages, output_messages])
def test_no_text_is_no_message(tell: Any) -> None:
    assert tell("") == ""
