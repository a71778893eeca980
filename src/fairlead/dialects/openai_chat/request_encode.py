"""The canonical chat → the body of a chat completion request.

It knows what OpenAI and the servers that speak like it take. It must not know which dialect the chat came from.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from fairlead.canonical.chat import (
    ChatRequest,
    Image,
    Message,
    OutputFormat,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from fairlead.canonical.routing import Deployment

MODERN = frozenset({"openai", "azure"})
"""Providers whose newer models refuse `max_tokens`; all others know that name, and not all know the newer one."""

Json = dict[str, Any]


def encode_request(request: ChatRequest, deployment: Deployment) -> bytes:
    """The body for `deployment`'s model. A stream always asks for its usage.

    Left out, since the dialect has no place for them: `top_k`, `reasoning_budget`, a tool result's `is_error`, and the
    reasoning of earlier turns. That last is dropped for every provider: its signatures are worth nothing to another
    provider, OpenAI has no such field, and strict servers refuse a request with one.
    """
    limit = "max_completion_tokens" if deployment.provider in MODERN else "max_tokens"
    members: Json = {
        "model": deployment.model,
        "messages": [message for turn in request.messages for message in _messages(turn)],
        "stream": request.stream or None,
        "stream_options": {"include_usage": True} if request.stream else None,
        "tools": [_tool(tool) for tool in request.tools] or None,
        "tool_choice": _tool_choice(request.tool_choice) if request.tools else None,
        "parallel_tool_calls": request.parallel_tool_calls if request.tools else None,
        "response_format": _response_format(request.output_format),
        limit: request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stop": request.stop or None,
        "reasoning_effort": request.effort,
        "seed": request.seed,
        "user": request.user,
    }
    return msgspec.json.encode(_given(members))


def _given(members: Json) -> Json:
    return {key: value for key, value in members.items() if value is not None}


def _messages(turn: Message) -> Iterator[Json]:
    if turn.role == "tool":
        yield from _results([part for part in turn.parts if isinstance(part, ToolResult)])
        return
    calls = [_call(part) for part in turn.parts if isinstance(part, ToolCall)]
    content = _content(part for part in turn.parts if isinstance(part, Text | Image | Refusal))
    message: Json = {"role": turn.role, "content": content if content or not calls else None}
    yield _given({"name": turn.name, "tool_calls": calls or None}) | message


def _results(results: list[ToolResult]) -> Iterator[Json]:
    """A message per result. A tool may only answer in text, so its images follow as the user's."""
    for result in results:
        content = _content(part for part in result.parts if isinstance(part, Text))
        yield {"role": "tool", "tool_call_id": result.call_id, "content": content}
    images = [part for result in results for part in result.parts if isinstance(part, Image)]
    if images:
        yield {"role": "user", "content": _content(images)}


def _content(parts: Iterable[Text | Image | Refusal]) -> str | list[Json]:
    every = list(parts)
    if not every:
        return ""
    if len(every) == 1 and isinstance(every[0], Text):
        return every[0].text
    return [_part(part) for part in every]


def _part(part: Text | Image | Refusal) -> Json:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Refusal(text=text):
            return {"type": "refusal", "refusal": text}
        case _:
            return {"type": "image_url", "image_url": _given({"url": _url(part), "detail": part.detail})}


def _url(image: Image) -> str:
    return image.url if image.url is not None else f"data:{image.media_type};base64,{image.data}"


def _call(call: ToolCall) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _tool(tool: Tool) -> Json:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters or None,
        "strict": tool.strict,
    }
    return {"type": "function", "function": _given(function)}


def _tool_choice(choice: ToolChoice | None) -> str | Json | None:
    if choice is None:
        return None
    if choice.mode != "tool":
        return choice.mode
    return {"type": "function", "function": {"name": choice.name}}


def _response_format(wanted: OutputFormat | None) -> Json | None:
    if wanted is None:
        return None
    if wanted.schema is None:
        return {"type": "json_object"}
    schema = {"name": wanted.name or "answer", "schema": wanted.schema, "strict": wanted.strict}
    return {"type": "json_schema", "json_schema": _given(schema)}
