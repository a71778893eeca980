"""Streams of chat completion chunks: real providers' habits in, strict chunks out."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk
from tests.dialects.strategies import answers, events

from fairlead.canonical.chat import Answer, Reasoning, Refusal, Text, ToolCall
from fairlead.canonical.events import (
    Broken,
    Event,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    collect,
)
from fairlead.canonical.usage import Usage
from fairlead.dialects.openai_chat import Decoder, Encoder
from fairlead.dialects.sse import LIMIT, Frames

DATA = Path(__file__).parent / "data" / "openai_chat"
STREAMS = sorted(DATA.glob("*.sse"), key=lambda path: path.name)


def read(*pieces: bytes) -> list[Event]:
    decoder = Decoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.end()


def sse(*chunks: Any, done: bool = True) -> bytes:
    told = [json.dumps(chunk).encode() for chunk in chunks] + [b"[DONE]"] * done
    return b"".join(b"data: " + data + b"\n\n" for data in told)


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": "a", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def call(**members: Any) -> dict[str, Any]:
    return chunk({"tool_calls": [members]})


START = Started(id="a", model="m")


@pytest.mark.parametrize(
    ("name", "parts", "finish", "usage"),
    [
        (
            "openai_text",
            (Text(text='Grüß dich, "usage" 😀\u2028'),),
            "stop",
            Usage(input=1117, output=5, cache_read=1024, service="default"),
        ),
        (
            "openai_tools",
            (
                Text(text="Let me look."),
                ToolCall(id="call_Rome", name="get_weather", arguments='{"city":"Rome"}'),
                ToolCall(id="call_Time", name="get_time", arguments="{}"),
            ),
            "tool_calls",
            Usage(input=80, output=33, service="default"),
        ),
        ("azure_text", (Text(text="Hello"),), "stop", Usage(input=9, output=1)),
        ("groq_without_done", (Text(text="Hi"),), "stop", Usage(input=36, output=2)),
        (
            "deepseek_reasoning",
            (Reasoning(text="One and one."), Text(text="Two")),
            "stop",
            Usage(input=12, output=20, cache_read=8, reasoning=15),
        ),
        ("mistral_usage_on_choice", (Text(text="Bonjour"),), "length", Usage(input=5, output=2)),
        ("surrogates", (Text(text="a\ufffd\ufffdb"),), "stop", None),
        ("refusal", (Refusal(text="I'm sorry, no."),), "refusal", None),
    ],
)
def test_recorded_habits(name: str, parts: Any, finish: str, usage: Usage | None) -> None:
    answer = collect(read((DATA / f"{name}.sse").read_bytes()))
    assert (answer.parts, answer.finish, answer.usage) == (parts, finish, usage)
    assert answer.id
    assert answer.model
    assert answer.created > 1_760_000_000


def test_a_chunk_without_choices_gives_its_id_and_begins_nothing() -> None:
    first = sse({"id": "early", "model": "", "choices": []}, done=False)
    decoder = Decoder()
    assert decoder.feed(first) == []
    assert decoder.feed(sse(chunk({"content": "x"}), done=False))[0] == Started(id="early", model="m")


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("cut", Broken(kind="cut", message="the stream ended before the answer did")),
        (
            "openrouter_error",
            Broken(kind="server_error", message="the provider ended the stream with an error", status=502),
        ),
    ],
)
def test_broken_streams(name: str, broken: Broken) -> None:
    told = read((DATA / f"{name}.sse").read_bytes())
    assert isinstance(told[0], Started)
    assert told[-1] == broken
    assert [type(event) for event in told[1:-1]] == [TextDelta]


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_any_cut_gives_the_same_events(path: Path) -> None:
    data = path.read_bytes()
    expected = read(data)
    assert read(*(data[i : i + 1] for i in range(len(data)))) == expected
    for i in range(0, len(data), 7):
        assert read(data[:i], data[i:]) == expected


@pytest.mark.parametrize(
    "data",
    [
        sse(chunk({"content": "x"})),
        sse(chunk({"content": "x"}, "stop"), done=False),
        sse(chunk({"content": "x"}, "stop"), done=False)[:-2],
        sse(chunk({"content": "x"}, "stop"), done=False) + b"data:[DONE]",
        sse(chunk({"content": "x"}, "stop")) + sse(chunk({"content": "more"}), {"error": {"code": "x"}}),
        sse(chunk({"content": "x"}, "stop"), chunk({"content": "late"})),
        b": hello\n\ndata:\n\n" + sse(chunk({"content": "x"}, "")),
        sse(chunk({"content": "x"}), chunk(None, "stop"), {"choices": None}),
        sse({**chunk({"content": "x"}), "error": None}),
        sse(chunk({"content": "x", "refusal": None, "tool_calls": None, "reasoning": ""})),
    ],
)
def test_streams_that_end_well(data: bytes) -> None:
    told = read(data)
    assert told[:2] == [START, TextDelta(index=0, text="x")]
    assert isinstance(told[2], Finished)
    assert len(told) == 3


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "cut"),
        (b"<html>no stream</html>", "cut"),
        (sse({"id": "a", "choices": []}, done=False), "cut"),
        (sse(), "protocol"),
        (sse({"choices": []}), "protocol"),
        (b"data: <html>\n\n", "protocol"),
        (b"data: []\n\n", "protocol"),
        (b'data: {"choices":3}\n\n', "protocol"),
        (b"data: \xff\n\n", "protocol"),
        (b"data: " + b"[" * 100_000 + b"\n\n", "protocol"),
        (b"data: " + b"x" * (LIMIT + 1), "protocol"),
        (sse({"error": {"message": "no", "code": "insufficient_quota"}}), "quota"),
        (sse({"error": {"message": "no", "code": 429}}, done=False)[:-2], "rate_limited"),
    ],
)
def test_streams_that_never_begin(data: bytes, kind: str) -> None:
    (broken,) = read(data)
    assert isinstance(broken, Broken)
    assert broken.kind == kind


def test_nothing_follows_the_end() -> None:
    decoder = Decoder()
    decoder.feed(sse(chunk({"content": "x"})))
    assert decoder.feed(sse(chunk({"content": "y"}))) == []
    assert decoder.end() == []


def test_only_the_first_choice_is_told() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "length"}]}
    told = read(sse(chunk({"content": "x"}), other, chunk({}, "stop")))
    assert told == [START, TextDelta(index=0, text="x"), Finished(reason="stop", raw_reason="stop")]


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        (
            [
                {"index": 3, "id": "x", "function": {"name": "f", "arguments": "{"}},
                {"index": 3, "function": {"arguments": "}"}},
            ],
            [ToolCall(id="x", name="f", arguments="{}")],
        ),
        (
            [
                {"index": 0, "id": "x", "function": {"name": "f"}},
                {"index": 0, "id": "x", "function": {"arguments": "1"}},
            ],
            [ToolCall(id="x", name="f", arguments="1")],
        ),
        (
            [{"index": 0, "id": "x", "function": {"name": "f"}}, {"index": 0, "id": "y", "function": {"name": "g"}}],
            [ToolCall(id="x", name="f", arguments=""), ToolCall(id="y", name="g", arguments="")],
        ),
        (
            [
                {"id": "x", "function": {"name": "f"}},
                {"function": {"arguments": "1"}},
                {"id": "y", "function": {"name": "g"}},
            ],
            [ToolCall(id="x", name="f", arguments="1"), ToolCall(id="y", name="g", arguments="")],
        ),
        (
            [{"index": 0, "function": {"name": "f"}}, {"index": 1, "id": "", "function": {"name": "g"}}],
            [ToolCall(id="call_0", name="f", arguments=""), ToolCall(id="call_1", name="g", arguments="")],
        ),
        (
            [
                {"index": 0, "id": "x", "function": {"name": "f"}},
                {"index": 1, "id": "y", "function": {"name": "g"}},
                {"index": 0, "function": {"arguments": "1"}},
            ],
            [ToolCall(id="x", name="f", arguments="1"), ToolCall(id="y", name="g", arguments="")],
        ),
        ([{"function": {"arguments": "1"}}], [ToolCall(id="call_0", name="", arguments="1")]),
    ],
)
def test_how_providers_number_their_calls(calls: list[Any], expected: list[ToolCall]) -> None:
    answer = collect(read(sse(*(call(**members) for members in calls), chunk({}, "stop"))))
    assert list(answer.parts) == expected
    assert answer.finish == "tool_calls"


def chunks(data: bytes) -> list[dict[str, Any]]:
    told = [frame.data for frame in Frames().feed(data)]
    assert told.pop() == b"[DONE]"
    return [json.loads(one) for one in told]


@given(answers(), st.booleans(), st.integers(1, 9))
def test_a_stream_survives_the_wire_and_satisfies_the_client(answer: Answer, include_usage: bool, size: int) -> None:
    encoder = Encoder(include_usage=include_usage)
    data = b"".join(encoder.encode(event) for event in events(answer, size))
    told = chunks(data)
    for one in told:
        ChatCompletionChunk.model_validate(one, strict=True)
        assert (one["id"], one["model"], one["created"]) == (answer.id, answer.model, answer.created)
    assert told[0]["choices"][0]["delta"]["role"] == "assistant"
    assert sum("role" in choice["delta"] for one in told for choice in one["choices"]) == 1
    decoded = msgspec.structs.replace(collect(read(data)), raw_finish=None)
    assert decoded == (answer if include_usage else msgspec.structs.replace(answer, usage=None))


def encode(*told: Event, include_usage: bool = False) -> bytes:
    encoder = Encoder(include_usage=include_usage)
    return b"".join(encoder.encode(event) for event in (START, *told))


def test_usage_comes_once_in_a_chunk_without_choices_before_the_end() -> None:
    finished = Finished(reason="stop", usage=Usage(input=3, output=4))
    told = chunks(encode(TextDelta(index=0, text="x"), finished, include_usage=True))
    assert [one["usage"] and one["usage"]["total_tokens"] for one in told] == [None, None, None, 7]
    assert told[-1]["choices"] == []
    assert all("usage" not in one for one in chunks(encode(finished)))
    assert len(chunks(encode(Finished(reason="stop"), include_usage=True))) == 2


def test_tool_calls_are_numbered_densely_whatever_came_before() -> None:
    told = chunks(
        encode(
            ReasoningDelta(index=0, text="r"),
            TextDelta(index=1, text="t"),
            ToolCallStarted(index=2, id="x", name="f"),
            ToolCallStarted(index=3, id="y", name="g"),
            ToolCallDelta(index=3, arguments="{}"),
            ToolCallDelta(index=2, arguments="[]"),
            Finished(reason="tool_calls"),
        )
    )
    calls = [c for one in told for c in one["choices"][0]["delta"].get("tool_calls", [])]
    assert [(c["index"], c.get("id"), c["function"]["arguments"]) for c in calls] == [
        (0, "x", ""),
        (1, "y", ""),
        (1, None, "{}"),
        (0, None, "[]"),
    ]


def test_what_openai_has_no_words_for_is_left_out() -> None:
    assert Encoder(include_usage=False).encode(ReasoningDelta(index=0, signature="sig")) == b""
    assert Encoder(include_usage=False).encode(ReasoningDelta(index=0, redacted="blob")) == b""


@pytest.mark.parametrize(("refusal", "word"), [((RefusalDelta(index=0, text="No."),), "stop"), ((), "content_filter")])
def test_a_refusal_ends_as_openai_ends_it(refusal: tuple[Event, ...], word: str) -> None:
    told = chunks(encode(*refusal, Finished(reason="refusal")))
    assert told[-1]["choices"][0]["finish_reason"] == word


def test_a_break_is_an_error_event_and_no_end() -> None:
    data = encode(TextDelta(index=0, text="x"), Broken(kind="cut", message="gone"))
    last = Frames().feed(data)[-1]
    assert json.loads(last.data)["error"]["code"] == "upstream_error"
    assert b"[DONE]" not in data
    told = read(data)
    assert isinstance(told[-1], Broken)
