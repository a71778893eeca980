"""Token counts and finish reasons of chat completions ↔ canonical.

It knows where providers of this dialect put their counts. It must not know whether an answer was streamed.
"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import msgspec

from fairlead.canonical.chat import FinishReason, Reasoning, Refusal, Text, ToolCall
from fairlead.canonical.usage import Usage

Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] | None

FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
WORD: dict[FinishReason, str] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}
"""The dialect's word for a reason; `stop` for all others."""


class _CachedDetails(msgspec.Struct, frozen=True, gc=False):
    audio_tokens: Count = None
    image_tokens: Count = None


class _PromptDetails(msgspec.Struct, frozen=True, gc=False):
    cached_tokens: Count = None
    cache_write_tokens: Count = None
    audio_tokens: Count = None
    image_tokens: Count = None
    cached_tokens_details: _CachedDetails | None = None


class _CompletionDetails(msgspec.Struct, frozen=True, gc=False):
    reasoning_tokens: Count = None
    audio_tokens: Count = None
    image_tokens: Count = None


class _ServerTools(msgspec.Struct, frozen=True, gc=False):
    web_search_requests: Count = None


class WireUsage(msgspec.Struct, frozen=True):
    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: Count = None
    """DeepSeek's name for cached tokens."""
    num_sources_used: Count = None
    """xAI's count of what its searches found, which is what it charges."""
    server_tool_use: _ServerTools | None = None
    cost: msgspec.Raw = msgspec.Raw(b"")
    """What OpenRouter charges for the answer."""
    is_byok: bool | None = None
    """Whether somebody else charges for it too."""


_NO_PROMPT, _NO_COMPLETION, _NO_CACHED = _PromptDetails(), _CompletionDetails(), _CachedDetails()
_MOST_TOLD = 1_000_000
"""US dollars that no answer costs."""
_decode = msgspec.json.Decoder(WireUsage | None).decode


def decode_usage(raw: msgspec.Raw, service: object = None) -> Usage | None:
    """The counts, and the answer's `service_tier`; None where there are none, or what is there cannot be counts."""
    if not raw:
        return None
    try:
        return count(_decode(raw), service)
    except msgspec.DecodeError:
        return None


def count(wire: WireUsage | None, service: object = None) -> Usage | None:
    """What was counted, as canonical has it."""
    if wire is None or (wire.prompt_tokens is None and wire.completion_tokens is None):
        return None
    prompt = wire.prompt_tokens_details or _NO_PROMPT
    completion = wire.completion_tokens_details or _NO_COMPLETION
    cached, tools = prompt.cached_tokens_details or _NO_CACHED, wire.server_tool_use
    tokens_in, tokens_out = wire.prompt_tokens or 0, wire.completion_tokens or 0
    reasoning = completion.reasoning_tokens or 0
    if reasoning and wire.total_tokens == tokens_in + tokens_out + reasoning:
        tokens_out += reasoning  # some providers count reasoning beside the completion and not as part of it
    return Usage(
        input=tokens_in,
        output=tokens_out,
        cache_read=prompt.cached_tokens or wire.prompt_cache_hit_tokens or 0,
        cache_write=prompt.cache_write_tokens or 0,
        reasoning=reasoning,
        audio_input=prompt.audio_tokens or 0,
        audio_output=completion.audio_tokens or 0,
        cached_audio=cached.audio_tokens or 0,
        image_input=prompt.image_tokens or 0,
        cached_image=cached.image_tokens or 0,
        image_output=completion.image_tokens or 0,
        web_searches=(tools.web_search_requests if tools else wire.num_sources_used) or 0,
        service=service if isinstance(service, str) else "",
        told=_told(wire.cost) if wire.cost and not wire.is_byok else None,
    )


def _told(raw: msgspec.Raw) -> Decimal | None:
    """An amount of dollars, exactly as it was written; None where it is no such thing."""
    try:
        told = Decimal(bytes(raw).decode())
    except (InvalidOperation, UnicodeDecodeError):
        return None
    return told if told.is_finite() and 0 <= told < _MOST_TOLD else None


def encode_usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
            "audio_tokens": usage.audio_input,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": usage.audio_output,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def decode_finish(word: str | None, *, calls: bool, refused: bool) -> FinishReason:
    """The reason behind `word`. Several servers say `stop` after tool calls, and all do after a refusal."""
    reason = FINISH.get(word or "", "other")
    if reason in ("stop", "other") and calls:
        return "tool_calls"
    return "refusal" if refused and reason == "stop" else reason


def encode_finish(reason: FinishReason, *, refused: bool) -> str:
    """`refused`: the answer itself holds the refusal, so the reason need not say it."""
    return "stop" if refused and reason == "refusal" else WORD.get(reason, "stop")


def has(parts: Sequence[Text | Reasoning | Refusal | ToolCall], kind: type) -> bool:
    return any(isinstance(part, kind) for part in parts)
