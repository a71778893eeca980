"""The body of a chat completion request → the canonical chat.

It knows every form that OpenAI's clients may use, the legacy ones too. It must not know which dialect the chat is for.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from fairlead.canonical.chat import (
    ChatRequest,
    Effort,
    Image,
    Message,
    OutputFormat,
    Part,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from fairlead.canonical.errors import GatewayError
from fairlead.dialects import body as gate

_DATA_URI = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)(?:;[^,;]+)*;base64,(?P<data>.*)", re.DOTALL | re.IGNORECASE)


class _TextPart(msgspec.Struct, frozen=True, tag="text"):
    text: str


class _ImageUrl(msgspec.Struct, frozen=True):
    url: str
    detail: str | None = None


class _ImagePart(msgspec.Struct, frozen=True, tag="image_url"):
    image_url: _ImageUrl


class _RefusalPart(msgspec.Struct, frozen=True, tag="refusal"):
    refusal: str


class _Called(msgspec.Struct, frozen=True):
    name: str
    arguments: str = ""


class _ToolCall(msgspec.Struct, frozen=True):
    id: str
    function: _Called
    type: Literal["function"] = "function"


_Content = str | list[_TextPart | _ImagePart | _RefusalPart] | None


class _Message(msgspec.Struct, frozen=True):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: _Content = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Called | None = None
    tool_call_id: str | None = None


class _Function(msgspec.Struct, frozen=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(msgspec.Struct, frozen=True):
    type: Literal["function"]
    function: _Function


class _Name(msgspec.Struct, frozen=True):
    name: str


class _NamedTool(msgspec.Struct, frozen=True, tag="function"):
    function: _Name


class _AllowedTools(msgspec.Struct, frozen=True):
    mode: Literal["auto", "required"]
    tools: list[_NamedTool]


class _AllowedChoice(msgspec.Struct, frozen=True, tag="allowed_tools"):
    allowed_tools: _AllowedTools


class _PlainFormat(msgspec.Struct, frozen=True, tag="text"):
    pass


class _ObjectFormat(msgspec.Struct, frozen=True, tag="json_object"):
    pass


class _Schema(msgspec.Struct, frozen=True):
    name: str
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class _SchemaFormat(msgspec.Struct, frozen=True, tag="json_schema"):
    json_schema: _Schema


class _StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class _Body(msgspec.Struct, frozen=True):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: list[_Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | _NamedTool | _AllowedChoice | None = None
    functions: list[_Function] | None = None
    function_call: Literal["none", "auto"] | _Name | None = None
    parallel_tool_calls: bool | None = None
    response_format: _PlainFormat | _ObjectFormat | _SchemaFormat | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    reasoning_effort: Effort | None = None
    seed: int | None = None
    user: str | None = None
    n: int | None = None


_decode = msgspec.json.Decoder(_Body).decode


def decode_request(body: bytes) -> ChatRequest:
    """The canonical form of a body that `ask` has accepted.

    Raises GatewayError, naming the member, for what no other dialect could be told: several answers at once, parts
    that are neither text nor image, tools that are no functions.
    """
    try:
        wire = _decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        gate.refuse(body, error)
    if (wire.n or 1) > 1:
        says = "n: this model gives one answer at a time; ask for n = 1"
        raise GatewayError("invalid_request_error", says, param="n")
    return ChatRequest(
        model=wire.model,
        messages=tuple(_messages(wire.messages)),
        stream=bool(wire.stream),
        include_usage=wire.stream_options is not None and bool(wire.stream_options.include_usage),
        tools=_tools(wire),
        tool_choice=_tool_choice(wire),
        parallel_tool_calls=wire.parallel_tool_calls,
        output_format=_output_format(wire.response_format),
        max_tokens=wire.max_tokens if wire.max_completion_tokens is None else wire.max_completion_tokens,
        temperature=wire.temperature,
        top_p=wire.top_p,
        stop=(wire.stop,) if isinstance(wire.stop, str) else tuple(wire.stop or ()),
        effort=wire.reasoning_effort,
        seed=wire.seed,
        user=wire.user,
    )


def _messages(wire: Iterable[_Message]) -> Iterator[Message]:
    """The turns; neighboring tool results become one. Legacy function calls get ids, for they have none."""
    results: list[ToolResult] = []
    function_id = ""
    for at, message in enumerate(wire):
        if message.role in ("tool", "function"):
            results.append(_result(at, message, function_id))
            continue
        if results:
            yield Message(role="tool", parts=tuple(results))
            results = []
        parts = _parts(at, message)
        if message.function_call is not None:
            function_id = f"call_{at}"
            parts.append(_call(function_id, message.function_call))
        yield _turn(message, parts)
    if results:
        yield Message(role="tool", parts=tuple(results))


def _turn(message: _Message, parts: list[Part]) -> Message:
    match message.role:
        case "assistant" | "user" as role:
            return Message(role=role, parts=tuple(parts), name=message.name)
        case _:
            return Message(role="system", parts=tuple(parts), name=message.name)


def _result(at: int, message: _Message, function_id: str) -> ToolResult:
    call_id = message.tool_call_id or (function_id if message.role == "function" else "")
    if not call_id:
        param = f"messages[{at}].tool_call_id"
        raise GatewayError("invalid_request_error", f"{param}: a tool's result must name its call", param=param)
    parts = tuple(part for part in _content(message.content) if isinstance(part, Text | Image))
    return ToolResult(call_id=call_id, parts=parts)


def _parts(at: int, message: _Message) -> list[Part]:
    parts: list[Part] = [*_content(message.content)]
    if message.role != "assistant":
        if any(isinstance(part, Refusal) for part in parts):
            param = f"messages[{at}].content"
            raise GatewayError("invalid_request_error", f"{param}: only an assistant can refuse", param=param)
        return parts
    if message.refusal:
        parts.append(Refusal(text=message.refusal))
    parts += [_call(call.id, call.function) for call in message.tool_calls or ()]
    return parts


def _call(call_id: str, called: _Called) -> ToolCall:
    return ToolCall(id=call_id, name=called.name, arguments=called.arguments)


def _content(content: _Content) -> Iterator[Text | Image | Refusal]:
    if isinstance(content, str):
        if content:
            yield Text(text=content)
        return
    for part in content or ():
        match part:
            case _TextPart(text=text):
                yield Text(text=text)
            case _RefusalPart(refusal=refusal):
                yield Refusal(text=refusal)
            case _:
                yield _image(part.image_url)


def _image(image: _ImageUrl) -> Image:
    inline = _DATA_URI.fullmatch(image.url)
    if inline is None:
        return Image(url=image.url, detail=image.detail)
    return Image(data=inline["data"], media_type=inline["type"].lower(), detail=image.detail)


def _tools(wire: _Body) -> tuple[Tool, ...]:
    functions = [*(tool.function for tool in wire.tools or ()), *(wire.functions or ())]
    if isinstance(wire.tool_choice, _AllowedChoice):
        allowed = {tool.function.name for tool in wire.tool_choice.allowed_tools.tools}
        functions = [function for function in functions if function.name in allowed]
    return tuple(
        Tool(
            name=function.name,
            description=function.description,
            parameters=function.parameters or {},
            strict=function.strict,
        )
        for function in functions
    )


def _tool_choice(wire: _Body) -> ToolChoice | None:
    match wire.tool_choice if wire.tool_choice is not None else wire.function_call:
        case None:
            return None
        case _NamedTool(function=_Name(name=name)) | _Name(name=name):
            return ToolChoice(mode="tool", name=name)
        case _AllowedChoice(allowed_tools=_AllowedTools(mode=mode)):
            return ToolChoice(mode=mode)
        case mode:
            return ToolChoice(mode=mode)


def _output_format(wire: _PlainFormat | _ObjectFormat | _SchemaFormat | None) -> OutputFormat | None:
    match wire:
        case _SchemaFormat(json_schema=wanted):
            return OutputFormat(name=wanted.name, schema=wanted.schema, strict=wanted.strict)
        case _ObjectFormat():
            return OutputFormat()
        case _:
            return None
