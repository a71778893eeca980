"""A streamed answer as a sequence of events, and how a sequence becomes a whole answer.

The order every dialect keeps: `Started`, then deltas, then one `Finished`, then nothing. A part is named by `index`,
dense from 0 in the order in which parts begin; deltas of two parts may interleave.
"""

from collections.abc import Iterable

import msgspec

from fairlead.canonical.chat import Answer, FinishReason, Reasoning, Refusal, Text, ToolCall
from fairlead.canonical.usage import Usage


class Started(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    model: str
    created: int = 0
    usage: Usage | None = None
    """What is already known at the start (Anthropic tells the input tokens here)."""


class TextDelta(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    text: str


class ReasoningDelta(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of reasoning text, or its opaque end: a `signature`, or a whole `redacted` block."""

    index: int
    text: str = ""
    signature: str | None = None
    redacted: str | None = None


class RefusalDelta(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    text: str


class ToolCallStarted(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    id: str
    name: str


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    arguments: str


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The model is done. It comes once the provider's end marker was seen, so usage is complete."""

    reason: FinishReason
    usage: Usage | None = None
    raw_reason: str | None = None
    stop_sequence: str | None = None


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """The provider ended the stream with an error, or it did not end as its dialect must. Nothing follows."""

    kind: str
    """A row of KINDS."""
    message: str
    status: int | None = None
    retry_after: float | None = None


Event = Started | TextDelta | ReasoningDelta | RefusalDelta | ToolCallStarted | ToolCallDelta | Finished | Broken


def collect(events: Iterable[Event]) -> Answer:
    """The whole answer that a complete sequence of events tells.

    Raises ValueError when the sequence has no `Started` or does not end with `Finished`.
    """
    started: Started | None = None
    finished: Finished | None = None
    parts: dict[int, list[TextDelta | ReasoningDelta | RefusalDelta | ToolCallStarted | ToolCallDelta]] = {}
    for event in events:
        match event:
            case Started():
                started = event
            case Finished():
                finished = event
            case Broken(message=message):
                raise ValueError(f"the stream broke: {message}")
            case _:
                parts.setdefault(event.index, []).append(event)
    if started is None or finished is None:
        raise ValueError("the stream has no beginning or no end")
    return Answer(
        id=started.id,
        model=started.model,
        created=started.created,
        parts=tuple(_part(parts[index]) for index in sorted(parts)),
        finish=finished.reason,
        raw_finish=finished.raw_reason,
        stop_sequence=finished.stop_sequence,
        usage=finished.usage,
    )


def _part(
    deltas: list[TextDelta | ReasoningDelta | RefusalDelta | ToolCallStarted | ToolCallDelta],
) -> Text | Reasoning | Refusal | ToolCall:
    match deltas[0]:
        case TextDelta():
            return Text(text="".join(d.text for d in deltas if isinstance(d, TextDelta)))
        case RefusalDelta():
            return Refusal(text="".join(d.text for d in deltas if isinstance(d, RefusalDelta)))
        case ReasoningDelta():
            pieces = [d for d in deltas if isinstance(d, ReasoningDelta)]
            return Reasoning(
                text="".join(d.text for d in pieces),
                signature="".join(d.signature for d in pieces if d.signature) or None,
                redacted="".join(d.redacted for d in pieces if d.redacted) or None,
            )
        case ToolCallStarted(id=call_id, name=name):
            arguments = "".join(d.arguments for d in deltas if isinstance(d, ToolCallDelta))
            return ToolCall(id=call_id, name=name, arguments=arguments)
        case ToolCallDelta(index=index):
            raise ValueError(f"arguments of tool call {index} came before the call itself")
