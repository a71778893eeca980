"""The messages wire format, as Anthropic speaks it, in both API versions.

It knows Anthropic's JSON and what each version refuses. It must not know sockets or faults.
"""

import base64
from collections.abc import Mapping
from typing import Any, Literal

from fairlead.fakes import model
from fairlead.fakes.formats import ERRORS, JsonObject, RefusedError, json, read_json, require, text_of
from fairlead.fakes.model import OfferedTool, Question, Reply

VERSIONS = ("2023-06-01", "2026-10-21")
FINISH = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool": "tool_use",
    "refusal": "refusal",
}
REFUSAL = {"type": "refusal", "category": None, "explanation": "The user asked to be refused."}
CHOICES: dict[str, Literal["auto", "none", "required"]] = {
    "auto": "auto",
    "none": "none",
    "any": "required",
    "tool": "required",
}


def event(name: str, data: JsonObject) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), json({"type": name, **data}))


class Anthropic:
    """Anthropic's own API. Counts are exclusive here: `input_tokens` leaves out the cached ones."""

    name = "anthropic"
    targets: tuple[str, ...] = ("/messages",)

    def key_of(self, headers: Mapping[str, str]) -> str | None:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        return headers.get("x-api-key") or (key if scheme.lower() == "bearer" else None)

    def read(self, raw: bytes, headers: Mapping[str, str]) -> Question:
        """What the request asks. Raises RefusedError as the provider would refuse."""
        body = read_json(raw)
        _check_version(body, headers)
        messages = require(body, "messages", list)
        _check_messages(messages)
        tools = tuple(
            OfferedTool(name=require(entry, "name", str), schema=entry.get("input_schema") or {})
            for entry in body.get("tools") or ()
        )
        choice = body.get("tool_choice") or {"type": "auto"}
        if choice.get("type") not in CHOICES:
            raise RefusedError("invalid", f"tool_choice: Input tag {choice.get('type')!r} found")
        config = body.get("output_config") or {}
        cached, written = _cache_counts(body, messages)
        said = [_spoken(message["content"]) for message in messages]
        return Question(
            model=require(body, "model", str),
            max_tokens=require(body, "max_tokens", int),
            last_text=next(
                (text_of(m["content"]) for m in messages[::-1] if m["role"] == "user" and text_of(m["content"])),
                "",
            ),
            tool_result=_tool_result(messages[-1]),
            tools=tools,
            choice=CHOICES[choice["type"]],
            choice_name=choice.get("name"),
            parallel=choice.get("disable_parallel_tool_use") is not True,
            schema=(config.get("format") or {}).get("schema"),
            reasons=_reasons(body),
            stop=tuple(body.get("stop_sequences") or ()),
            stream=body.get("stream") is True,
            include_usage=True,
            input_tokens=model.count_tokens(
                " ".join([text_of(body.get("system")), *said, str(body.get("tools") or "")])
            ),
            cache_read=cached,
            cache_write=written,
        )

    def whole(self, question: Question, reply: Reply, number: int) -> JsonObject:
        message = self._message(question, number)
        return message | {
            "content": self._blocks(reply, number),
            **_ended(reply),
            "usage": _usage(question, reply.output_tokens, reply.reasoning_tokens),
        }

    def events(self, question: Question, reply: Reply, number: int) -> list[bytes]:
        opening = self._message(question, number) | {
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "usage": _usage(question, 1, None),
        }
        events = [event("message_start", {"message": opening}), event("ping", {})]
        for index, block in enumerate(self._blocks(reply, number)):
            start, deltas = _streamed(block)
            events.append(event("content_block_start", {"index": index, "content_block": start}))
            events += [event("content_block_delta", {"index": index, "delta": delta}) for delta in deltas]
            events.append(event("content_block_stop", {"index": index}))
        usage = _usage(question, reply.output_tokens, reply.reasoning_tokens)
        events.append(event("message_delta", {"delta": _ended(reply), "usage": usage}))
        return [*events, event("message_stop", {})]

    def nothing(self, question: Question, number: int) -> JsonObject:
        empty = Reply(finish="stop")
        return self.whole(question, empty, number) | {"content": []}

    def error(self, wrong: RefusedError, number: int) -> JsonObject:
        return {
            "type": "error",
            "error": {"type": ERRORS[wrong.kind].anthropic_type, "message": wrong.message},
            "request_id": f"req_fake{number:06d}",
        }

    def error_event(self, wrong: RefusedError, number: int) -> bytes:
        return b"event: error\ndata: %b\n\n" % json(self.error(wrong, number))

    def fields(self, number: int) -> tuple[tuple[str, str], ...]:
        return (
            ("request-id", f"req_fake{number:06d}"),
            ("anthropic-organization-id", "fake"),
            ("anthropic-ratelimit-requests-limit", "4000"),
            ("anthropic-ratelimit-requests-remaining", "3999"),
            ("anthropic-ratelimit-requests-reset", "2026-01-01T00:00:00Z"),
        )

    def models(self) -> JsonObject:
        listed = {
            "type": "model",
            "id": "claude-haiku-4-5",
            "display_name": "Claude Haiku 4.5 (fake)",
            "created_at": "2025-10-15T00:00:00Z",
            "lifecycle": "active",
        }
        return {"data": [listed], "has_more": False, "first_id": listed["id"], "last_id": listed["id"]}

    def _message(self, question: Question, number: int) -> JsonObject:
        return {
            "id": f"msg_fake{number:06d}",
            "type": "message",
            "role": "assistant",
            "model": question.model,
            "container": None,
        }

    def _blocks(self, reply: Reply, number: int) -> list[JsonObject]:
        blocks: list[JsonObject] = []
        if reply.reasoning:
            signature = base64.b64encode(f"signed:{reply.reasoning}".encode()).decode()
            blocks.append({"type": "thinking", "thinking": reply.reasoning, "signature": signature})
        if reply.text or not reply.calls:
            blocks.append({"type": "text", "text": reply.text, "citations": None})
        for index, call in enumerate(reply.calls):
            call_id = f"toolu_fake{number:06d}_{index}"
            arguments = read_json(call.arguments.encode())
            blocks.append({"type": "tool_use", "id": call_id, "name": call.name, "input": arguments})
        return blocks


def _check_version(body: JsonObject, headers: Mapping[str, str]) -> None:
    version = headers.get("anthropic-version")
    if version is None:
        raise RefusedError("invalid", "anthropic-version: header is required")
    if version not in VERSIONS:
        raise RefusedError("invalid", f"anthropic-version: {version!r} is not a valid version")
    sampling = [name for name in ("temperature", "top_p", "top_k") if name in body]
    if sampling and version == "2026-10-21":
        raise RefusedError("invalid", f"{sampling[0]}: not supported in API version {version}")
    if not 0 <= (body.get("temperature") or 0) <= 1:
        raise RefusedError("invalid", "temperature: range: 0..1")


def _check_messages(messages: list[Any]) -> None:
    if not messages:
        raise RefusedError("invalid", "messages: at least one message is required")
    offered: set[str] = set()
    for index, message in enumerate(messages):
        where = f"messages.{index}"
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("user", "assistant", "system"):
            raise RefusedError("invalid", f"{where}.role: Input should be 'user' or 'assistant'")
        blocks = _blocks_of(message)
        if any(block.get("type") == "text" and not block.get("text") for block in blocks):
            raise RefusedError("invalid", f"{where}: text content blocks must be non-empty")
        results = {block["tool_use_id"] for block in blocks if block.get("type") == "tool_result"}
        if results - offered:
            raise RefusedError("invalid", f"{where}: unexpected `tool_use_id` found in `tool_result` blocks")
        if offered - results:
            raise RefusedError("invalid", f"{where}: `tool_use` ids were found without `tool_result` blocks")
        offered = {block["id"] for block in blocks if block.get("type") == "tool_use"}


def _blocks_of(message: JsonObject) -> list[JsonObject]:
    content = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())


def _tool_result(message: JsonObject) -> str | None:
    results = [block for block in _blocks_of(message) if block.get("type") == "tool_result"]
    return " ".join(text_of(block.get("content")) for block in results) if results else None


def _reasons(body: JsonObject) -> bool:
    """By `thinking`, or by `effort` where `thinking` says nothing."""
    thinking = (body.get("thinking") or {}).get("type")
    effort = (body.get("output_config") or {}).get("effort")
    return thinking in ("enabled", "adaptive") or (thinking is None and effort is not None)


def _spoken(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(text_of(block.get("content")) or str(block.get("text", "")) for block in content)


def _cache_counts(body: JsonObject, messages: list[JsonObject]) -> tuple[int, int]:
    """Tokens read from the cache (marked system blocks) and written to it (marked message blocks)."""
    system = body.get("system")
    read = [block for block in system if "cache_control" in block] if isinstance(system, list) else []
    written = [block for message in messages for block in _blocks_of(message) if "cache_control" in block]
    return model.count_tokens(text_of(read)), model.count_tokens(text_of(written))


def _ended(reply: Reply) -> JsonObject:
    return {
        "stop_reason": FINISH[reply.finish],
        "stop_sequence": reply.stop_sequence,
        "stop_details": REFUSAL if reply.finish == "refusal" else None,
    }


def _usage(question: Question, output: int, reasoning: int | None) -> JsonObject:
    usage: JsonObject = {
        "input_tokens": question.input_tokens - question.cache_read - question.cache_write,
        "cache_read_input_tokens": question.cache_read,
        "cache_creation_input_tokens": question.cache_write,
        "output_tokens": output,
    }
    if reasoning is not None:
        usage["output_tokens_details"] = {"thinking_tokens": reasoning}
    return usage


def _streamed(block: JsonObject) -> tuple[JsonObject, list[JsonObject]]:
    """A block as its start and its deltas."""
    match block:
        case {"type": "thinking", "thinking": str(text), "signature": str(signature)}:
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in model.pieces(text)]
            signed = {"type": "signature_delta", "signature": signature}
            return {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed]
        case {"type": "tool_use", "input": dict(arguments)}:
            written = json(arguments).decode()
            parts = ("", written[: len(written) // 2], written[len(written) // 2 :])
            return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": part} for part in parts]
        case _:
            deltas = [{"type": "text_delta", "text": piece} for piece in model.pieces(block["text"])]
            return block | {"text": ""}, deltas
