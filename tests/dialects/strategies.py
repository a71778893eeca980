"""Canonical values as hypothesis makes them, for the round trips of every dialect.

They stay within what all dialects can say; what only some can say is behind an argument.
"""

from typing import Any

from hypothesis import strategies as st

from fairlead.canonical.chat import (
    Answer,
    ChatRequest,
    FinishReason,
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
from fairlead.canonical.events import (
    Event,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from fairlead.canonical.usage import Usage

NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_-]{0,20}", fullmatch=True)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(str.strip)
IDS = st.from_regex(r"call_[a-zA-Z0-9]{1,12}", fullmatch=True)
MODELS = st.sampled_from(["gpt-4o-mini", "claude-haiku-4-5", "llama-3.3-70b", "org/model:tag@1"])
COUNTS = st.integers(0, 10_000)
SCHEMAS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    NAMES, st.sampled_from(["string", "integer", "object"])
).map(
    lambda fields: {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in fields.items()},
        "required": sorted(fields),
    }
)
ARGUMENTS = st.sampled_from(["{}", '{"city":"Zürich"}', '{ "a" : [1, 2.50] }', '{"q":"\\u2028\\n"}'])

TEXTS = st.builds(Text, text=WORDS)
IMAGES = st.one_of(
    st.builds(Image, url=st.sampled_from(["https://example.com/a.png", "https://example.com/b?c=d"])),
    st.builds(
        Image,
        data=st.sampled_from(["aGVsbG8=", "iVBORw0KGgo="]),
        media_type=st.sampled_from(["image/png", "image/webp"]),
    ),
)
TOOL_CALLS = st.builds(ToolCall, id=IDS, name=NAMES, arguments=ARGUMENTS)
TOOLS = st.lists(
    st.builds(Tool, name=NAMES, description=st.none() | WORDS, parameters=SCHEMAS, strict=st.none() | st.booleans()),
    min_size=1,
    max_size=3,
    unique_by=lambda tool: tool.name,
).map(tuple)
FORMATS = st.builds(OutputFormat, name=NAMES, schema=SCHEMAS, strict=st.none() | st.booleans())


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Counts that add up: details are part of what they detail."""
    fresh, read, written, output, reasoning = (draw(COUNTS) for _ in range(5))
    return Usage(
        input=fresh + read + written,
        output=output + reasoning,
        cache_read=read,
        cache_write=written,
        reasoning=reasoning,
    )


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """A user's turn, then turns that may hold parallel tool calls with their results, and a last user's turn."""
    messages = [Message(role="system", parts=(draw(TEXTS),))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 2))):
        messages.append(draw(user_turns()))
        messages += draw(assistant_turns())
    return (*messages, draw(user_turns()))


def user_turns() -> st.SearchStrategy[Message]:
    parts = st.lists(st.one_of(TEXTS, IMAGES), min_size=1, max_size=3).map(tuple)
    return st.builds(Message, role=st.just("user"), parts=parts)


@st.composite
def assistant_turns(draw: st.DrawFn) -> list[Message]:
    calls = draw(st.lists(TOOL_CALLS, max_size=2, unique_by=lambda call: call.id))
    texts = draw(st.lists(TEXTS, min_size=0 if calls else 1, max_size=2))
    parts: tuple[Part, ...] = (*texts, *calls)
    turns = [Message(role="assistant", parts=parts)]
    if calls:
        results = tuple(
            ToolResult(call_id=call.id, parts=tuple(draw(st.lists(TEXTS, min_size=1, max_size=2)))) for call in calls
        )
        turns.append(Message(role="tool", parts=results))
    return turns


@st.composite
def requests(draw: st.DrawFn) -> ChatRequest:
    tools: tuple[Tool, ...] = draw(st.just(()) | TOOLS)
    choices: list[ToolChoice] = [ToolChoice(mode=mode) for mode in ("auto", "none", "required")]
    choices += [ToolChoice(mode="tool", name=tool.name) for tool in tools]
    stream = draw(st.booleans())
    return ChatRequest(
        model=draw(MODELS),
        messages=draw(conversations()),
        stream=stream,
        include_usage=stream,
        tools=tools,
        tool_choice=draw(st.none() | st.sampled_from(choices)) if tools else None,
        parallel_tool_calls=draw(st.none() | st.booleans()) if tools else None,
        output_format=draw(st.none() | FORMATS),
        max_tokens=draw(st.integers(1, 100_000)),
        temperature=draw(st.none() | st.floats(0, 1)),
        top_p=draw(st.none() | st.floats(0, 1)),
        stop=tuple(draw(st.lists(WORDS, max_size=3))),
        user=draw(st.none() | NAMES),
    )


@st.composite
def answers(draw: st.DrawFn, *, reasoning: bool = True) -> Answer:
    """Reasoning first, then text, then tool calls, as models answer. `raw_finish` is left to the dialect."""
    parts: list[Text | Reasoning | Refusal | ToolCall] = []
    if reasoning and draw(st.booleans()):
        parts.append(Reasoning(text=draw(WORDS)))
    parts += draw(st.lists(TEXTS, max_size=1))
    calls = draw(st.lists(TOOL_CALLS, max_size=3, unique_by=lambda call: call.id))
    plain: list[FinishReason] = ["stop", "length", "content_filter"]
    return Answer(
        id=draw(IDS),
        model=draw(MODELS),
        parts=(*parts, *calls),
        finish="tool_calls" if calls else draw(st.sampled_from(plain)),
        usage=draw(st.none() | usages()),
        created=draw(st.integers(0, 2**31)),
    )


def events(answer: Answer, size: int = 3) -> list[Event]:
    """`answer` as a stream would tell it, in deltas of `size` characters."""
    told: list[Event] = [Started(id=answer.id, model=answer.model, created=answer.created)]
    for index, part in enumerate(answer.parts):
        match part:
            case Text(text=text):
                told += [TextDelta(index=index, text=piece) for piece in _pieces(text, size)]
            case Reasoning(text=text):
                told += [ReasoningDelta(index=index, text=piece) for piece in _pieces(text, size)]
            case Refusal(text=text):
                told += [RefusalDelta(index=index, text=piece) for piece in _pieces(text, size)]
            case ToolCall(id=call_id, name=name, arguments=arguments):
                told.append(ToolCallStarted(index=index, id=call_id, name=name))
                told += [ToolCallDelta(index=index, arguments=piece) for piece in _pieces(arguments, size)]
    return [*told, Finished(reason=answer.finish, usage=answer.usage, raw_reason=answer.raw_finish)]


def _pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]
