"""Whole answers in Anthropic's words, judged by the SDK's own strict types."""

import json
from typing import Any

import pytest
from anthropic.types import Message

from fairlead.canonical.chat import Answer, FinishReason, Reasoning, Refusal, Text, ToolCall
from fairlead.canonical.usage import Usage
from fairlead.dialects import anthropic

BASE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "output_tokens": 5},
}


def answer(**members: Any) -> Answer:
    return anthropic.decode_answer(json.dumps({**BASE, **members}).encode())


def strict(given: Answer) -> Message:
    return Message.model_validate(json.loads(anthropic.encode_answer(given)), strict=True)


def test_a_plain_answer() -> None:
    assert answer() == Answer(
        id="msg_1",
        model="claude-haiku-4-5-20251001",
        parts=(Text(text="Hello"),),
        finish="stop",
        raw_finish="end_turn",
        usage=Usage(input=10, output=5),
    )


def test_tool_use_thinking_and_redacted_thinking() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "sig=="},
        {"type": "thinking", "thinking": "", "signature": "only=="},
        {"type": "thinking"},
        {"type": "redacted_thinking", "data": "op=="},
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
        {"type": "new_block", "text": {"not": "text"}, "data": 5, "id": 7},
        {"type": "text", "text": ""},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
    ]
    given = answer(content=content, stop_reason="tool_use")
    assert given.parts == (
        Reasoning(text="hm", signature="sig=="),
        Reasoning(signature="only=="),
        Reasoning(redacted="op=="),
        ToolCall(id="toolu_1", name="f", arguments='{"a": 1}'),
    )
    assert given.finish == "tool_calls"


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "refusal"),
        ("pause_turn", "pause"),
        ("word_of_tomorrow", "other"),
        (None, "other"),
    ],
)
def test_stop_reasons(word: str | None, finish: FinishReason) -> None:
    given = answer(stop_reason=word)
    assert (given.finish, given.raw_finish) == (finish, word)
    assert strict(given).stop_reason == (word if finish != "other" else "end_turn")


@pytest.mark.parametrize(
    ("finish", "raw", "word"),
    [
        ("stop", "stop", "end_turn"),
        ("length", "length", "max_tokens"),
        ("tool_calls", "tool_calls", "tool_use"),
        ("content_filter", "content_filter", "refusal"),
        ("refusal", None, "refusal"),
        ("pause", None, "pause_turn"),
        ("other", "eos", "end_turn"),
        ("tool_calls", "end_turn", "tool_use"),
    ],
)
def test_finishes_of_others_in_anthropics_words(finish: FinishReason, raw: str | None, word: str) -> None:
    given = Answer(id="1", model="m", parts=(), finish=finish, raw_finish=raw)
    assert strict(given).stop_reason == word


def test_the_sequence_that_stopped_is_kept() -> None:
    given = answer(stop_reason="stop_sequence", stop_sequence="END")
    assert given.stop_sequence == "END"
    again = strict(Answer(id="1", model="m", parts=(), finish="stop", stop_sequence="END"))
    assert (again.stop_reason, again.stop_sequence) == ("stop_sequence", "END")


def test_a_refusal_is_told_by_its_details_both_ways() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "I cannot"}
    given = answer(content=[{"type": "text", "text": ""}], stop_reason="refusal", stop_details=details)
    assert (given.parts, given.finish) == ((Refusal(text="I cannot"),), "refusal")
    again = strict(Answer(id="1", model="m", parts=(Refusal(text="I "), Refusal(text="cannot")), finish="stop"))
    assert (again.stop_reason, again.content) == ("refusal", [])
    assert again.stop_details is not None
    assert again.stop_details.explanation == "I cannot"


def test_usage_counts_cached_tokens_as_input_and_takes_them_out_again() -> None:
    usage = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 30,
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 3},
        "server_tool_use": None,
    }
    given = answer(usage=usage)
    assert given.usage == Usage(input=60, output=5, cache_read=30, cache_write=20, reasoning=3)
    assert given.usage.total == 65
    wire = json.loads(anthropic.encode_answer(given))["usage"]
    assert {**wire, "server_tool_use": None} == usage
    assert answer(usage=None).usage is None
    odd = Answer(id="1", model="m", parts=(), finish="stop", usage=Usage(input=1, cache_read=5))
    assert strict(odd).usage.input_tokens == 0


def test_what_is_kept_for_an_hour_and_searches_come_back_as_they_were() -> None:
    usage = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 15},
        "output_tokens": 5,
        "server_tool_use": {"web_fetch_requests": 0, "web_search_requests": 3},
    }
    given = answer(usage=usage)
    assert given.usage == Usage(input=30, output=5, cache_write=20, cache_write_1h=15, web_searches=3)
    assert json.loads(anthropic.encode_answer(given))["usage"] == usage
    strict(given)


def test_what_is_written_to_the_cache_is_never_less_than_its_parts() -> None:
    counted = answer(usage={"input_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 7}}).usage
    assert counted == Usage(input=8, cache_write=7, cache_write_1h=7)


@pytest.mark.parametrize(
    ("said", "service"),
    [
        ({"service_tier": "standard"}, "standard"),
        ({"service_tier": "batch"}, "batch"),
        ({"service_tier": "standard", "speed": "fast"}, "fast"),
        ({"service_tier": "priority", "speed": "fast", "inference_geo": "us"}, "priority-fast-us"),
        ({"service_tier": "standard", "speed": "standard", "inference_geo": "not_available"}, "standard"),
        ({"inference_geo": "global"}, "global"),
        ({"service_tier": None, "speed": 3}, ""),
    ],
)
def test_the_service_is_tier_speed_and_place(said: dict[str, Any], service: str) -> None:
    assert answer(usage={"input_tokens": 1, **said}).usage == Usage(input=1, service=service)


def test_encoded_answers_pass_the_sdks_strict_types() -> None:
    given = Answer(
        id="chatcmpl-1",
        model="gpt",
        parts=(
            Reasoning(text="hm"),
            Reasoning(text="hm", signature="s"),
            Reasoning(redacted="op"),
            Text(text="so"),
            ToolCall(id="call_1", name="f", arguments='{"a": 1.0}'),
            ToolCall(id="call_2", name="g", arguments=""),
        ),
        finish="tool_calls",
    )
    message = strict(given)
    assert [block.type for block in message.content] == [
        "thinking",
        "thinking",
        "redacted_thinking",
        "text",
        "tool_use",
        "tool_use",
    ]
    assert message.usage.input_tokens == message.usage.output_tokens == 0
    assert b'"input":{"a": 1.0}' in anthropic.encode_answer(given)
    again = anthropic.decode_answer(anthropic.encode_answer(given))
    assert again.parts[:5] == given.parts[:5]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"type":"error","error":{"type":"api_error","message":"x"}}',
        b'{"type":"message","id":"1","model":"m"}',
        b'{"type":"message","model":"m","content":5}',
        b'{"type":"message","id":"1","model":"m","content":[],"x":' + b"[" * 5000,
    ],
)
def test_what_is_no_message_is_a_value_error(body: bytes) -> None:
    for read in (anthropic.decode_answer, anthropic.read_usage):
        with pytest.raises(ValueError, match=r"."):
            read(body)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "text", "text": 5},
        {"type": "thinking", "thinking": None},
        {"type": "redacted_thinking"},
        {"type": "tool_use", "name": "f", "input": {}},
    ],
)
def test_a_block_that_is_not_what_it_says_is_a_value_error(block: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=str(block["type"])):
        answer(content=[block])


def test_read_usage_proves_it_is_a_message() -> None:
    assert anthropic.read_usage(json.dumps(BASE).encode()) == (BASE["model"], Usage(input=10, output=5))
    bare = {**BASE, "content": [{"type": "anything"}], "usage": None}
    assert anthropic.read_usage(json.dumps(bare).encode()) == (BASE["model"], None)


@pytest.mark.parametrize("usage", [5, "many", {"input_tokens": -1}, {"output_tokens": "5"}, {"input_tokens": 1e300}])
def test_counts_that_cannot_be_counts_are_none_and_spoil_nothing(usage: Any) -> None:
    assert answer(usage=usage).usage is None
    assert anthropic.read_usage(json.dumps({**BASE, "usage": usage}).encode()) == (BASE["model"], None)


def test_half_an_emoji_comes_as_a_replacement() -> None:
    body = json.dumps(BASE).replace('"Hello"', r'"\ud83d"').encode()
    assert anthropic.decode_answer(body).parts == (Text(text="\ufffd"),)
