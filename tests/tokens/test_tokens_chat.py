"""What of a chat costs tokens: as OpenAI's cookbook counts it, and never less where that is not published."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiktoken import Encoding

from fairlead.canonical.chat import ChatRequest
from fairlead.catalog.counting import counting
from fairlead.dialects import anthropic, openai_chat
from fairlead.tokens.chat import PER_CALL, PER_MESSAGE, PER_REQUEST, PER_RESULT, Content, content
from fairlead.tokens.counter import Counter

JARGON = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain "
        "English.",
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased "
        "leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]
WEATHER = [
    {"role": "system", "content": "You are a helpful assistant that can answer to questions about the weather."},
    {"role": "user", "content": "What's the weather like in San Francisco?"},
]
WEATHER_TOOL = {
    "name": "get_current_weather",
    "description": "Get the current weather in a given location",
    "parameters": {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
            "unit": {
                "type": "string",
                "description": "The unit of temperature to return",
                "enum": ["celsius", "fahrenheit"],
            },
        },
        "required": ["location"],
    },
}


def openai(**fields: Any) -> ChatRequest:
    return openai_chat.decode_request(json.dumps({"model": "m", **fields}).encode())


def shown(*parts: dict[str, Any], role: str = "user") -> Content:
    return content(openai(messages=[{"role": role, "content": list(parts)}]))


@pytest.mark.parametrize(("model", "tokens"), [("gpt-4", 129), ("gpt-3.5-turbo", 129), ("gpt-4o", 124)])
async def test_a_conversation_is_counted_as_the_api_counts_it(counter: Counter, model: str, tokens: int) -> None:
    """The cookbook's example, with the figures that it has from OpenAI's API."""
    assert await counter.count(content(openai(messages=JARGON)), counting(model)) == tokens


@pytest.mark.parametrize(("model", "tokens"), [("gpt-4", 105), ("gpt-4o", 101)])
async def test_tools_are_never_counted_too_low(counter: Counter, model: str, tokens: int) -> None:
    """The cookbook's example, with the figures that it has from OpenAI's API."""
    request = openai(messages=WEATHER, tools=[{"type": "function", "function": WEATHER_TOOL}])
    assert tokens <= await counter.count(content(request), counting(model)) <= 2 * tokens


async def test_claudes_tools_are_not_counted_too_low(counter: Counter) -> None:
    """Anthropic's example of its token counting endpoint: 403 tokens, most of them its own words about tools."""
    body = {
        "model": "claude-opus-5",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "What's the weather like in San Francisco?"}],
        "tools": [
            {
                "name": "get_weather",
                "description": "Get the current weather in a given location",
                "input_schema": {
                    "type": "object",
                    "properties": {
                        "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}
                    },
                    "required": ["location"],
                },
            }
        ],
    }
    request = anthropic.decode_request(json.dumps(body).encode())
    assert 403 <= await counter.count(content(request), counting("claude-opus-5")) <= 2 * 403


def typescript(tools: list[dict[str, Any]]) -> str:
    """The form in which models are said to be shown functions; OpenAI does not publish it."""
    lines = ["# Tools", "## functions", "namespace functions {"]
    for tool in tools:
        lines += [f"// {tool['description']}", f"type {tool['name']} = (_: {{"]
        for name, schema in tool["parameters"].get("properties", {}).items():
            kind = " | ".join(f'"{item}"' for item in schema["enum"]) if "enum" in schema else schema["type"]
            mark = "" if name in tool["parameters"]["required"] else "?"
            lines += [f"// {schema['description']}", f"{name}{mark}: {kind},"]
        lines.append("}) => any;")
    return "\n".join([*lines, "} // namespace functions"])


NAMES = st.from_regex(r"[a-z]{1,10}(_[a-z]{1,10}){0,3}", fullmatch=True)
WORDS = ("the", "city", "of", "a", "weather", "report", "in", "Zürich", "12", "units.", '"C"', "(or F)")
PROSE = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
FIELDS = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "number", "boolean"]), "description": PROSE},
    optional={"enum": st.lists(NAMES, min_size=1, max_size=5)},
)


@st.composite
def functions(draw: st.DrawFn) -> dict[str, Any]:
    properties = draw(st.dictionaries(NAMES, FIELDS, max_size=6))
    required = [name for name in properties if draw(st.booleans())]
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"name": draw(NAMES), "description": draw(PROSE), "parameters": parameters}


SMALLEST = {"name": "a", "description": "", "parameters": {}}


@settings(deadline=None)
@given(st.lists(functions(), min_size=1, max_size=3))
@example([SMALLEST])
@example([SMALLEST] * 20)
def test_json_and_its_frame_are_more_than_the_model_is_shown(o200k: Encoding, tools: list[dict[str, Any]]) -> None:
    without = content(openai(messages=[]))
    found = content(openai(messages=[], tools=[{"type": "function", "function": tool} for tool in tools]))
    counted = sum(len(o200k.encode_ordinary(text)) for text in found.texts) + found.frame - without.frame
    assert counted >= len(o200k.encode_ordinary(typescript(tools)))


def test_an_empty_request_is_the_beginning_of_an_answer() -> None:
    assert content(openai(messages=[])) == Content([], frame=PER_REQUEST)


def test_images_are_told_apart_by_their_detail() -> None:
    def image(detail: str | None) -> dict[str, Any]:
        return {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": detail}}

    found = shown({"type": "text", "text": "look"}, image("low"), image("high"), image("auto"), image(None))
    assert (found.small_images, found.images) == (1, 3)
    assert found.texts == ["look"]


async def test_images_are_added_as_the_model_counts_them(counter: Counter) -> None:
    found = Content([], frame=0, images=2, small_images=1)
    assert await counter.count(found, counting("gpt-4o")) == 2 * 1445 + 85
    assert await counter.count(found, counting("claude-opus-5")) == 3 * 4800


def test_calls_and_their_results_count_with_their_names() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"q":1}'}}
    request = openai(
        messages=[
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "found"},
        ]
    )
    found = content(request)
    assert sorted(found.texts) == ["found", "look_up", "look_up", '{"q":1}']
    assert found.frame == PER_REQUEST + 2 * PER_MESSAGE + PER_CALL + PER_RESULT


def test_a_demanded_form_of_the_answer_counts_with_its_schema() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "point", "schema": {"type": "object"}}}
    assert content(openai(messages=[], response_format=form)).texts == ["point", '{"type":"object"}']


def test_many_short_texts_are_not_taken_for_little_work() -> None:
    many = content(openai(messages=[{"role": "user", "content": "a"}] * 10_000))
    assert many.size > 100_000
