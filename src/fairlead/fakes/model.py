"""The fake model: a question in, a deterministic reply out, in no provider's wire format.

The rules, first match wins: "refuse please" is refused; a tool's result is quoted; a tool that must be called, or that
the last text asks for ("call NAME"), is called with arguments that fit its schema; a JSON Schema is filled in;
"count to N" counts; anything else is echoed as "You said: ...". One word is one token.
"""

import re
from typing import Any, Literal

import msgspec
import msgspec.json

COUNT_LIMIT = 10_000
DEPTH_LIMIT = 8
Schema = dict[str, Any]


class OfferedTool(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    schema: Schema = {}


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a request of any wire format comes down to."""

    model: str
    last_text: str = ""
    """The last user text."""
    tool_result: str | None = None
    """The result that the conversation ends with, if it does."""
    tools: tuple[OfferedTool, ...] = ()
    choice: Literal["auto", "none", "required"] = "auto"
    choice_name: str | None = None
    parallel: bool = True
    schema: Schema | None = None
    """The JSON Schema that the answer must fit; `{}` for any object."""
    reasons: bool = False
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False
    include_usage: bool = False
    n: int = 1
    input_tokens: int = 0
    """All of them, cached ones included."""
    cache_read: int = 0
    cache_write: int = 0


class Call(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    arguments: str


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    finish: Literal["stop", "stop_sequence", "length", "tool", "refusal"]
    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    stop_sequence: str | None = None
    output_tokens: int = 0
    """Reasoning included."""
    reasoning_tokens: int = 0


def count_tokens(text: str) -> int:
    return len(text.split())


def pieces(text: str) -> list[str]:
    """`text` as a stream brings it: a word and the space before it per piece."""
    return re.findall(r"\s*\S+|\s+$", text)


def answer(question: Question, words: int | None = None) -> Reply:
    """The reply to `question`; a plain text reply gets exactly `words` words where that is given."""
    reasoning = f"The user wrote {question.last_text!r}. I will answer." if question.reasons else ""
    if "refuse please" in question.last_text.lower():
        return _counted("refusal", "I'm sorry, I can't help with that.", reasoning)
    calls = _calls(question)
    if calls:
        return _counted("tool", "", reasoning, calls)
    if question.schema is not None:
        return _counted("stop", msgspec.json.encode(instance(question.schema)).decode(), reasoning)
    return _limited(question, _stretched(_plain(question), words), reasoning)


def instance(schema: Schema, root: Schema | None = None, depth: int = 0) -> Any:
    """A small value that fits `schema`, as far as JSON Schema is used for tools and structured answers."""
    root = schema if root is None else root
    if depth > DEPTH_LIMIT:
        return None
    if "$ref" in schema:
        return instance(_resolve(schema["$ref"], root), root, depth + 1)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return instance(schema[key][0], root, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema or not schema else "string")
    return _of_kind(kind[0] if isinstance(kind, list) else kind, schema, root, depth)


def _of_kind(kind: str, schema: Schema, root: Schema, depth: int) -> Any:
    if kind == "object":
        wanted = schema.get("required", list(schema.get("properties", {})))
        properties = schema.get("properties", {})
        return {name: instance(properties.get(name, {}), root, depth + 1) for name in wanted}
    if kind == "array":
        items = schema.get("items", {"type": "string"})
        return [instance(items, root, depth + 1) for _ in range(max(1, schema.get("minItems", 1)))]
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    return {"boolean": True, "null": None}.get(kind, "fake" + "e" * max(0, schema.get("minLength", 0) - 4))


def _resolve(reference: str, root: Schema) -> Schema:
    found: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        found = found.get(step, {}) if step else found
    return found if isinstance(found, dict) else {}


def _calls(question: Question) -> tuple[Call, ...]:
    if not question.tools or question.choice == "none" or question.tool_result is not None:
        return ()
    by_name = {tool.name: tool for tool in question.tools}
    wanted = [name for name in re.findall(r"\bcall (\S+)", question.last_text) if name in by_name]
    if question.choice_name is not None:
        wanted = [question.choice_name]
    elif question.choice == "required" and not wanted:
        wanted = [question.tools[0].name]
    if not question.parallel:
        wanted = wanted[:1]
    return tuple(
        Call(name=name, arguments=msgspec.json.encode(instance(by_name[name].schema)).decode())
        for name in wanted
        if name in by_name
    )


def _plain(question: Question) -> str:
    if question.tool_result is not None:
        return f"The tool said: {question.tool_result}"
    counting = re.search(r"\bcount to (\d+)", question.last_text.lower())
    if counting:
        return " ".join(str(number) for number in range(1, min(int(counting[1]), COUNT_LIMIT) + 1))
    return f"You said: {question.last_text}"


def _stretched(text: str, words: int | None) -> str:
    if words is None:
        return text
    given = text.split()
    return " ".join(given[index % len(given)] for index in range(words))


def _limited(question: Question, text: str, reasoning: str) -> Reply:
    found = [(text.find(stop), stop) for stop in question.stop if stop and stop in text]
    if found:
        at, stop = min(found)
        return msgspec.structs.replace(_counted("stop_sequence", text[:at], reasoning), stop_sequence=stop)
    split = pieces(text)
    if question.max_tokens is not None and len(split) > question.max_tokens:
        return _counted("length", "".join(split[: question.max_tokens]), reasoning)
    return _counted("stop", text, reasoning)


def _counted(
    finish: Literal["stop", "stop_sequence", "length", "tool", "refusal"],
    text: str,
    reasoning: str,
    calls: tuple[Call, ...] = (),
) -> Reply:
    thought = count_tokens(reasoning)
    said = count_tokens(text) + sum(1 + count_tokens(call.arguments) for call in calls)
    return Reply(
        finish=finish,
        text=text,
        reasoning=reasoning,
        calls=calls,
        output_tokens=thought + said,
        reasoning_tokens=thought,
    )
