"""What clients are told besides the provider's bytes: response headers, refusals and broken streams.

It knows the proxy port's headers and the words for each failure. The dialect gives them their shape.
"""

import logging
import traceback
from math import ceil

from fairlead.canonical.errors import CODES, KINDS, GatewayError, Refused
from fairlead.canonical.events import Broken
from fairlead.canonical.routing import Failed, Route
from fairlead.dialects.ask import Ask
from fairlead.dialects.table import Dialect
from fairlead.gateway.books import Books
from fairlead.http.server import Exchange, RequestRefused
from fairlead.policy.select import Needs, unfit

log = logging.getLogger("fairlead.gateway")

CONTENT_JSON = "content-type: application/json\r\n"
CONTENT_EVENTS = "content-type: text/event-stream\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"

SOON = {"ledger_unavailable": 1.0, "no_healthy_deployment": 1.0, "overloaded": 1.0, "shutting_down": 1.0}
"""Seconds after which such a refusal is worth another try."""
BY_STATUS = {
    408: "request_timeout",
    413: "request_too_large",
    415: "unsupported_media_type",
    500: "internal_error",
    503: "overloaded",
}

WORDS = {
    "limited": "every deployment of this model is at a limit of this gateway; try again later",
    "rate_limited": "every provider of this model is limiting requests; try again later",
    "quota": "the provider's account behind this model has used up its quota",
    "server_error": "the provider failed",
    "overloaded": "the provider is overloaded",
    "protocol": "the provider's answer was not a valid answer",
    "redirect": "the provider answered with a redirect, which is never followed",
    "cut": "the provider's answer broke off",
    "timeout": "the provider took too long",
    "connect": "the provider could not be reached",
    "tls": "no secure connection to the provider could be made",
    "pool": "too many requests to this provider are under way",
    "auth": "the provider refused the gateway's credential",
    "context_window": "the request is too long for the model",
    "content_policy": "the provider's content policy refused the request",
    "bad_request": "the provider refused the request as wrong",
}
"""What a client is told for each row of KINDS, unless the provider's own words may be shown."""


def success_fields(books: Books) -> bytes:
    """The header block of an answer."""
    made = books.attempts
    served = made[-1].deployment
    attempts = f"{served}:200" if len(made) == 1 else ",".join([attempt.label for attempt in made])
    if books.ask is not None and books.ask.stream:
        content = CONTENT_EVENTS
    else:
        content = f"{CONTENT_JSON}x-fairlead-cost: {books.cost() or 'unknown'}\r\n"
    return (
        f"{content}x-request-id: {books.id}\r\nx-fairlead-deployment: {served}\r\n"
        f"x-fairlead-attempts: {attempts}\r\nx-fairlead-overhead-us: {int(books.watch.gateway() * 1e6)}\r\n"
        f"{books.limit_fields}"
    ).encode("latin-1", "replace")


def failure_error(failed: Failed, books: Books) -> GatewayError:
    """The client's error for the failure that ended its attempts; the log says more of one that is not the client's."""
    kind = KINDS[failed.kind]
    if CODES[kind.code].source != "client":
        attempts = [attempt.label for attempt in books.attempts]
        log.warning("request_failed", extra={"request": books.id, "attempts": attempts, "reason": failed.reason})
    passed_on = failed.kind == "bad_request" and (failed.status or 0) >= 400
    return GatewayError(
        kind.code,
        failed.message or WORDS[failed.kind],
        param=failed.param,
        retry_after=failed.retry_after if KINDS[failed.kind].on == "429" else SOON.get(kind.code),
        status=failed.status if passed_on else None,
    )


def error_of(error: Exception, request_id: str) -> GatewayError:
    """Any exception as what the client may know of it. One that nobody foresaw is logged, without its data."""
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, RequestRefused):
        return GatewayError(code_of(error.status), error.reason, status=error.status)
    frames = "".join(traceback.format_tb(error.__traceback__))  # its own words may quote a body or a secret
    log.error("internal_error", extra={"request": request_id, "error": type(error).__name__, "where": frames})
    return GatewayError("internal_error", "the gateway failed; its log has the request id")


def nobody_error(ask: Ask, route: Route, needs: Needs) -> GatewayError:
    """What the client is told when no deployment of its route could even be tried."""
    if ask.n > 1:
        message = f"no deployment of {route.model!r} gives {ask.n} answers to one request; ask with n = 1"
        return GatewayError("invalid_request_error", message, param="n")
    reason = unfit(route, needs)
    if reason is not None:
        message = f"no deployment of {route.model!r} can serve this request: {reason}"
        return GatewayError("no_healthy_deployment", message, retry=False)
    message = f"no deployment of {route.model!r} can take this request now"
    return GatewayError("no_healthy_deployment", message, retry_after=SOON["no_healthy_deployment"])


def code_of(status: int) -> str:
    """The CODES row for a refusal of the HTTP layer itself."""
    return BY_STATUS.get(status, "invalid_request_error")


def refuse(exchange: Exchange, dialect: Dialect, books: Books, error: GatewayError) -> None:
    """Tells the client, in its dialect, unless an answer is already on its way."""
    books.refused(error.status, error.code)
    if exchange.started:
        exchange.abort()
        return
    refused = refused_by(books.id, error, tuple([attempt.label for attempt in books.attempts]))
    fields = error_fields(refused) + books.limit_fields.encode()
    exchange.send(error.status, fields, dialect.encode_error(refused))


def refused_by(request_id: str, error: GatewayError, attempts: tuple[str, ...] = ()) -> Refused:
    return Refused(
        code=error.code,
        message=error.message,
        status=error.status,
        param=error.param,
        retry_after=error.retry_after,
        request_id=request_id,
        attempts=attempts,
        retry=error.retry,
    )


def error_fields(refused: Refused) -> bytes:
    """The header block of a refusal."""
    lines = [CONTENT_JSON, f"x-request-id: {refused.request_id}\r\n"]
    if refused.attempts:
        lines.append(f"x-fairlead-attempts: {','.join(refused.attempts)}\r\n")
    if refused.retry_after is not None:
        seconds = max(refused.retry_after, 0.001)
        lines.append(f"retry-after: {max(ceil(seconds), 1)}\r\nretry-after-ms: {ceil(seconds * 1000)}\r\n")
    if refused.retry is not None:
        lines.append(f"x-should-retry: {'true' if refused.retry else 'false'}\r\n")
    return "".join(lines).encode("latin-1", "replace")


def stream_error(books: Books, broken: Broken) -> Refused:
    """What the client reads at the end of a stream that broke."""
    message = f"the answer broke off: {WORDS[broken.kind]}"
    return refused_by(books.id, GatewayError("stream_interrupted", message), ())
