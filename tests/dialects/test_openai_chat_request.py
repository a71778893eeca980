"""Chat completion requests in every form that clients use, and the one form that providers get."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from tests.dialects.strategies import requests

from fairlead.canonical.chat import (
    ChatRequest,
    Image,
    Message,
    OutputFormat,
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
from fairlead.dialects import openai_chat

HELLO = [{"role": "user", "content": "Hello"}]
OPENAI = Deployment(
    name="openai/gpt-4o", provider="openai", model="gpt-4o", dialect="openai_chat", base_url="https://api.openai.com/v1"
)
GPU = msgspec.structs.replace(OPENAI, name="gpu/llama", provider="gpu", model="llama")


def decode(**members: Any) -> ChatRequest:
    return openai_chat.decode_request(json.dumps({"model": "chat", "messages": HELLO, **members}).encode())


def turns(*messages: Any) -> tuple[Message, ...]:
    return decode(messages=messages).messages


def encode(request: ChatRequest, deployment: Deployment = OPENAI) -> Any:
    return json.loads(openai_chat.encode_request(request, deployment))


def chat(*messages: Message, **members: Any) -> ChatRequest:
    return ChatRequest(model="chat", messages=messages, **members)


def test_the_simplest_request() -> None:
    assert decode() == chat(Message(role="user", parts=(Text(text="Hello"),)))
    assert encode(decode()) == {"model": "gpt-4o", "messages": HELLO}


def test_every_member_that_has_a_canonical_place() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    request = decode(
        stream=True,
        stream_options={"include_usage": True},
        tools=[
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema, "strict": True}}
        ],
        tool_choice="required",
        parallel_tool_calls=False,
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": True}},
        max_completion_tokens=9,
        temperature=1,
        top_p=0.5,
        stop="END",
        reasoning_effort="low",
        seed=-3,
        user="u",
        unknown={"x": 1},
    )
    assert request == chat(
        Message(role="user", parts=(Text(text="Hello"),)),
        stream=True,
        include_usage=True,
        tools=(Tool(name="f", description="d", parameters=schema, strict=True),),
        tool_choice=ToolChoice(mode="required"),
        parallel_tool_calls=False,
        output_format=OutputFormat(name="a", schema=schema, strict=True),
        max_tokens=9,
        temperature=1.0,
        top_p=0.5,
        stop=("END",),
        effort="low",
        seed=-3,
        user="u",
    )
    assert openai_chat.decode_request(openai_chat.encode_request(request, OPENAI)) == msgspec.structs.replace(
        request, model="gpt-4o"
    )


@given(requests())
def test_a_request_survives_the_wire(request: ChatRequest) -> None:
    for deployment in (OPENAI, GPU):
        body = openai_chat.encode_request(request, deployment)
        openai_chat.ask(body)
        assert openai_chat.decode_request(body) == msgspec.structs.replace(request, model=deployment.model)


def test_who_speaks() -> None:
    assert [
        message.role for message in turns(*({"role": role, "content": "x"} for role in ("developer", "system")))
    ] == [
        "system",
        "system",
    ]
    (named,) = turns({"role": "user", "content": "x", "name": "ann"})
    assert named == Message(role="user", parts=(Text(text="x"),), name="ann")
    assert encode(chat(named))["messages"] == [{"role": "user", "name": "ann", "content": "x"}]


def test_images_by_address_and_by_value() -> None:
    parts = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/PNG;base64,aGVsbG8="}},
        {"type": "image_url", "image_url": {"url": "data:image/svg+xml;charset=utf-8;base64,PHN2Zz4="}},
        {"type": "image_url", "image_url": {"url": "data:text/plain,hello"}},
    ]
    (message,) = turns({"role": "user", "content": parts})
    assert message.parts == (
        Text(text="Look"),
        Image(url="https://example.com/a.png", detail="low"),
        Image(data="aGVsbG8=", media_type="image/png"),
        Image(data="PHN2Zz4=", media_type="image/svg+xml"),
        Image(url="data:text/plain,hello"),
    )
    content = encode(chat(message))["messages"][0]["content"]
    assert content[:2] == parts[:2]
    assert content[2]["image_url"] == {"url": "data:image/png;base64,aGVsbG8="}
    assert content[4] == parts[4]


def test_a_conversation_with_parallel_tools() -> None:
    calls = [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{ "a":1}'}},
        {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}},
    ]
    messages = [
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {
            "role": "tool",
            "tool_call_id": "c2",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        },
    ]
    told = turns(*messages)
    assert told == (
        Message(
            role="assistant",
            parts=(ToolCall(id="c1", name="f", arguments='{ "a":1}'), ToolCall(id="c2", name="g", arguments="")),
        ),
        Message(
            role="tool",
            parts=(
                ToolResult(call_id="c1", parts=(Text(text="one"),)),
                ToolResult(call_id="c2", parts=(Text(text="a"), Text(text="b"))),
            ),
        ),
    )
    assert encode(chat(*told))["messages"] == messages
    assert len(turns(*messages, {"role": "user", "content": "go on"})) == 3


def test_images_of_a_tool_follow_as_the_users() -> None:
    result = ToolResult(call_id="c", parts=(Text(text="see"), Image(url="https://example.com/a.png")), is_error=True)
    assert encode(chat(Message(role="tool", parts=(result,))))["messages"] == [
        {"role": "tool", "tool_call_id": "c", "content": "see"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]},
    ]


def test_legacy_functions() -> None:
    request = decode(
        messages=[
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "42"},
        ],
        functions=[{"name": "f", "parameters": {"type": "object"}}, {"name": "g"}],
        function_call={"name": "f"},
    )
    assert request.messages[1:] == (
        Message(role="assistant", parts=(ToolCall(id="call_1", name="f", arguments="{}"),)),
        Message(role="tool", parts=(ToolResult(call_id="call_1", parts=(Text(text="42"),)),)),
    )
    assert request.tools == (Tool(name="f", parameters={"type": "object"}), Tool(name="g"))
    assert request.tool_choice == ToolChoice(mode="tool", name="f")
    assert encode(request)["tools"][1] == {"type": "function", "function": {"name": "g"}}
    assert decode(function_call="none").tool_choice == ToolChoice(mode="none")


F, G = ({"type": "function", "function": {"name": name}} for name in "fg")


@pytest.mark.parametrize(
    ("choice", "expected", "tools"),
    [
        (None, None, "fg"),
        ("none", ToolChoice(mode="none"), "fg"),
        ("auto", ToolChoice(mode="auto"), "fg"),
        ("required", ToolChoice(mode="required"), "fg"),
        (F, ToolChoice(mode="tool", name="f"), "fg"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [G]}},
            ToolChoice(mode="required"),
            "g",
        ),
    ],
)
def test_tool_choice(choice: Any, expected: ToolChoice | None, tools: str) -> None:
    request = decode(tools=[F, G], tool_choice=choice)
    assert request.tool_choice == expected
    assert [tool.name for tool in request.tools] == list(tools)
    plain = None if choice is None else (choice if isinstance(choice, str) or choice is F else "required")
    assert encode(request).get("tool_choice") == plain


def test_a_choice_without_tools_is_not_sent() -> None:
    """Providers refuse it; clients send `tools: []` with it all the same."""
    assert encode(decode(tools=[], tool_choice="auto", parallel_tool_calls=True)) == {
        "model": "gpt-4o",
        "messages": HELLO,
    }


@pytest.mark.parametrize(
    ("wire", "canonical", "sent"),
    [
        (None, None, None),
        ({"type": "text"}, None, None),
        ({"type": "json_object"}, OutputFormat(), {"type": "json_object"}),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
            OutputFormat(name="a", schema={"type": "object"}),
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "description": "d"}},
            OutputFormat(name="a"),
            {"type": "json_object"},
        ),
    ],
)
def test_response_format(wire: Any, canonical: OutputFormat | None, sent: Any) -> None:
    request = decode(response_format=wire)
    assert request.output_format == canonical
    assert encode(request).get("response_format") == sent


def test_a_schema_without_a_name_gets_one() -> None:
    request = msgspec.structs.replace(decode(), output_format=OutputFormat(schema={}))
    assert encode(request)["response_format"]["json_schema"] == {"name": "answer", "schema": {}}


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": ""}, ()),
        ({"content": None}, ()),
        ({}, ()),
        ({"content": []}, ()),
        ({"content": "x", "refusal": "no"}, (Text(text="x"), Refusal(text="no"))),
        ({"content": [{"type": "refusal", "refusal": "no"}]}, (Refusal(text="no"),)),
        ({"content": "", "tool_calls": []}, ()),
        ({"content": "x", "reasoning_content": "hm", "audio": {"id": "a"}}, (Text(text="x"),)),
    ],
)
def test_what_an_assistant_may_have_said(message: Any, parts: Any) -> None:
    (told,) = turns({"role": "assistant", **message})
    assert told == Message(role="assistant", parts=parts)
    assert turns(*encode(chat(told))["messages"]) == (told,)


def test_reasoning_of_earlier_turns_is_left_out() -> None:
    thought = Message(role="assistant", parts=(Reasoning(text="hm", signature="sig"), Text(text="x")))
    only = Message(role="assistant", parts=(Reasoning(redacted="blob"),))
    for deployment in (OPENAI, GPU):
        assert encode(chat(thought, only), deployment)["messages"] == [
            {"role": "assistant", "content": "x"},
            {"role": "assistant", "content": ""},
        ]


@pytest.mark.parametrize(
    ("provider", "name"),
    [("openai", "max_completion_tokens"), ("azure", "max_completion_tokens"), ("gpu", "max_tokens")],
)
def test_the_limits_name_is_the_providers(provider: str, name: str) -> None:
    sent = encode(decode(max_tokens=7), msgspec.structs.replace(OPENAI, provider=provider))
    assert {key for key in sent if key.startswith("max")} == {name}
    assert sent[name] == 7


def test_a_stream_always_asks_for_its_usage() -> None:
    sent = encode(decode(stream=True))
    assert (sent["stream"], sent["stream_options"]) == (True, {"include_usage": True})


def test_what_the_dialect_cannot_say_is_left_out() -> None:
    request = msgspec.structs.replace(decode(), top_k=5, reasoning_budget=1000)
    assert encode(request) == {"model": "gpt-4o", "messages": HELLO}


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"n": 2}, "n"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "user", "content": [{"type": "refusal", "refusal": "x"}]}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}]},
            "messages[0].tool_calls[0]",
        ),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tool_choice": "always"}, "tool_choice"),
        ({"tool_choice": {"type": "custom"}}, "tool_choice.type"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"stop": [1]}, "stop[0]"),
        ({"temperature": "hot"}, "temperature"),
        ({"seed": 1.5}, "seed"),
    ],
)
def test_what_no_other_dialect_could_be_told(members: dict[str, Any], param: str) -> None:
    with pytest.raises(GatewayError) as refused:
        decode(**members)
    assert refused.value.code == "invalid_request_error"
    assert (refused.value.param or "").startswith(param)


def test_a_body_that_skipped_the_gate_is_still_refused() -> None:
    with pytest.raises(GatewayError) as refused:
        openai_chat.decode_request(b'{"model":')
    assert refused.value.code == "invalid_json"
