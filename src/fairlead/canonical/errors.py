"""What can go wrong, as two tables: CODES for what a client is told, KINDS for how an attempt fails.

It knows statuses and whose fault something is. It must not know a wire format: dialects word the answers.
"""

from typing import Literal

import msgspec

Source = Literal["client", "gateway", "provider"]


class Code(msgspec.Struct, frozen=True):
    """A refusal or a final failure as clients see it: one row of interface section 5."""

    status: int
    source: Source
    type: str
    retry: bool | None = None
    """The value of `x-should-retry`; None leaves it to the client."""


CODES: dict[str, Code] = {
    "invalid_api_key": Code(401, "client", "authentication_error"),
    "model_not_allowed": Code(403, "client", "permission_error"),
    "model_not_found": Code(404, "client", "not_found_error"),
    "not_found": Code(404, "client", "not_found_error"),
    "method_not_allowed": Code(405, "client", "invalid_request_error"),
    "request_timeout": Code(408, "client", "invalid_request_error"),
    "request_too_large": Code(413, "client", "invalid_request_error"),
    "unsupported_media_type": Code(415, "client", "invalid_request_error"),
    "invalid_json": Code(400, "client", "invalid_request_error"),
    "invalid_request_error": Code(400, "client", "invalid_request_error"),
    "context_length_exceeded": Code(400, "client", "invalid_request_error"),
    "content_policy_violation": Code(400, "client", "invalid_request_error"),
    "rate_limit_exceeded": Code(429, "gateway", "rate_limit_error", retry=True),
    "insufficient_quota": Code(429, "gateway", "insufficient_quota", retry=False),
    "ledger_unavailable": Code(503, "gateway", "overloaded_error", retry=True),
    "guardrail_blocked": Code(400, "gateway", "invalid_request_error"),
    "upstream_rate_limited": Code(429, "provider", "rate_limit_error", retry=True),
    "upstream_quota": Code(429, "provider", "insufficient_quota", retry=False),
    "upstream_error": Code(502, "provider", "api_error", retry=False),
    "upstream_protocol": Code(502, "provider", "api_error", retry=False),
    "upstream_auth": Code(502, "provider", "api_error", retry=False),
    "upstream_unreachable": Code(502, "provider", "api_error", retry=False),
    "upstream_timeout": Code(504, "provider", "timeout_error", retry=False),
    "stream_interrupted": Code(502, "provider", "api_error", retry=False),
    "no_healthy_deployment": Code(503, "gateway", "overloaded_error", retry=True),
    "overloaded": Code(503, "gateway", "overloaded_error", retry=True),
    "shutting_down": Code(503, "gateway", "overloaded_error", retry=True),
    "internal_error": Code(500, "gateway", "api_error", retry=False),
}
"""Every code that a client can meet. `docs/errors.md` documents each row; a test checks that."""


OnWord = Literal["429", "5xx", "timeout", "connect", "auth", "context_window", "content_policy", "quality"]
"""The words of `retry.on` and `fallback.on`."""


class Kind(msgspec.Struct, frozen=True):
    """One way in which an attempt fails."""

    code: str
    """The CODES row that the client gets when this failure is the last word."""
    on: OnWord | None
    """The word of `retry.on` / `fallback.on` that covers it; None: never retried, never falls back."""
    same_deployment: bool = True
    """Whether another attempt on the same deployment can help."""
    sickness: bool = True
    """Whether it counts against the deployment's health (cooldown and breaker)."""


KINDS: dict[str, Kind] = {
    "limited": Kind("rate_limit_exceeded", "429", same_deployment=False, sickness=False),
    "rate_limited": Kind("upstream_rate_limited", "429", sickness=False),
    "quota": Kind("upstream_quota", "auth", same_deployment=False, sickness=False),
    "server_error": Kind("upstream_error", "5xx"),
    "overloaded": Kind("upstream_error", "5xx"),
    "protocol": Kind("upstream_protocol", "5xx"),
    "redirect": Kind("upstream_protocol", "5xx", same_deployment=False),
    "cut": Kind("upstream_error", "5xx"),
    "timeout": Kind("upstream_timeout", "timeout"),
    "connect": Kind("upstream_unreachable", "connect"),
    "tls": Kind("upstream_unreachable", "connect", same_deployment=False),
    "pool": Kind("overloaded", "connect", same_deployment=False, sickness=False),
    "auth": Kind("upstream_auth", "auth", same_deployment=False, sickness=False),
    "context_window": Kind("context_length_exceeded", "context_window", same_deployment=False, sickness=False),
    "content_policy": Kind("content_policy_violation", "content_policy", same_deployment=False, sickness=False),
    "bad_request": Kind("invalid_request_error", None, same_deployment=False, sickness=False),
}
"""Every way an attempt fails. A kind comes from a status and a structured code, never from a substring.

`limited` is a limit of ours on that deployment; `quota` is a 429 that no waiting cures (OpenAI's insufficient_quota,
a spend limit); `cut` is an answer that broke off; `protocol` is an answer that is no answer (HTML, broken JSON, too
large); `pool` is our own bound on connections.
"""


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """What a client is told, in any dialect."""

    code: str
    message: str
    status: int
    param: str | None = None
    retry_after: float | None = None
    """Seconds."""
    request_id: str = ""
    attempts: tuple[str, ...] = ()
    """`deployment:status-or-kind` of each attempt, in order."""
    retry: bool | None = None
    """The value of `x-should-retry`; None leaves it to the client."""

    @property
    def row(self) -> Code:
        return CODES[self.code]


class GatewayError(Exception):
    """A refusal on its way to the client: a CODES row with the words for this case.

    `status` overrides the row's own where the provider's status is passed on (400, 404, 422).
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        status: int | None = None,
        retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.retry = CODES[code].retry if retry is None else retry
        self.status = status if status is not None else CODES[code].status
