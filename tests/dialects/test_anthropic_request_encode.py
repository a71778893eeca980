"""The canonical chat in Anthropic's words, and what Anthropic would refuse kept from it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.canonical.chat import (
    ChatRequest,
    Image,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from fairlead.canonical.errors import GatewayError
from fairlead.canonical.routing import Deployment
from fairlead.dialects import anthropic
from fairlead.dialects.anthropic.request_encode import encode_id

HAIKU = Deployment(
    name="anthropic/haiku",
    provider="anthropic",
    model="claude-haiku-4-5",
    dialect="anthropic",
    base_url="https://api.anthropic.com/v1",
)
NEWEST = Deployment(
    name="anthropic/new",
    provider="anthropic",
    model="claude-new",
    dialect="anthropic",
    base_url="https://api.anthropic.com/v1",
    api_version="2026-10-21",
    max_output=64000,
)
TOOL = Tool(name="f", parameters={"type": "object"})


def user(*parts: Part | str) -> Message:
    return Message(role="user", parts=tuple(Text(text=p) if isinstance(p, str) else p for p in parts))


def assistant(*parts: Part) -> Message:
    return Message(role="assistant", parts=parts)


def result(call_id: str, text: str) -> Message:
    return Message(role="tool", parts=(ToolResult(call_id=call_id, parts=(Text(text=text),)),))


def system(text: str) -> Message:
    return Message(role="system", parts=(Text(text=text),))


def encoded(*messages: Message, deployment: Deployment = HAIKU, **settings: Any) -> dict[str, Any]:
    request = ChatRequest(model="alias", messages=messages or (user("hi"),), **settings)
    wire: dict[str, Any] = json.loads(anthropic.encode_request(request, deployment))
    return wire


def test_the_least_request() -> None:
    assert encoded() == {
        "model": "claude-haiku-4-5",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    }


def test_the_headers_name_the_version() -> None:
    assert anthropic.fields(None) == (("anthropic-version", "2023-06-01"),)
    assert anthropic.fields("2026-10-21") == (("anthropic-version", "2026-10-21"),)


@pytest.mark.parametrize(("asked", "deployment", "sent"), [(None, NEWEST, 64000), (0, NEWEST, 0), (17, HAIKU, 17)])
def test_max_tokens_is_always_sent(asked: int | None, deployment: Deployment, sent: int) -> None:
    assert encoded(deployment=deployment, max_tokens=asked)["max_tokens"] == sent


def test_all_instructions_go_to_the_top_in_their_order() -> None:
    wire = encoded(system("one"), user("hi"), system("two"), system(" "))
    assert wire["system"] == [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert [turn["role"] for turn in wire["messages"]] == ["user"]


def test_results_of_parallel_calls_open_one_message_and_the_next_text_follows_in_it() -> None:
    calls = (ToolCall(id="a", name="f", arguments='{"x": 1.0}'), ToolCall(id="b", name="f", arguments="{}"))
    wire = encoded(
        user("go"),
        assistant(*calls),
        result("a", "1"),
        system("late"),
        result("b", "2"),
        user("next"),
        assistant(Text(text="done")),
        user("bye"),
    )
    assert [turn["role"] for turn in wire["messages"]] == ["user", "assistant", "user", "assistant", "user"]
    assert wire["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "1"}]},
        {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "2"}]},
        {"type": "text", "text": "next"},
    ]


def test_results_come_first_even_when_a_text_was_before_them() -> None:
    wire = encoded(assistant(ToolCall(id="a", name="f", arguments="{}")), user("wait"), result("a", "1"))
    assert [block["type"] for block in wire["messages"][1]["content"]] == ["tool_result", "text"]


def test_turns_of_one_role_stay_apart_without_results() -> None:
    assert len(encoded(user("a"), user("b"))["messages"]) == 2


def test_a_result_with_an_image_that_failed_and_one_with_nothing() -> None:
    image = Image(data="AAAA", media_type="image/png")
    message = Message(
        role="tool",
        parts=(ToolResult(call_id="a", parts=(image,), is_error=True), ToolResult(call_id="b")),
    )
    assert encoded(message)["messages"][0]["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": "a",
            "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}],
            "is_error": True,
        },
        {"type": "tool_result", "tool_use_id": "b"},
    ]


def test_an_image_by_url() -> None:
    wire = encoded(user("see", Image(url="https://x/y.png", detail="high")))
    assert wire["messages"][0]["content"][1] == {
        "type": "image",
        "source": {"type": "url", "url": "https://x/y.png"},
    }


@pytest.mark.parametrize(
    "arguments", ["", " ", "{", "nothing", "[1]", '"a"', "null", "{} {}", "[" * 5000, '{"a":' * 5000]
)
def test_arguments_that_are_no_object_become_an_empty_one(arguments: str) -> None:
    wire = encoded(user("go"), assistant(ToolCall(id="a", name="f", arguments=arguments)))
    assert wire["messages"][1]["content"][0]["input"] == {}


def test_arguments_keep_their_bytes() -> None:
    arguments = '{"b": 1.0, "a": 123456789012345678901234567890, "é": "\\u00e9"}'
    request = ChatRequest(model="m", messages=(user("x"), assistant(ToolCall(id="a", name="f", arguments=arguments))))
    assert arguments.encode() in anthropic.encode_request(request, HAIKU)


def test_ids_in_other_letters_are_renamed_alike_in_call_and_result() -> None:
    wire = encoded(
        user("go"), assistant(ToolCall(id="functions.f:0", name="f", arguments="{}")), result("functions.f:0", "1")
    )
    call, answer = wire["messages"][1]["content"][0], wire["messages"][2]["content"][0]
    assert call["id"] == answer["tool_use_id"] == "fl-functions-2e-f-3a-0"


@given(st.text(max_size=12), st.text(max_size=12))
def test_ids_stay_apart(one: str, other: str) -> None:
    assert set(encode_id(one)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert encode_id(one)
    assert (encode_id(one) == encode_id(other)) == (one == other)
    assert encode_id(encode_id(one)) == encode_id(encode_id(one))


@given(st.text("fl-2e.", max_size=9), st.text("fl-2e.", max_size=9))
def test_ids_that_look_renamed_stay_apart(one: str, other: str) -> None:
    assert (encode_id(one) == encode_id(other)) == (one == other)


def test_signed_thinking_opens_the_turn_and_unsigned_is_left_out() -> None:
    call = ToolCall(id="a", name="f", arguments="{}")
    thought = Reasoning(text="hm", signature="sig==")
    wire = encoded(
        user("go"),
        assistant(Text(text="so"), thought, Reasoning(redacted="op=="), call, Reasoning(text="bare")),
        result("a", "1"),
    )
    assert wire["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig=="},
        {"type": "redacted_thinking", "data": "op=="},
        {"type": "text", "text": "so"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {}},
    ]


def test_a_turn_that_opens_with_thinking_keeps_its_order() -> None:
    """Thinking between calls belongs where it was: Anthropic checks the sequence."""
    first, second = Reasoning(text="1", signature="a"), Reasoning(text="2", signature="b")
    wire = encoded(user("go"), assistant(first, Text(text="so"), second))
    assert [block["type"] for block in wire["messages"][1]["content"]] == ["thinking", "text", "thinking"]


def test_blank_texts_and_empty_turns_are_left_out_and_a_refusal_is_text() -> None:
    wire = encoded(user("", "a", " \n"), assistant(), user(" "), assistant(Refusal(text="no")), user("b"))
    assert [(turn["role"], [b["text"] for b in turn["content"]]) for turn in wire["messages"]] == [
        ("user", ["a"]),
        ("assistant", ["no"]),
        ("user", ["b"]),
    ]


@pytest.mark.parametrize("messages", [(system("only"),), (system("a"), user(" ")), (assistant(Text(text="x")),)])
def test_a_conversation_without_a_user_is_refused(messages: tuple[Message, ...]) -> None:
    with pytest.raises(GatewayError, match="user message") as caught:
        anthropic.encode_request(ChatRequest(model="m", messages=messages), HAIKU)
    assert (caught.value.code, caught.value.param) == ("invalid_request_error", "messages")


def test_tools() -> None:
    tools = (
        Tool(name="f", description="does f", parameters={"properties": {}}, strict=True),
        Tool(name="g"),
    )
    assert encoded(tools=tools)["tools"] == [
        {"name": "f", "description": "does f", "input_schema": {"type": "object", "properties": {}}, "strict": True},
        {"name": "g", "input_schema": {"type": "object"}},
    ]


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice(mode="auto"), True, {"type": "auto"}),
        (ToolChoice(mode="required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice(mode="none"), False, {"type": "none"}),
        (ToolChoice(mode="tool", name="f"), None, {"type": "tool", "name": "f"}),
    ],
)
def test_tool_choices(choice: ToolChoice | None, parallel: bool | None, sent: dict[str, Any] | None) -> None:
    wire = encoded(tools=(TOOL,), tool_choice=choice, parallel_tool_calls=parallel)
    assert wire.get("tool_choice") == sent
    assert "tool_choice" not in encoded(tool_choice=choice, parallel_tool_calls=parallel)


def test_sampling_is_clamped_for_the_old_version_and_dropped_for_the_new() -> None:
    settings: dict[str, Any] = {"temperature": 1.7, "top_p": 0.9, "top_k": 5, "stop": ("a", " ", "", "\n\n")}
    wire = encoded(**settings)
    assert (wire["temperature"], wire["top_p"], wire["top_k"]) == (1.0, 0.9, 5)
    assert wire["stop_sequences"] == ["a"]
    wire = encoded(deployment=NEWEST, **settings)
    assert wire.keys() & {"temperature", "top_p", "top_k"} == set()
    assert wire["stop_sequences"] == ["a"]
    assert "stop_sequences" not in encoded(stop=("\n",))


def test_a_top_p_that_cuts_nothing_does_not_stand_beside_a_temperature() -> None:
    assert "top_p" not in encoded(temperature=0.3, top_p=1.0)
    assert encoded(top_p=1.0)["top_p"] == 1.0


@pytest.mark.parametrize(
    ("settings", "config", "thinking"),
    [
        ({"effort": "minimal"}, {"effort": "low"}, None),
        ({"effort": "xhigh"}, {"effort": "xhigh"}, None),
        ({"effort": "none"}, None, {"type": "disabled"}),
        ({"reasoning_budget": 2000}, None, {"type": "enabled", "budget_tokens": 2000}),
        ({"reasoning_budget": 5}, None, {"type": "enabled", "budget_tokens": 1024}),
        ({"reasoning_budget": 9000}, None, {"type": "enabled", "budget_tokens": 4095}),
        ({"reasoning_budget": 2000, "max_tokens": 1024}, None, None),
        ({"reasoning_budget": 2000, "tool_choice": ToolChoice(mode="required")}, None, None),
        (
            {"reasoning_budget": 2000, "tool_choice": ToolChoice(mode="auto")},
            None,
            {"type": "enabled", "budget_tokens": 2000},
        ),
        ({"output_format": OutputFormat()}, None, None),
        (
            {"output_format": OutputFormat(name="n", schema={"type": "object"}), "effort": "low"},
            {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
            None,
        ),
    ],
)
def test_effort_budget_and_schema(
    settings: dict[str, Any], config: dict[str, Any] | None, thinking: dict[str, Any] | None
) -> None:
    wire = encoded(**settings)
    assert wire.get("output_config") == config
    assert wire.get("thinking") == thinking


def test_thinking_leaves_no_room_for_sampling() -> None:
    wire = encoded(reasoning_budget=2000, temperature=0.2, top_k=3, stop=("x",))
    assert wire.keys() & {"temperature", "top_p", "top_k"} == set()
    assert wire["stop_sequences"] == ["x"]


def test_user_and_stream() -> None:
    wire = encoded(user="u1", stream=True, seed=4)
    assert (wire["metadata"], wire["stream"]) == ({"user_id": "u1"}, True)
    assert "seed" not in wire
