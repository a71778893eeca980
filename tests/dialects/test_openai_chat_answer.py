"""Whole chat completions: what real servers answer, what is no answer, and what an OpenAI client accepts of ours."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from openai.types.chat import ChatCompletion
from tests.dialects.strategies import answers

from fairlead.canonical.chat import Answer, FinishReason, Reasoning, Refusal, Text, ToolCall
from fairlead.canonical.usage import Usage
from fairlead.dialects import openai_chat
from fairlead.dialects.openai_chat.usage import WORD, decode_usage

DATA = Path(__file__).parent / "data" / "openai_chat"


def answer(*parts: Any, finish: FinishReason = "stop") -> Answer:
    return Answer(id="a", model="m", parts=parts, finish=finish)


def completion(**members: Any) -> bytes:
    whole = {"id": "a", "model": "m", "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
    return json.dumps({**whole, **members}).encode()


def message(**members: Any) -> bytes:
    return completion(choices=[{"message": members, "finish_reason": "stop"}])


def test_a_text_answer_with_cached_tokens() -> None:
    body = (DATA / "openai_answer.json").read_bytes()
    assert openai_chat.decode_answer(body) == Answer(
        id="chatcmpl-B1",
        model="gpt-4o-mini-2024-07-18",
        created=1761000000,
        parts=(Text(text="Grüß dich"),),
        finish="stop",
        raw_finish="stop",
        usage=Usage(input=1117, output=5, cache_read=1024, service="default"),
    )
    assert openai_chat.read_usage(body) == (
        "gpt-4o-mini-2024-07-18",
        Usage(input=1117, output=5, cache_read=1024, service="default"),
    )


def test_parallel_tool_calls() -> None:
    decoded = openai_chat.decode_answer((DATA / "openai_tool_answer.json").read_bytes())
    assert decoded.parts == (
        ToolCall(id="call_1", name="get_weather", arguments='{"city":"Rome"}'),
        ToolCall(id="call_2", name="get_time", arguments="{}"),
    )
    assert decoded.finish == "tool_calls"


def test_a_loose_server_is_understood() -> None:
    """Arguments as an object, no ids, a broken second, `stop` after tool calls, reasoning under its other name."""
    decoded = openai_chat.decode_answer((DATA / "ollama_answer.json").read_bytes())
    assert decoded.parts == (
        Reasoning(text="Hmm."),
        ToolCall(id="call_0", name="f", arguments='{"a":1}'),
        ToolCall(id="call_1", name="g", arguments=""),
    )
    assert (decoded.finish, decoded.raw_finish, decoded.usage) == ("tool_calls", "stop", None)
    assert decoded.created == 1761000000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>502 Bad Gateway</body></html>",
        b"{}",
        b"[]",
        b'"x"',
        b'{"choices":[]}',
        b'{"choices":null}',
        b'{"choices":[{}]}',
        b'{"choices":[{"message":null}]}',
        b'{"error":{"message":"no","code":502}}',
        completion(error={"message": "no"}),
        completion(error="no"),
        completion()[:-1],
        b'{"choices":' + b"[" * 100_000,
        b'{"choices":[{"message":{"content":"\xff"}}],"model":"\xff"}',
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"answer is an error|not a chat completion|utf-8"):
        openai_chat.decode_answer(body)
    with pytest.raises(ValueError, match=r"answer is an error|not a chat completion|utf-8"):
        openai_chat.read_usage(body)


def test_null_members_are_absent_ones() -> None:
    body = completion(error=None, usage=None, id=None, model=None, created=None)
    decoded = openai_chat.decode_answer(body)
    assert (decoded.id, decoded.model, decoded.created, decoded.usage) == ("", "", 0, None)
    assert openai_chat.read_usage(body) == ("", None)


def test_half_an_emoji_becomes_the_replacement_character() -> None:
    body = completion().replace(b'"x"', rb'"a\ud83d"')
    assert openai_chat.decode_answer(body).parts == (Text(text="a\ufffd"),)
    assert openai_chat.read_usage(body) == ("m", None)


def test_content_in_parts() -> None:
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert openai_chat.decode_answer(message(content=parts)).parts == (Text(text="ab"),)


def test_a_refusal_is_one_whatever_the_server_calls_it() -> None:
    decoded = openai_chat.decode_answer(message(content=None, refusal="No."))
    assert (decoded.parts, decoded.finish) == ((Refusal(text="No."),), "refusal")


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("a_word_of_2030", "other"),
        (None, "other"),
    ],
)
def test_finish_reasons(word: str | None, finish: str) -> None:
    body = completion(choices=[{"message": {"content": "x"}, "finish_reason": word}])
    assert openai_chat.decode_answer(body).finish == finish


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, Usage(input=3, output=4)),
        ({"prompt_tokens": 3}, Usage(input=3)),
        ({"completion_tokens": 4, "prompt_tokens": None}, Usage(output=4)),
        (
            {
                "prompt_tokens": 30,
                "completion_tokens": 4,
                "prompt_tokens_details": {"cached_tokens": 9, "cache_write_tokens": 8, "audio_tokens": 7},
                "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 2},
            },
            Usage(input=30, output=4, cache_read=9, cache_write=8, reasoning=3, audio_input=7, audio_output=2),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": None, "prompt_cache_hit_tokens": 2},
            Usage(input=3, output=4, cache_read=2),
        ),
        (
            {
                "prompt_tokens": 3,
                "completion_tokens": 4,
                "total_tokens": 17,
                "completion_tokens_details": {"reasoning_tokens": 10},
            },
            Usage(input=3, output=14, reasoning=10),
        ),
        (
            {
                "prompt_tokens": 3,
                "completion_tokens": 14,
                "total_tokens": 17,
                "completion_tokens_details": {"reasoning_tokens": 10},
            },
            Usage(input=3, output=14, reasoning=10),
        ),
        (
            {
                "prompt_tokens": 90,
                "completion_tokens": 40,
                "prompt_tokens_details": {
                    "cached_tokens": 50,
                    "audio_tokens": 30,
                    "image_tokens": 20,
                    "cached_tokens_details": {"audio_tokens": 10, "image_tokens": 5},
                },
                "completion_tokens_details": {"image_tokens": 7},
                "server_tool_use": {"web_search_requests": 2},
            },
            Usage(
                input=90,
                output=40,
                cache_read=50,
                audio_input=30,
                cached_audio=10,
                image_input=20,
                cached_image=5,
                image_output=7,
                web_searches=2,
            ),
        ),
        ({"prompt_tokens": 3, "num_sources_used": 4}, Usage(input=3, web_searches=4)),
        ({"prompt_tokens": 3, "cost": 0.00014}, Usage(input=3, told=Decimal("0.00014"))),
        ({"prompt_tokens": 3, "cost": 0}, Usage(input=3, told=Decimal(0))),
        ({"prompt_tokens": 3, "cost": 0.1, "is_byok": True}, Usage(input=3)),
        ({"prompt_tokens": 3, "cost": -1}, Usage(input=3)),
        ({"prompt_tokens": 3, "cost": 1e300}, Usage(input=3)),
        ({"prompt_tokens": 3, "cost": {"total": 1}}, Usage(input=3)),
        ({"prompt_tokens": 3, "cost": "\u00e9"}, Usage(input=3)),
        ({"prompt_tokens": 3, "cost": None}, Usage(input=3)),
        ({"prompt_tokens": 1_000_000_000, "completion_tokens": 0}, Usage(input=1_000_000_000)),
        ({"prompt_tokens": 1_000_000_001, "completion_tokens": 0}, None),
        ({"prompt_tokens": -1, "completion_tokens": 4}, None),
        ({"prompt_tokens": "3", "completion_tokens": 4}, None),
        ({"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": -1}}, None),
        ({"prompt_tokens": 3.5}, None),
        ({"total_tokens": 3}, None),
        ({}, None),
        ([], None),
        ("many", None),
        (None, None),
    ],
)
def test_usage(usage: Any, counted: Usage | None) -> None:
    assert openai_chat.read_usage(completion(usage=usage)) == ("m", counted)
    assert openai_chat.decode_answer(completion(usage=usage)).usage == counted
    assert decode_usage(msgspec.Raw(json.dumps(usage).encode())) == counted


@pytest.mark.parametrize(("said", "service"), [("flex", "flex"), ("default", "default"), (None, ""), (7, ""), ({}, "")])
def test_the_service_tier_is_kept_as_it_was_said(said: Any, service: str) -> None:
    counted = Usage(input=3, service=service)
    for usage in ({"prompt_tokens": 3}, {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 0}}):
        body = completion(usage=usage, service_tier=said)
        assert openai_chat.read_usage(body) == ("m", counted)
        assert openai_chat.decode_answer(body).usage == counted


@given(answers())
def test_an_answer_survives_the_wire_and_satisfies_the_client(original: Answer) -> None:
    body = openai_chat.encode_answer(original)
    decoded = openai_chat.decode_answer(body)
    assert decoded.raw_finish == WORD.get(original.finish, "stop")
    assert msgspec.structs.replace(decoded, raw_finish=None) == original
    assert openai_chat.read_usage(body) == (original.model, original.usage)
    seen = ChatCompletion.model_validate(json.loads(body), strict=True)
    assert seen.choices[0].message.content == ("".join(p.text for p in original.parts if isinstance(p, Text)) or None)


def test_required_keys_are_there_even_where_null() -> None:
    choice = json.loads(openai_chat.encode_answer(answer(Text(text="x"))))["choices"][0]
    assert choice["logprobs"] is None
    assert choice["message"] == {"role": "assistant", "content": "x", "refusal": None}


@pytest.mark.parametrize(
    ("encoded", "word"),
    [
        (answer(Refusal(text="No."), finish="refusal"), "stop"),
        (answer(Text(text="x"), finish="refusal"), "content_filter"),
        (answer(Text(text="x"), finish="pause"), "stop"),
        (answer(Text(text="x"), finish="other"), "stop"),
        (answer(Refusal(text="No."), finish="length"), "length"),
    ],
)
def test_reasons_that_openai_has_no_word_for(encoded: Answer, word: str) -> None:
    body = openai_chat.encode_answer(encoded)
    assert json.loads(body)["choices"][0]["finish_reason"] == word
    ChatCompletion.model_validate(json.loads(body), strict=True)
