"""The fake model's rules, and that its structured answers really fit their schemas."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.fakes.model import OfferedTool, Question, answer, instance, pieces
from fairlead.fakes.script import Fault, Script, parse_rates

TOOLS = (OfferedTool(name="a", schema={"type": "object", "properties": {}}), OfferedTool(name="b"))


def called(**question: Any) -> list[str]:
    return [call.name for call in answer(Question(model="m", tools=TOOLS, **question)).calls]


def test_a_tool_is_called_only_when_demanded_or_asked_for() -> None:
    assert called(last_text="hello") == []
    assert called(last_text="hello", choice="required") == ["a"]
    assert called(last_text="hello", choice="required", choice_name="b") == ["b"]
    assert called(last_text="call b") == ["b"]
    assert called(last_text="call b and call a") == ["b", "a"]
    assert called(last_text="call b and call a", parallel=False) == ["b"]
    assert called(last_text="call b", choice="none") == []
    assert called(last_text="call c") == []
    assert called(last_text="call b", tool_result="done") == []


def test_words_are_tokens() -> None:
    reply = answer(Question(model="m", last_text="count to 7", reasons=True))
    assert reply.text == "1 2 3 4 5 6 7"
    assert reply.output_tokens == 7 + reply.reasoning_tokens
    assert reply.reasoning_tokens == len(reply.reasoning.split())


@given(st.text(max_size=200))
def test_pieces_add_up_to_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text


@given(st.text(min_size=1, max_size=50), st.integers(min_value=1, max_value=20))
def test_a_stretched_answer_has_exactly_so_many_words(text: str, words: int) -> None:
    assert answer(Question(model="m", last_text=text), words).text.count(" ") == words - 1


SCHEMAS: list[dict[str, Any]] = [
    {},
    {"type": "object"},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3},
    {"type": "string", "minLength": 12},
    {"enum": ["x", "y"]},
    {"const": 5},
    {"anyOf": [{"type": "null"}, {"type": "string"}]},
    {"type": ["string", "null"]},
    {"type": "object", "properties": {"a": {"type": "boolean"}, "b": {}}, "required": ["a", "b"]},
    {
        "type": "object",
        "properties": {"next": {"$ref": "#/$defs/node"}},
        "required": ["next"],
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"kind": {"enum": ["leaf"]}, "next": {"$ref": "#/$defs/node"}},
                "required": ["kind"],
            }
        },
    },
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_an_instance_fits_its_schema(schema: dict[str, Any]) -> None:
    jsonschema.validate(instance(schema), schema)


def test_rates_and_faults_are_read_or_refused() -> None:
    assert parse_rates("429=0.2,cut:3=0.1") == {"429": 0.2, "cut:3": 0.1}
    assert Fault.parse("cut:3") == Fault("cut", 3)
    assert Fault.parse("ok").amount is None
    for wrong in ("nope", "cut:x"):
        with pytest.raises(ValueError, match=r"unknown fault|could not convert"):
            Fault.parse(wrong)
    with pytest.raises(ValueError, match="add up"):
        Script.of(rates={"429": 0.7, "500": 0.7})
