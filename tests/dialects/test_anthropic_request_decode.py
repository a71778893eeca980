"""Requests in Anthropic's words: what routing asks of them, and what they mean."""

import json
from typing import Any

import pytest

from fairlead.canonical.chat import (
    Image,
    Message,
    OutputFormat,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from fairlead.canonical.errors import GatewayError
from fairlead.dialects import anthropic
from fairlead.dialects.ask import Ask

HELLO = {"role": "user", "content": "hello"}


def body(**members: Any) -> bytes:
    return json.dumps({"model": "claude", "max_tokens": 100, "messages": [HELLO], **members}).encode()


def refusal(raw: bytes) -> GatewayError:
    """What `decode_request` refuses `raw` with."""
    with pytest.raises(GatewayError) as caught:
        anthropic.decode_request(raw)
    return caught.value


def decoded(content: Any, role: str = "user") -> tuple[Message, ...]:
    return anthropic.decode_request(body(messages=[{"role": role, "content": content}])).messages


def test_ask_reads_what_routing_needs() -> None:
    raw = body(stream=True, metadata={"user_id": "u1"}, tools=[{"type": "web_search_20260318"}])
    assert anthropic.ask(raw) == Ask(
        model="claude", stream=True, include_usage=True, tools=True, max_tokens=100, user="u1"
    )


def test_ask_of_a_bare_request() -> None:
    assert anthropic.ask(body()) == Ask(model="claude", include_usage=True, max_tokens=100)


@pytest.mark.parametrize(
    ("content", "images"),
    [
        ([{"type": "image", "source": {"type": "file", "file_id": "f"}}], True),
        ([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image"}]}], True),
        ([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "image"}]}], False),
        ([{"type": "tool_result", "tool_use_id": "t", "content": "image"}], False),
        ([{"type": "web_fetch_tool_result", "content": {"type": "image"}}], False),
        ('a text with "type": "image"', False),
    ],
)
def test_ask_sees_images_also_in_the_results_of_tools(content: Any, images: bool) -> None:
    assert anthropic.ask(body(messages=[{"role": "user", "content": content}])).images is images


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": 5}, "model"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": []}, "messages"),
        ({"model": ""}, "model"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"tools": {}}, "tools"),
        ({"metadata": {"user_id": 5}}, "metadata.user_id"),
    ],
)
def test_wrong_shapes_are_refused_with_their_place(members: dict[str, Any], param: str) -> None:
    for read in (anthropic.ask, anthropic.decode_request):
        with pytest.raises(GatewayError) as caught:
            read(body(**members))
        assert (caught.value.code, caught.value.status) == ("invalid_request_error", 400)
        assert caught.value.param == param


@pytest.mark.parametrize("model", ["a\n", "\x00", "a\x7fb"])
def test_a_model_with_control_characters_goes_nowhere(model: str) -> None:
    with pytest.raises(GatewayError, match="control") as caught:
        anthropic.ask(body(model=model))
    assert (caught.value.code, caught.value.param) == ("invalid_request_error", "model")


@pytest.mark.parametrize("missing", ["model", "max_tokens", "messages"])
def test_required_members(missing: str) -> None:
    whole = json.loads(body())
    del whole[missing]
    for read in (anthropic.ask, anthropic.decode_request):
        with pytest.raises(GatewayError, match=missing) as caught:
            read(json.dumps(whole).encode())
        assert caught.value.code == "invalid_request_error"


@pytest.mark.parametrize("raw", [b"", b"{", b'{"x":NaN}', b'{"model":"\\ud83d"}', b'{"tools":' + b"[" * 5000])
def test_broken_json_is_refused_as_such(raw: bytes) -> None:
    for read in (anthropic.ask, anthropic.decode_request):
        with pytest.raises(GatewayError) as caught:
            read(raw)
        assert caught.value.code == "invalid_json"


@pytest.mark.parametrize("raw", [b"\xff{}", b'{"model":"a","max_tokens":1,"messages":[],"model":"b"}'])
def test_ask_refuses_what_two_readers_could_take_for_two_things(raw: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        anthropic.ask(raw)
    assert caught.value.code == "invalid_json"


def test_null_means_that_the_client_did_not_say() -> None:
    names = ("stream", "system", "tools", "tool_choice", "output_config", "thinking", "stop_sequences", "temperature")
    raw = body(**dict.fromkeys(names), metadata={"user_id": None})
    assert anthropic.ask(raw) == anthropic.ask(body())
    assert anthropic.decode_request(raw) == anthropic.decode_request(body())


def test_patching_changes_the_model_and_no_other_byte() -> None:
    raw = b'{ "model":"claude", "max_tokens": 1e2,"messages":[{"role":"user","content":"\\u00e9"}] , "new":1.0}'
    patched = anthropic.patch_request(raw.replace(b"1e2", b"100"), anthropic.ask(raw.replace(b"1e2", b"100")), "x/y")
    assert patched == raw.replace(b"1e2", b"100").replace(b'"claude"', b'"x/y"')


def test_system_as_text_as_blocks_and_among_the_messages() -> None:
    late = {"role": "system", "content": [{"type": "text", "text": "late"}]}
    request = anthropic.decode_request(body(system="first", messages=[HELLO, late]))
    assert request.messages == (
        Message(role="system", parts=(Text(text="first"),)),
        Message(role="user", parts=(Text(text="hello"),)),
        Message(role="system", parts=(Text(text="late"),)),
    )
    blocks = [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "b"},
    ]
    request = anthropic.decode_request(body(system=blocks))
    assert request.messages[0] == Message(role="system", parts=(Text(text="a"), Text(text="b")))


def test_images_by_url_and_by_their_bytes() -> None:
    assert decoded(
        [
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        ]
    ) == (
        Message(
            role="user",
            parts=(Image(url="https://x/y.png"), Image(data="AAAA", media_type="image/png")),
        ),
    )


def test_the_results_of_tools_become_a_message_of_their_own_before_the_text_that_follows() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://x"}}
    content = [
        {"type": "tool_result", "tool_use_id": "a", "content": "one"},
        {
            "type": "tool_result",
            "tool_use_id": "b",
            "content": [{"type": "text", "text": "two"}, image],
            "is_error": True,
        },
        {"type": "tool_result", "tool_use_id": "c"},
        {"type": "text", "text": "and now?"},
    ]
    results = (
        ToolResult(call_id="a", parts=(Text(text="one"),)),
        ToolResult(call_id="b", parts=(Text(text="two"), Image(url="https://x")), is_error=True),
        ToolResult(call_id="c"),
    )
    assert decoded(content) == (
        Message(role="tool", parts=results),
        Message(role="user", parts=(Text(text="and now?"),)),
    )
    assert decoded(content[:3]) == (Message(role="tool", parts=results),)


def test_an_empty_turn_stays_a_turn() -> None:
    assert decoded("") == decoded([]) == (Message(role="user", parts=()),)


def test_calls_and_thinking_keep_their_bytes() -> None:
    raw = (
        b'{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":['
        b'{"type":"thinking","thinking":"hm\\u00e9","signature":"Eq+/=="},'
        b'{"type":"thinking","thinking":"","signature":""},'
        b'{"type":"redacted_thinking","data":"opaque=="},'
        b'{"type":"tool_use","id":"t1","name":"f","input":{"b": 1.0,"a":[12345678901234567890123]}}]}]}'
    )
    (message,) = anthropic.decode_request(raw).messages
    assert message.parts == (
        Reasoning(text="hmé", signature="Eq+/=="),
        Reasoning(),
        Reasoning(redacted="opaque=="),
        ToolCall(id="t1", name="f", arguments='{"b": 1.0,"a":[12345678901234567890123]}'),
    )


def test_every_setting() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    request = anthropic.decode_request(
        body(
            stream=True,
            tools=[
                {"name": "f", "description": "does f", "input_schema": schema, "strict": True},
                {"type": "custom", "name": "g", "input_schema": {"type": "object"}},
            ],
            tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
            output_config={"effort": "high", "format": {"type": "json_schema", "schema": schema}},
            thinking={"type": "enabled", "budget_tokens": 2048, "display": "omitted"},
            stop_sequences=["END"],
            temperature=0.5,
            top_p=0.9,
            top_k=7,
            metadata={"user_id": "u"},
            service_tier="auto",
        )
    )
    assert (request.model, request.max_tokens, request.stream, request.include_usage) == (
        "claude",
        100,
        True,
        True,
    )
    assert request.tools == (
        Tool(name="f", description="does f", parameters=schema, strict=True),
        Tool(name="g", parameters={"type": "object"}),
    )
    assert request.tool_choice == ToolChoice(mode="tool", name="f")
    assert request.parallel_tool_calls is False
    assert request.output_format == OutputFormat(schema=schema)
    assert (request.effort, request.reasoning_budget) == ("high", 2048)
    assert request.stop == ("END",)
    assert (request.temperature, request.top_p, request.top_k) == (0.5, 0.9, 7)
    assert request.user == "u"


@pytest.mark.parametrize(
    ("choice", "mode", "parallel"),
    [
        ({"type": "auto"}, "auto", None),
        ({"type": "any", "disable_parallel_tool_use": False}, "required", True),
        ({"type": "none"}, "none", None),
        ({"type": "auto", "disable_parallel_tool_use": True}, "auto", False),
    ],
)
def test_tool_choices(choice: dict[str, Any], mode: str, parallel: bool | None) -> None:
    request = anthropic.decode_request(body(tool_choice=choice))
    assert request.tool_choice is not None
    assert (request.tool_choice.mode, request.parallel_tool_calls) == (mode, parallel)


@pytest.mark.parametrize(
    ("members", "effort", "budget"),
    [
        ({}, None, None),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, "none", None),
        ({"thinking": {"type": "adaptive"}}, None, None),
        ({"thinking": {"type": "between_tools"}, "output_config": {"effort": "max"}}, "max", None),
    ],
)
def test_thinking(members: dict[str, Any], effort: str | None, budget: int | None) -> None:
    request = anthropic.decode_request(body(**members))
    assert (request.effort, request.reasoning_budget) == (effort, budget)


def test_tools_that_only_anthropic_runs_are_refused_by_name() -> None:
    tools = [{"type": "web_search_20260318", "name": "web_search"}, {"name": "f"}]
    error = refusal(body(tools=tools))
    assert "'web_search_20260318'" in error.message
    assert (error.status, error.param) == (400, "tools")
    error = refusal(body(mcp_servers=[{"url": "https://x"}]))
    assert "'mcp_servers'" in error.message
    assert error.param == "mcp_servers"


@pytest.mark.parametrize(
    ("content", "param", "named"),
    [
        ([{"type": "text", "text": "a"}, {"type": "document"}], "messages[0].content[1]", "'document'"),
        (
            [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "search_result"}]}],
            "messages[0].content[0].content[0]",
            "'search_result'",
        ),
        (
            [{"type": "image", "source": {"type": "file", "file_id": "f"}}],
            "messages[0].content[0].source",
            "'file'",
        ),
    ],
)
def test_blocks_that_only_anthropic_has_are_refused_by_name(content: Any, param: str, named: str) -> None:
    error = refusal(body(messages=[{"role": "user", "content": content}]))
    assert (error.code, error.status, error.param) == ("invalid_request_error", 400, param)
    assert named in error.message


@pytest.mark.parametrize(
    "messages",
    [
        [5],
        [{"role": "user", "content": [5]}],
        [{"role": "user", "content": [{"type": 5}]}],
        [{"role": "user", "content": [{"type": "image", "source": 5}]}],
        [{"role": "user", "content": [{"type": "text"}]}],
        [{"role": "tool", "content": "x"}],
    ],
)
def test_malformed_messages_are_refused(messages: Any) -> None:
    error = refusal(body(messages=messages))
    assert (error.code, error.status) == ("invalid_request_error", 400)
    assert error.param is not None
    assert error.param.startswith("messages[0]")
