"""What Anthropic's messages count and why they end: the two small vocabularies that answers and streams share.

It knows that Anthropic counts cached tokens apart from `input_tokens`. It must not know blocks, events or requests.
"""

from typing import Annotated, Any

import msgspec

from fairlead.canonical.chat import FinishReason
from fairlead.canonical.usage import Usage

FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
}
"""Why a message ended. A word that is not here is `other`."""

STOP_REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
    "other": "end_turn",
}


_Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] | None


class _OutputDetails(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    thinking_tokens: _Count = None


class _CacheCreation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    ephemeral_5m_input_tokens: _Count = None
    ephemeral_1h_input_tokens: _Count = None


class _ServerTools(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    web_search_requests: _Count = None


class WireUsage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`usage` of a message or of a `message_delta`; None: not said."""

    input_tokens: _Count = None
    output_tokens: _Count = None
    cache_creation_input_tokens: _Count = None
    cache_read_input_tokens: _Count = None
    output_tokens_details: _OutputDetails | None = None
    cache_creation: _CacheCreation | None = None
    server_tool_use: _ServerTools | None = None
    service_tier: Any = None
    speed: Any = None
    inference_geo: Any = None


_PLAIN = frozenset({"standard", "global", "not_available"})
"""Words for what costs no more and no less than the price list says first."""
_decoder: msgspec.json.Decoder[WireUsage | None] = msgspec.json.Decoder(WireUsage | None)


def read_counts(raw: msgspec.Raw) -> WireUsage | None:
    """The counts; None where there are none, or what is there cannot be counts."""
    if not raw:
        return None
    try:
        return _decoder.decode(raw)
    except msgspec.DecodeError:
        return None


def decode_usage(wire: WireUsage | None) -> Usage | None:
    """The canonical counts, which have cached tokens in them; None stays None: nobody told."""
    if wire is None:
        return None
    cache_read = wire.cache_read_input_tokens or 0
    cache_write = wire.cache_creation_input_tokens or 0
    details, tools, written = wire.output_tokens_details, wire.server_tool_use, wire.cache_creation
    if written is not None:
        for_hours, for_minutes = written.ephemeral_1h_input_tokens or 0, written.ephemeral_5m_input_tokens or 0
        cache_write = max(cache_write, for_hours + for_minutes)
    return Usage(
        input=(wire.input_tokens or 0) + cache_read + cache_write,
        output=wire.output_tokens or 0,
        cache_read=cache_read,
        cache_write=cache_write,
        reasoning=(details.thinking_tokens or 0) if details else 0,
        cache_write_1h=(written.ephemeral_1h_input_tokens or 0) if written else 0,
        web_searches=(tools.web_search_requests or 0) if tools else 0,
        service=_service(wire.service_tier, wire.speed, wire.inference_geo),
    )


def _service(*words: object) -> str:
    """Tier, speed and place of the service, as far as they are not the usual ones; else the tier as it was said."""
    said = [word for word in words if isinstance(word, str)]
    return "-".join([word for word in said if word not in _PLAIN]) or next(iter(said), "")


def later_usage(earlier: WireUsage | None, later: WireUsage | None) -> WireUsage | None:
    """`earlier` as `later` corrects it: counts in a stream are totals so far, so what is said last replaces."""
    if earlier is None or later is None:
        return later or earlier
    said = {name: getattr(later, name) for name in WireUsage.__struct_fields__}
    return msgspec.structs.replace(earlier, **{name: value for name, value in said.items() if value is not None})


def encode_usage(usage: Usage) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "input_tokens": max(usage.input - usage.cache_read - usage.cache_write, 0),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    }
    if usage.cache_write_1h:
        wire["cache_creation"] = {
            "ephemeral_5m_input_tokens": max(usage.cache_write - usage.cache_write_1h, 0),
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        }
    if usage.web_searches:
        wire["server_tool_use"] = {"web_fetch_requests": 0, "web_search_requests": usage.web_searches}
    if usage.reasoning:
        wire["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return wire


def finish_reason(stop_reason: str | None) -> FinishReason:
    return FINISH.get(stop_reason or "", "other")


def stop_reason(finish: FinishReason, *, raw: str | None, stop_sequence: str | None, refused: bool) -> str:
    """Anthropic's word for `finish`: its own again where `raw` was one, else the nearest."""
    if refused:
        return "refusal"
    if raw is not None and FINISH.get(raw) == finish:
        return raw
    if finish == "stop" and stop_sequence is not None:
        return "stop_sequence"
    return STOP_REASONS[finish]
