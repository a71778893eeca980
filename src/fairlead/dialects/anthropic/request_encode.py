"""Canonical chat → the body of an Anthropic Messages request.

It knows what Anthropic demands of turns, blocks and sampling. It must not know what a client's dialect looked like.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from fairlead.canonical.chat import (
    ChatRequest,
    Image,
    Message,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from fairlead.canonical.errors import GatewayError
from fairlead.canonical.routing import Deployment

NO_SAMPLING_SINCE = "2026-10-21"
"""From this API version on, any sampling parameter is refused, even at its default."""

DEFAULT_MAX_TOKENS = 4096
LEAST_BUDGET = 1024
"""Anthropic refuses a smaller budget for thinking."""

Block = dict[str, Any]

_FOREIGN_ID = "fl-"
_PLAIN_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NOT_PLAIN = re.compile(r"[^a-zA-Z0-9_]")
_EFFORTS = {"minimal": "low"}
"""Canonical efforts that Anthropic spells otherwise."""
_CHOICES = {"auto": "auto", "none": "none", "required": "any", "tool": "tool"}
_as_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def encode_request(request: ChatRequest, deployment: Deployment) -> bytes:
    """The body to send. What Anthropic has no word for (`seed`, a JSON mode without schema) is left out.

    Raises GatewayError for a conversation that has no user turn.
    """
    max_tokens = request.max_tokens
    if max_tokens is None:
        max_tokens = deployment.max_output or DEFAULT_MAX_TOKENS
    wire: Block = {"model": deployment.model, "max_tokens": max_tokens}
    if system := _system(request.messages):
        wire["system"] = system
    wire["messages"] = _turns(request.messages)
    wire |= _tools(request)
    thinking = _thinking(request, max_tokens)
    wire |= _sampling(request, deployment, thinks=thinking.get("type") == "enabled")
    wire |= _output_config(request)
    if thinking:
        wire["thinking"] = thinking
    if request.user is not None:
        wire["metadata"] = {"user_id": request.user}
    if request.stream:
        wire["stream"] = True
    return msgspec.json.encode(wire)


def encode_id(call_id: str) -> str:
    """`call_id` in the letters that Anthropic allows; two different ids never become the same."""
    if _PLAIN_ID.fullmatch(call_id) and not call_id.startswith(_FOREIGN_ID):
        return call_id
    return _FOREIGN_ID + _NOT_PLAIN.sub(lambda match: f"-{ord(match[0]):x}-", call_id)


def encode_input(arguments: str) -> msgspec.Raw:
    """The `input` of a tool use, byte for byte as the model wrote it; `{}` where that is no JSON object."""
    return msgspec.Raw(arguments.encode() if is_object(arguments) else b"{}")


def is_object(text: str) -> bool:
    """Whether `text` is one whole JSON object."""
    try:
        _as_object.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def _system(messages: Iterable[Message]) -> list[Block]:
    """Anthropic has one place for instructions: all of them, in their order, also those given late."""
    parts = (part for message in messages if message.role == "system" for part in message.parts)
    return list(_blocks(parts))


def _turns(messages: Iterable[Message]) -> list[Block]:
    turns: list[Block] = []
    asked: list[Message] = []
    for message in messages:
        match message.role:
            case "system":
                continue
            case "assistant":
                turns += _user_turns(asked)
                asked = []
                turns += _turn("assistant", list(_blocks(_thinking_first(message.parts))))
            case _:
                asked.append(message)
    turns += _user_turns(asked)
    if not any(turn["role"] == "user" for turn in turns):
        raise GatewayError(
            "invalid_request_error",
            "Anthropic models need at least one user message with content; this request has none.",
            param="messages",
        )
    return turns


def _user_turns(messages: Sequence[Message]) -> list[Block]:
    """What stands between two assistant turns.

    Results of tools must open the turn after the calls, all in one message, so then everything goes into that one.
    """
    results = [block for message in messages if message.role == "tool" for block in _blocks(message.parts)]
    turns = [list(_blocks(message.parts)) for message in messages if message.role == "user"]
    if results:
        turns = [results + [block for turn in turns for block in turn]]
    return [turn for blocks in turns for turn in _turn("user", blocks)]


def _turn(role: str, blocks: list[Block]) -> list[Block]:
    return [{"role": role, "content": blocks}] if blocks else []


def _thinking_first(parts: Sequence[Part]) -> Sequence[Part]:
    """A turn that thought must open with its thinking; one that does already keeps its order."""
    if not parts or isinstance(parts[0], Reasoning):
        return parts
    return sorted(parts, key=lambda part: not isinstance(part, Reasoning))


def _blocks(parts: Iterable[Part]) -> Iterator[Block]:
    for part in parts:
        match part:
            case Text(text=text) | Refusal(text=text):
                if text and not text.isspace():  # Anthropic refuses blank text
                    yield {"type": "text", "text": text}
            case Image():
                yield {"type": "image", "source": _image_source(part)}
            case ToolCall():
                yield _tool_use(part)
            case ToolResult():
                yield _tool_result(part)
            case Reasoning(redacted=str(data)):
                yield {"type": "redacted_thinking", "data": data}
            case Reasoning(signature=str(signature)):
                yield {"type": "thinking", "thinking": part.text, "signature": signature}
            case _:
                pass  # another model's reasoning: without a signature Anthropic refuses it


def _image_source(image: Image) -> Block:
    if image.url is not None:
        return {"type": "url", "url": image.url}
    return {"type": "base64", "media_type": image.media_type, "data": image.data}


def _tool_use(call: ToolCall) -> Block:
    return {
        "type": "tool_use",
        "id": encode_id(call.id),
        "name": call.name,
        "input": encode_input(call.arguments),
    }


def _tool_result(result: ToolResult) -> Block:
    wire: Block = {"type": "tool_result", "tool_use_id": encode_id(result.call_id)}
    if content := list(_blocks(result.parts)):
        wire["content"] = content
    if result.is_error:
        wire["is_error"] = True
    return wire


def _tools(request: ChatRequest) -> Block:
    if not request.tools:
        return {}  # a choice without tools is refused
    wire: Block = {"tools": [_tool(tool) for tool in request.tools]}
    choice = request.tool_choice
    if choice is None and request.parallel_tool_calls is False:
        choice = ToolChoice(mode="auto")
    if choice is None:
        return wire
    wire["tool_choice"] = {"type": _CHOICES[choice.mode]}
    if choice.mode == "tool":
        wire["tool_choice"]["name"] = choice.name
    if choice.mode != "none" and request.parallel_tool_calls is False:
        wire["tool_choice"]["disable_parallel_tool_use"] = True
    return wire


def _tool(tool: Tool) -> Block:
    wire: Block = {"name": tool.name, "input_schema": {"type": "object", **tool.parameters}}
    if tool.description is not None:
        wire["description"] = tool.description
    if tool.strict is not None:
        wire["strict"] = tool.strict
    return wire


def _thinking(request: ChatRequest, max_tokens: int) -> Block:
    """An explicit budget is kept within Anthropic's bounds, and given up where a tool is forced or no room is left."""
    if request.effort == "none":
        return {"type": "disabled"}
    budget = request.reasoning_budget
    forced = request.tool_choice is not None and request.tool_choice.mode in ("required", "tool")
    if budget is None or forced or max_tokens <= LEAST_BUDGET:
        return {}
    return {"type": "enabled", "budget_tokens": max(LEAST_BUDGET, min(budget, max_tokens - 1))}


def _sampling(request: ChatRequest, deployment: Deployment, *, thinks: bool) -> Block:
    wire: Block = {}
    if stop := [text for text in request.stop if text and not text.isspace()]:
        wire["stop_sequences"] = stop
    if thinks or (deployment.api_version or "") >= NO_SAMPLING_SINCE:
        return wire
    if request.temperature is not None:
        wire["temperature"] = min(request.temperature, 1.0)
    # Newer models refuse the two together, and a top_p of 1, which many clients send, cuts nothing.
    if request.top_p is not None and (request.temperature is None or request.top_p < 1):
        wire["top_p"] = request.top_p
    if request.top_k is not None:
        wire["top_k"] = request.top_k
    return wire


def _output_config(request: ChatRequest) -> Block:
    config: Block = {}
    if request.effort is not None and request.effort != "none":
        config["effort"] = _EFFORTS.get(request.effort, request.effort)
    # JSON without a schema has no word here; the prompt has to ask for it, as the dialects with that mode demand.
    if request.output_format is not None and request.output_format.schema is not None:
        config["format"] = {"type": "json_schema", "schema": request.output_format.schema}
    return {"output_config": config} if config else {}
