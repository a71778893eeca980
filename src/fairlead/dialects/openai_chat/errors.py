"""What a failing provider says ↔ what an attempt came to, what a client is told, and the list of models.

It knows the error bodies of OpenAI and of the servers that speak like it. It never reads a meaning out of a message.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from fairlead.canonical.errors import KINDS, Refused
from fairlead.canonical.events import Broken
from fairlead.canonical.routing import Failed
from fairlead.dialects import body as gate
from fairlead.dialects.retry_after import retry_after
from fairlead.dialects.sse import frame

MESSAGE_LENGTH = 1000

BY_CODE = {
    "insufficient_quota": "quota",
    "billing_hard_limit_reached": "quota",
    "rate_limit_exceeded": "rate_limited",
    "rate_limit_error": "rate_limited",
    "context_length_exceeded": "context_window",
    "exceed_context_size_error": "context_window",
    "content_policy_violation": "content_policy",
    "content_filter": "content_policy",
    "ResponsibleAIPolicyViolation": "content_policy",
    "invalid_api_key": "auth",
    "authentication_error": "auth",
    "permission_error": "auth",
    "invalid_request_error": "bad_request",
    "overloaded_error": "overloaded",
    "timeout": "timeout",
}
"""The structured codes and types that tell a kind of failure."""

BY_STATUS = {
    401: "auth",
    402: "auth",
    403: "auth",
    408: "timeout",
    429: "rate_limited",
    503: "overloaded",
    529: "overloaded",
}
BY_HUNDRED = {3: "redirect", 4: "bad_request", 5: "server_error"}

NARROWS = {"rate_limited": {"quota"}, "bad_request": {"context_window", "content_policy"}}
"""Which kinds of a code may say more than the status did."""

SHOWN = frozenset({"bad_request", "context_window", "content_policy"})
"""The kinds that are the client's own fault: only their messages are the client's to read."""

_any = msgspec.json.Decoder().decode


class ProviderError(msgspec.Struct, frozen=True, kw_only=True):
    """What an error object says, as far as it can be believed."""

    codes: tuple[str, ...] = ()
    """Its `code`, `type` and inner codes, the most telling first."""
    status: int | None = None
    """A status that some gateways put into `code`."""
    message: str = ""
    param: str | None = None


def decode_error(status: int, headers: Mapping[bytes, bytes], body: bytes, *, at: float, wall: float) -> Failed:
    """What an answer with an error `status` means. Any body will do: JSON, HTML, none."""
    told = read_error(body)
    kind = BY_STATUS.get(status) or BY_HUNDRED.get(status // 100, "protocol")
    inner = _by_code(told)
    if inner in NARROWS.get(kind, ()):
        kind = inner or kind
    shown = kind in SHOWN
    return Failed(
        at=at,
        kind=kind,
        status=status,
        retry_after=retry_after(headers, wall),
        message=told.message[:MESSAGE_LENGTH] if shown else "",
        code=next(iter(told.codes), None) if shown else None,
        param=told.param if shown else None,
    )


def decode_stream_error(error: Any) -> Broken:
    """What an error object inside a stream, or inside an answer, means."""
    told = _told(error)
    by_status = BY_STATUS.get(told.status or 0) or BY_HUNDRED.get((told.status or 0) // 100)
    kind = _by_code(told) or by_status or "server_error"
    shown = told.message[:MESSAGE_LENGTH] if kind in SHOWN else ""
    return Broken(kind=kind, message=shown or "the provider ended the stream with an error", status=told.status)


def read_error(body: bytes) -> ProviderError:
    """The error object of an answer's body, wherever this server keeps it; an empty one where there is none."""
    try:
        value = _any(gate.mend(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ProviderError()
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        value = value.get("error") or value
    return _told(value)


def encode_error(refused: Refused) -> bytes:
    """The body of an error answer."""
    error = {
        "message": refused.message,
        "type": refused.row.type,
        "param": refused.param,
        "code": refused.code,
        "source": refused.row.source,
        "request_id": refused.request_id,
        "attempts": refused.attempts,
    }
    return msgspec.json.encode({"error": error})


def encode_stream_error(refused: Refused) -> bytes:
    """The last event of a stream that broke; no `[DONE]` may follow it."""
    return frame(encode_error(refused))


def encode_broken(broken: Broken) -> bytes:
    code = KINDS[broken.kind].code
    refused = Refused(code=code, message=broken.message, status=broken.status or 502, retry_after=broken.retry_after)
    return encode_stream_error(refused)


def encode_models(models: Sequence[str]) -> bytes:
    """The list of models as `GET /v1/models` answers it."""
    rows = [{"id": model, "object": "model", "created": 0, "owned_by": "fairlead"} for model in models]
    return msgspec.json.encode({"object": "list", "data": rows})


def _told(error: Any) -> ProviderError:
    if isinstance(error, str):
        return ProviderError(message=error)
    if not isinstance(error, dict):
        return ProviderError()
    code, message, param = error.get("code"), error.get("message"), error.get("param")
    return ProviderError(
        codes=tuple(_codes(error)),
        status=code if isinstance(code, int) and not isinstance(code, bool) and 300 <= code < 600 else None,
        message=message if isinstance(message, str) else "",
        param=param if isinstance(param, str) else None,
    )


def _codes(error: dict[str, Any]) -> Iterator[str]:
    inner = error.get("innererror")
    for value in (error.get("code"), error.get("type"), inner.get("code") if isinstance(inner, dict) else None):
        if isinstance(value, str):
            yield value


def _by_code(told: ProviderError) -> str | None:
    """The kind that the codes tell: a narrow one where any of them is narrow."""
    kinds = [BY_CODE[code] for code in told.codes if code in BY_CODE]
    return next((kind for kind in kinds if kind != "bad_request"), kinds[0] if kinds else None)
