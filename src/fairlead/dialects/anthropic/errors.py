"""Failures in Anthropic's words: what a provider's refusal means, and how a client is told of ours.

It knows statuses, error types and structured codes. A failure is never read out of the words of a message.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from fairlead.canonical.errors import CODES, KINDS, Refused
from fairlead.canonical.events import Broken
from fairlead.canonical.routing import Failed
from fairlead.dialects import body as gate
from fairlead.dialects.retry_after import retry_after
from fairlead.dialects.sse import frame

LONGEST_MESSAGE = 1000
"""Characters of a provider's message that a client is shown."""

_STATUS_KINDS = {
    401: "auth",
    402: "auth",
    403: "auth",
    408: "timeout",
    429: "rate_limited",
    503: "overloaded",
    529: "overloaded",
}
_CLASS_KINDS = {3: "redirect", 4: "bad_request", 5: "server_error"}
_SPENT = frozenset({"billing_error", "contract_spend_limit_reached", "enforced_spend_limit_reached"})
"""Error types and codes that make a 429 one that no waiting cures."""

_STREAM_KINDS = {
    "overloaded_error": "overloaded",
    "rate_limit_error": "rate_limited",
    "api_error": "server_error",
    "timeout_error": "timeout",
    "authentication_error": "auth",
    "permission_error": "auth",
    "billing_error": "auth",
    "invalid_request_error": "bad_request",
    "request_too_large": "bad_request",
    "not_found_error": "bad_request",
}
_TYPES = {404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error"}
"""Anthropic's own types by status, where CODES has another or the status is a provider's."""


class _Details(msgspec.Struct, frozen=True, kw_only=True):
    error_code: str | None = None


class Error(msgspec.Struct, frozen=True, kw_only=True):
    type: str = ""
    message: str = ""
    details: _Details | None = None

    @property
    def code(self) -> str | None:
        return self.details.error_code if self.details else None


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    error: Error = Error()


_decoder = msgspec.json.Decoder(_Body)


def decode_error(status: int, headers: Mapping[bytes, bytes], body: bytes, *, at: float, wall: float) -> Failed:
    """What an answer with an error `status` means. Any body will do: JSON, HTML, none."""
    error = read_error(body)
    kind = _STATUS_KINDS.get(status) or _CLASS_KINDS.get(status // 100, "protocol")
    if kind == "rate_limited" and not _SPENT.isdisjoint((error.type, error.code)):
        kind = "quota"
    return Failed(
        at=at,
        kind=kind,
        status=status,
        retry_after=retry_after(headers, wall),
        message=_shown(kind, error.message),
        code=_shown(kind, error.code or error.type) or None,
    )


def decode_stream_error(data: bytes) -> Broken:
    """What an error event in the middle of a stream means."""
    error = read_error(data)
    kind = _STREAM_KINDS.get(error.type, "server_error")
    message = f"the provider broke off with {error.type if error.type in _STREAM_KINDS else 'an error'}"
    return Broken(kind=kind, message=_shown(kind, error.message) or message)


def read_error(body: bytes) -> Error:
    """The error that `body` tells; an empty one where it is no error of Anthropic's shape."""
    try:
        return _decoder.decode(gate.mend(body)).error
    except (ValueError, RecursionError):
        return Error()


def encode_error(refused: Refused) -> bytes:
    wire: dict[str, Any] = _error(error_type(refused.code, refused.status), refused.message)
    wire["request_id"] = refused.request_id or None
    return msgspec.json.encode(wire)


def encode_stream_error(refused: Refused) -> bytes:
    return frame(encode_error(refused), "error")


def encode_broken(broken: Broken) -> bytes:
    """The error event for a stream that broke with nobody at hand to word it."""
    code = KINDS[broken.kind].code
    return frame(msgspec.json.encode(_error(error_type(code, CODES[code].status), broken.message)), "error")


def encode_models(models: Sequence[str]) -> bytes:
    return msgspec.json.encode(
        {
            "data": [_model(model) for model in models],
            "has_more": False,
            "first_id": models[0] if models else None,
            "last_id": models[-1] if models else None,
        }
    )


def error_type(code: str, status: int) -> str:
    return _TYPES.get(status) or CODES[code].type


def _shown(kind: str, told: str) -> str:
    """What a client may read of the provider's: all where the fault is its own to mend, else nothing."""
    return told[:LONGEST_MESSAGE] if CODES[KINDS[kind].code].source == "client" else ""


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def _model(model: str) -> dict[str, Any]:
    """Nobody knows when a route was released; Anthropic gives such models the epoch."""
    return {
        "type": "model",
        "id": model,
        "display_name": model,
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
    }
