"""What routing asks of a chat completion request, what it refuses, and the two edits of pass-through."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.canonical.errors import GatewayError
from fairlead.dialects import openai_chat
from fairlead.dialects.ask import Ask

HELLO = [{"role": "user", "content": "Hello"}]
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def body(**members: Any) -> bytes:
    return json.dumps({"model": "chat", "messages": HELLO, **members}).encode()


@pytest.mark.parametrize(
    ("members", "ask"),
    [
        ({}, Ask(model="chat")),
        ({"model": "org/Modèle:7b"}, Ask(model="org/Modèle:7b")),
        ({"model": "m" * 256}, Ask(model="m" * 256)),
        ({"stream": True}, Ask(model="chat", stream=True)),
        ({"stream": None, "stream_options": None}, Ask(model="chat")),
        ({"stream": True, "stream_options": {}}, Ask(model="chat", stream=True)),
        (
            {"stream": True, "stream_options": {"include_usage": True, "x": 1}},
            Ask(model="chat", stream=True, include_usage=True),
        ),
        ({"stream": True, "stream_options": {"include_usage": None}}, Ask(model="chat", stream=True)),
        ({"tools": [{"type": "whatever"}]}, Ask(model="chat", tools=True)),
        ({"functions": [{"name": "f"}]}, Ask(model="chat", tools=True)),
        ({"tools": [], "functions": None}, Ask(model="chat")),
        ({"max_tokens": 7}, Ask(model="chat", max_tokens=7)),
        ({"max_tokens": 7, "max_completion_tokens": 9}, Ask(model="chat", max_tokens=9)),
        ({"max_tokens": 9, "max_completion_tokens": 7}, Ask(model="chat", max_tokens=9)),
        ({"max_completion_tokens": 7}, Ask(model="chat", max_tokens=7)),
        ({"max_tokens": 0}, Ask(model="chat", max_tokens=0)),
        ({"max_tokens": None}, Ask(model="chat")),
        ({"user": "u-1", "n": 128}, Ask(model="chat", user="u-1", n=128)),
        ({"n": None}, Ask(model="chat")),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "image_url"}]}]}, Ask(model="chat")),
        ({"messages": [*HELLO, {"role": "user", "content": [PICTURE]}]}, Ask(model="chat", images=True)),
        ({"messages": [{"role": "assistant", "content": None, "tool_calls": [{}]}]}, Ask(model="chat")),
        ({"messages": [{"role": "narrator", "content": [{"kind": 1}], "x": 2}], "new_field": {}}, Ask(model="chat")),
    ],
)
def test_ask(members: dict[str, Any], ask: Ask) -> None:
    assert openai_chat.ask(body(**members)) == ask


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"stream": "true"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"messages": None}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["Hello"]}, "messages[0]"),
        ({"messages": [*HELLO, {"content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": 1, "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "7"}, "max_tokens"),
        ({"max_completion_tokens": 0.5}, "max_completion_tokens"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": True}, "n"),
        ({"user": {}}, "user"),
        ({"tools": {}}, "tools"),
        ({"model": ""}, "model"),
        ({"model": "m" * 257}, "model"),
        ({"model": "a\nb"}, "model"),
        ({"model": "a\x85"}, "model"),
        ({"model": "a\n"}, "model"),
        ({"model": None}, "model"),
        ({"model": ["chat"]}, "model"),
    ],
)
def test_wrong_shapes_name_their_place(members: dict[str, Any], param: str) -> None:
    with pytest.raises(GatewayError) as refused:
        openai_chat.ask(body(**members))
    assert (refused.value.code, refused.value.status, refused.value.param) == ("invalid_request_error", 400, param)
    assert refused.value.message.startswith((param, param.removesuffix(".role"), "the request body"))


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_a_missing_member_is_named(missing: str) -> None:
    whole = json.loads(body())
    del whole[missing]
    with pytest.raises(GatewayError) as refused:
        openai_chat.ask(json.dumps(whole).encode())
    assert (refused.value.code, refused.value.param) == ("invalid_request_error", missing)


@pytest.mark.parametrize("bad", [b"", b"{", b'{"model":"a","model":"b"}', b"\xef\xbb\xbf" + body(), body() + b"x"])
def test_bad_json_stops_at_the_gate(bad: bytes) -> None:
    with pytest.raises(GatewayError) as refused:
        openai_chat.ask(bad)
    assert refused.value.code == "invalid_json"


def deep(brackets: int) -> Any:
    value: Any = 1
    for _ in range(brackets):
        value = [value]
    return value


FLAT = [{"role": "user", "content": [{"type": "text", "text": "]}" * 40}]} for _ in range(200)]


@pytest.mark.parametrize("small", [True, False])
def test_messages_may_nest_as_deep_as_all_the_rest(small: bool) -> None:
    """However the depth is proved: by the message's shape, or by counting where it has members of its own."""
    messages = HELLO if small else FLAT
    for passes, brackets in ((True, 61), (False, 62)):
        inside = body(messages=[*messages, {"role": "user", "content": None, "x": deep(brackets)}])
        beside = body(messages=messages, x=deep(brackets + 2))
        for original in (inside, beside):
            if passes:
                assert openai_chat.ask(original) == Ask(model="chat")
                continue
            with pytest.raises(GatewayError, match="nesting is deeper than 64"):
                openai_chat.ask(original)


def test_flat_messages_are_asked_like_others() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    every = [
        *FLAT,
        {"role": "assistant", "content": None, "refusal": None, "reasoning_content": "hm", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "x", "name": "f"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u", "detail": None}}]},
        {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
    ]
    asked = Ask(model="chat", images=True)
    assert openai_chat.ask(body(messages=every)) == asked
    assert openai_chat.ask(body(messages=[*every, {"role": "user", "unheard_of": {}}])) == asked


def patched(original: bytes) -> bytes:
    return openai_chat.patch_request(original, openai_chat.ask(original), "gpt-4o")


def test_only_the_model_changes() -> None:
    original = b'{"messages": [{"role":"user", "content":"1.0"}],  "model": "chat", "temperature": 1.0}'
    assert patched(original) == original.replace(b'"chat"', b'"gpt-4o"')


@pytest.mark.parametrize(
    ("members", "options"),
    [
        ({"stream": True}, {"include_usage": True}),
        ({"stream": True, "stream_options": None}, {"include_usage": True}),
        (
            {"stream": True, "stream_options": {"include_usage": False, "x": 1.0}},
            {"include_usage": True, "x": 1.0},
        ),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"include_usage": True}),
        ({"stream": False, "stream_options": {"include_usage": False}}, {"include_usage": False}),
        ({"x": "stream_options"}, "absent"),
        ({"stream": True, "x": {"stream_options": 1}}, {"include_usage": True}),
    ],
)
def test_a_stream_asks_for_its_usage(members: dict[str, Any], options: Any) -> None:
    result = json.loads(patched(body(**members)))
    assert result.pop("stream_options", "absent") == options
    assert result.pop("model") == "gpt-4o"
    expected = json.loads(body(**members))
    expected.pop("stream_options", None)
    expected.pop("model")
    assert result == expected


def test_an_escaped_spelling_is_the_same_member() -> None:
    original = body(stream=True).replace(b'"stream": true', b'"stream": true, "stream\\u005foptions": {"x": 1}')
    assert json.loads(patched(original))["stream_options"]["include_usage"] is True


@given(st.dictionaries(st.text(max_size=5).map("x{}".format), st.integers() | st.text(), max_size=4), st.booleans())
def test_what_a_provider_gets_is_asked_the_same(extra: dict[str, Any], stream: bool) -> None:
    original = json.dumps({**extra, "model": "chat", "messages": HELLO, "stream": stream}).encode()
    before, after = openai_chat.ask(original), openai_chat.ask(patched(original))
    assert (after.model, after.stream, after.include_usage) == ("gpt-4o", before.stream, stream)


PLAIN_BODIES = st.fixed_dictionaries(
    {"messages": st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": st.text()}), min_size=1)},
    optional={
        "max_tokens": st.integers(0, 10**6),
        "temperature": st.floats(0, 2),
        "stop": st.text(),
        "user": st.text(max_size=40),
    },
)


@given(
    flat=PLAIN_BODIES,
    doubled=st.sampled_from(["model", "stream", "messages"]),
    compact=st.booleans(),
    last=st.booleans(),
)
def test_a_steering_member_given_twice_is_never_read_as_plain(
    flat: dict[str, Any], doubled: str, compact: bool, last: bool
) -> None:
    """However short the double is, and whatever else the body saves elsewhere."""
    members = {"model": "m", "stream": None, **flat}
    pairs = [(name, value) for name, value in members.items() if name != "stream" or doubled == "stream"]
    double = (doubled, members[doubled])
    pairs = [*pairs, double] if last else [double, *pairs]
    separators = (",", ":") if compact else (", ", ": ")
    spelled = [f"{json.dumps(n)}{separators[1]}{json.dumps(v, separators=separators)}" for n, v in pairs]
    with pytest.raises(GatewayError) as refused:
        openai_chat.ask(("{" + separators[0].join(spelled) + "}").encode())
    assert refused.value.param == doubled
