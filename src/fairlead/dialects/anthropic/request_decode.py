"""The body of an Anthropic Messages request → what routing asks of it, or the whole canonical chat.

It knows the blocks that a request may hold. It must not know which dialect the chat is for.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, NoReturn

import msgspec

from fairlead.canonical.chat import (
    ChatRequest,
    Effort,
    Image,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from fairlead.canonical.errors import GatewayError
from fairlead.dialects import body as gate
from fairlead.dialects.ask import Ask

_Model = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Limit = Annotated[int, msgspec.Meta(ge=0)]


class _AskItem(msgspec.Struct, frozen=True, gc=False):
    type: str = ""


class _AskBlock(msgspec.Struct, frozen=True, gc=False):
    type: str
    content: str | list[_AskItem] | dict[str, msgspec.Raw] | None = None


class _AskMessage(msgspec.Struct, frozen=True, gc=False):
    role: str
    content: str | list[_AskBlock]


class _Metadata(msgspec.Struct, frozen=True):
    user_id: str | None = None


class _AskBody(msgspec.Struct, frozen=True, gc=False):
    model: _Model
    max_tokens: _Limit
    messages: Annotated[list[_AskMessage], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    tools: list[msgspec.Raw] | None = None
    metadata: _Metadata | None = None


class _TextBlock(msgspec.Struct, frozen=True, tag="text"):
    text: str


class _UrlSource(msgspec.Struct, frozen=True, tag="url"):
    url: str


class _Base64Source(msgspec.Struct, frozen=True, tag="base64"):
    media_type: str
    data: str


class _ImageBlock(msgspec.Struct, frozen=True, tag="image"):
    source: _UrlSource | _Base64Source


class _ToolUseBlock(msgspec.Struct, frozen=True, tag="tool_use"):
    id: str
    name: str
    input: msgspec.Raw


class _ToolResultBlock(msgspec.Struct, frozen=True, tag="tool_result"):
    tool_use_id: str
    content: str | list[_TextBlock | _ImageBlock] | None = None
    is_error: bool | None = None


class _ThinkingBlock(msgspec.Struct, frozen=True, tag="thinking"):
    thinking: str
    signature: str | None = None


class _RedactedBlock(msgspec.Struct, frozen=True, tag="redacted_thinking"):
    data: str


_Block = _TextBlock | _ImageBlock | _ToolUseBlock | _ToolResultBlock | _ThinkingBlock | _RedactedBlock
_Content = str | list[_Block]

_BLOCKS = frozenset({"text", "image", "tool_use", "tool_result", "thinking", "redacted_thinking"})
_SOURCES = frozenset({"url", "base64"})


class _Message(msgspec.Struct, frozen=True):
    role: Literal["user", "assistant", "system"]
    content: _Content


class _Tool(msgspec.Struct, frozen=True):
    name: str
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] = {}
    strict: bool | None = None


class _Choice(msgspec.Struct, frozen=True):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Thinking(msgspec.Struct, frozen=True):
    type: str
    budget_tokens: int | None = None


class _Format(msgspec.Struct, frozen=True):
    type: Literal["json_schema"]
    schema: dict[str, Any]


class _OutputConfig(msgspec.Struct, frozen=True):
    effort: Effort | None = None
    format: _Format | None = None


class _Body(msgspec.Struct, frozen=True):
    model: _Model
    max_tokens: _Limit
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    system: _Content | None = None
    stream: bool | None = None
    tools: list[_Tool] | None = None
    tool_choice: _Choice | None = None
    output_config: _OutputConfig | None = None
    thinking: _Thinking | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    metadata: _Metadata | None = None
    mcp_servers: list[msgspec.Raw] | None = None


_CHOICES: dict[str, Literal["auto", "none", "required", "tool"]] = {
    "auto": "auto",
    "any": "required",
    "tool": "tool",
    "none": "none",
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ask_decoder = msgspec.json.Decoder(_AskBody)
_decoder = msgspec.json.Decoder(_Body)


def ask(body: bytes) -> Ask:
    """What routing needs of a request. Raises GatewayError for bad JSON and for wrong shapes, with `param`."""
    gate.check(body)
    try:
        wire = _ask_decoder.decode(body)
    except ValueError as error:
        gate.refuse(body, error)
    if _CONTROL.search(wire.model):
        raise GatewayError("invalid_request_error", "model: it holds control characters", param="model")
    return Ask(
        model=wire.model,
        stream=bool(wire.stream),
        include_usage=True,
        tools=bool(wire.tools),
        images=any(_has_image(message.content) for message in wire.messages),
        max_tokens=wire.max_tokens,
        user=wire.metadata.user_id if wire.metadata else None,
    )


def patch_request(body: bytes, ask: Ask, model: str) -> bytes:  # noqa: ARG001 - the shape of every dialect
    """The client's own bytes with `model` in place of its own; Anthropic always tells the usage."""
    return gate.patch(body, {"model": msgspec.json.encode(model)})


def decode_request(body: bytes) -> ChatRequest:
    """The canonical form of a body that `ask` has accepted.

    Hints for caching are dropped. Raises GatewayError, by its name, for what no other dialect could carry.
    """
    try:
        wire = _decoder.decode(body)
    except (ValueError, RecursionError) as error:
        gate.check(body)
        _refuse_untranslatable(body)
        gate.refuse(body, error)
    _refuse_server_tools(wire)
    config = wire.output_config or _OutputConfig()
    choice = wire.tool_choice
    return ChatRequest(
        model=wire.model,
        messages=tuple(_messages(wire)),
        stream=bool(wire.stream),
        include_usage=True,
        tools=tuple(_tool(tool) for tool in wire.tools or ()),
        tool_choice=ToolChoice(mode=_CHOICES[choice.type], name=choice.name) if choice else None,
        parallel_tool_calls=_parallel(choice),
        output_format=OutputFormat(schema=config.format.schema) if config.format else None,
        max_tokens=wire.max_tokens,
        temperature=wire.temperature,
        top_p=wire.top_p,
        top_k=wire.top_k,
        stop=tuple(wire.stop_sequences or ()),
        effort="none" if wire.thinking and wire.thinking.type == "disabled" else config.effort,
        reasoning_budget=wire.thinking.budget_tokens if wire.thinking else None,
        user=wire.metadata.user_id if wire.metadata else None,
    )


def _has_image(content: str | list[_AskBlock]) -> bool:
    if isinstance(content, str):
        return False
    return any(block.type == "image" or _holds_image(block) for block in content)


def _holds_image(block: _AskBlock) -> bool:
    """Whether the result of a tool holds an image."""
    return isinstance(block.content, list) and any(item.type == "image" for item in block.content)


def _messages(wire: _Body) -> Iterator[Message]:
    if wire.system:
        yield Message(role="system", parts=tuple(_parts(wire.system)))
    for message in wire.messages:
        parts = tuple(_parts(message.content))
        results = tuple(part for part in parts if isinstance(part, ToolResult))
        if results:
            yield Message(role="tool", parts=results)
        if len(results) < len(parts) or not parts:
            rest = tuple(part for part in parts if not isinstance(part, ToolResult))
            yield Message(role=message.role, parts=rest)


def _parts(content: _Content) -> Iterator[Part]:
    if isinstance(content, str):
        if content:
            yield Text(text=content)
        return
    yield from (_part(block) for block in content)


def _part(block: _Block) -> Part:
    match block:
        case _TextBlock() | _ImageBlock():
            return _visible(block)
        case _ToolUseBlock():
            arguments = bytes(block.input).decode(errors="replace")
            return ToolCall(id=block.id, name=block.name, arguments=arguments)
        case _ToolResultBlock():
            return ToolResult(
                call_id=block.tool_use_id,
                parts=tuple(_result_parts(block.content)),
                is_error=bool(block.is_error),
            )
        case _ThinkingBlock():
            return Reasoning(text=block.thinking, signature=block.signature or None)
        case _:
            return Reasoning(redacted=block.data)


def _visible(block: _TextBlock | _ImageBlock) -> Text | Image:
    if isinstance(block, _TextBlock):
        return Text(text=block.text)
    if isinstance(block.source, _UrlSource):
        return Image(url=block.source.url)
    return Image(data=block.source.data, media_type=block.source.media_type)


def _result_parts(content: str | list[_TextBlock | _ImageBlock] | None) -> Iterator[Text | Image]:
    if isinstance(content, str):
        yield Text(text=content)
        return
    yield from (_visible(block) for block in content or ())


def _tool(tool: _Tool) -> Tool:
    return Tool(name=tool.name, description=tool.description, parameters=tool.input_schema, strict=tool.strict)


def _parallel(choice: _Choice | None) -> bool | None:
    if choice is None or choice.disable_parallel_tool_use is None:
        return None
    return not choice.disable_parallel_tool_use


def _refuse_server_tools(wire: _Body) -> None:
    named = [tool.type for tool in wire.tools or () if tool.type not in (None, "custom")]
    if wire.mcp_servers:
        named.append("mcp_servers")
    if named:
        raise GatewayError(
            "invalid_request_error",
            f"Only Anthropic itself can run {', '.join(map(repr, named))}; "
            "remove it or ask for a model that is served in Anthropic's own dialect.",
            param="mcp_servers" if named == ["mcp_servers"] else "tools",
        )


def _refuse_untranslatable(body: bytes) -> None:
    """Names the first block that no other dialect has, in a JSON object whose typed decoding failed."""
    for path, block in _walk("messages", msgspec.json.decode(body).get("messages")):
        kind, source = block.get("type"), block.get("source")
        if isinstance(kind, str) and kind not in _BLOCKS:
            _refuse_block(path, f"block of type {kind!r}")
        if kind == "image" and isinstance(source, dict) and source.get("type") not in _SOURCES:
            _refuse_block(f"{path}.source", f"image source of type {source.get('type')!r}")


def _walk(path: str, items: Any) -> Iterable[tuple[str, dict[str, Any]]]:
    """Every block below `items`, a JSON array of messages or of blocks, with where it stands."""
    for number, item in enumerate(items if isinstance(items, list) else ()):
        if not isinstance(item, dict):
            continue
        here = f"{path}[{number}]"
        if "role" not in item:
            yield here, item
        yield from _walk(f"{here}.content", item.get("content"))


def _refuse_block(path: str, what: str) -> NoReturn:
    raise GatewayError(
        "invalid_request_error",
        f"{path}: the {what} has no counterpart outside Anthropic's own dialect; "
        "remove it or ask for a model that is served in Anthropic's own dialect.",
        param=path,
    )
