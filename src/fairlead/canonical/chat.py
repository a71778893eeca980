"""A chat as every dialect understands it: the request, its messages and parts, and the whole answer.

It knows no provider's spelling. A field that only one provider has travels in that provider's own bytes (pass-through)
and is not modelled here.
"""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from fairlead.canonical.usage import Usage

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "refusal", "pause", "other"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Text(msgspec.Struct, frozen=True, kw_only=True, tag="text"):
    text: str


class Image(msgspec.Struct, frozen=True, kw_only=True, tag="image"):
    """Either `url`, or base64 `data` with its `media_type`."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None


class Reasoning(msgspec.Struct, frozen=True, kw_only=True, tag="reasoning"):
    """A model's reasoning. `signature` and `redacted` are opaque and go back byte for byte."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag="refusal"):
    text: str


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call"):
    """`arguments` is JSON text exactly as the model wrote it; it may be empty or broken."""

    id: str
    name: str
    arguments: str


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, tag="tool_result"):
    call_id: str
    parts: tuple[Text | Image, ...] = ()
    is_error: bool = False


Part = Text | Image | Reasoning | Refusal | ToolCall | ToolResult


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One turn. A `tool` message holds `ToolResult` parts only, and no other role holds any."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function that the model may call. `parameters` is a JSON Schema object."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] = {}
    strict: bool | None = None


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    """`required` means any tool; `tool` names the one that must be called."""

    mode: Literal["auto", "none", "required", "tool"]
    name: str | None = None


class OutputFormat(msgspec.Struct, frozen=True, kw_only=True):
    """`schema` None: any JSON object."""

    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A chat request. None always means that the client did not say."""

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    include_usage: bool = False
    """Whether the client asked for usage on the stream (dialects that always send it say True)."""
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output_format: OutputFormat | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    effort: Effort | None = None
    reasoning_budget: int | None = None
    """Tokens of reasoning, where the client's dialect counts them."""
    seed: int | None = None
    user: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer: the parts in the order in which the model gave them."""

    id: str
    model: str
    parts: tuple[Text | Reasoning | Refusal | ToolCall, ...]
    finish: FinishReason
    usage: Usage | None = None
    """None: the provider sent none."""
    created: int = 0
    """Unix seconds; 0 where the provider's dialect has no such field."""
    raw_finish: str | None = None
    """The provider's own word for `finish`."""
    stop_sequence: str | None = None


def texts(request: ChatRequest) -> Iterator[tuple[Role, str]]:
    """Every text of a request with the role that spoke it, in order: what counts tokens or checks content reads."""
    for message in request.messages:
        for part in message.parts:
            match part:
                case Text(text=text) | Reasoning(text=text) | Refusal(text=text):
                    yield message.role, text
                case ToolCall(arguments=arguments):
                    yield message.role, arguments
                case ToolResult(parts=parts):
                    yield from ((message.role, inner.text) for inner in parts if isinstance(inner, Text))
                case Image():
                    pass
