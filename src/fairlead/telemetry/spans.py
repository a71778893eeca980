"""A record as spans: one for the request, and below it one for each attempt.

Pure: values in, values out. It must not know an SDK, nor who takes spans.
"""

from typing import Literal

import msgspec

from fairlead.canonical.routing import AttemptRecord, RequestRecord, Trace
from fairlead.telemetry import names
from fairlead.telemetry.messages import input_messages, output_messages

Attributes = dict[str, str | bool | int | float]
ANSWERED = "answered"
GOOD_ENDS = frozenset({"finished"})


class Event(msgspec.Struct, frozen=True):
    """Something that happened within a span."""

    name: str
    at: int
    """Unix nanoseconds."""
    attributes: Attributes


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Ids in lower-case hex; times in Unix nanoseconds. `error` is empty where it went well."""

    trace_id: str
    span_id: str
    parent_id: str
    state: str
    name: str
    kind: Literal["server", "client"]
    start: int
    end: int
    attributes: Attributes
    events: tuple[Event, ...] = ()
    error: str = ""


def spans_of(record: RequestRecord) -> tuple[Span, ...]:
    """The spans of a request, its own first; none where it has no trace."""
    trace = record.trace
    if trace is None:
        return ()
    return (_request(record, trace), *(_attempt(record, trace, one) for one in record.attempts if one.span_id))


def provider_name(deployment: str) -> str:
    """The well-known name of a deployment's provider."""
    own = deployment.partition("/")[0]
    return names.PROVIDERS.get(own, own)


def _request(record: RequestRecord, trace: Trace) -> Span:
    """The conventions' span of an inference. Usage and cost are here alone, so that nobody adds them up twice."""
    start = _nanos(record.at)
    error = "" if record.ended in GOOD_ENDS else record.code or record.ended
    return Span(
        trace_id=trace.trace_id,
        span_id=trace.span_id,
        parent_id=trace.parent_id,
        state=trace.state,
        name=f"{record.operation} {record.asked}".strip(),
        kind="server",
        start=start,
        end=_nanos(record.answered_at),
        attributes=_told(record, error),
        events=_events(record, start),
        error=error,
    )


def _told(record: RequestRecord, error: str) -> Attributes:
    told: dict[str, str | bool | int | float | None] = {
        names.OPERATION: record.operation,
        names.PROVIDER: provider_name(record.served) or "fairlead",
        names.REQUEST_MODEL: record.asked,
        names.RESPONSE_MODEL: record.response_model,
        names.STREAM: record.stream or None,
        names.TIME_TO_FIRST_CHUNK: record.first_token if record.stream else None,
        names.STATUS: record.status,
        names.ERROR_TYPE: error,
        names.REQUEST: record.id,
        names.TENANT: record.tenant,
        names.KEY: record.key,
        names.ROUTE: record.route,
        names.DEPLOYMENT: record.served,
        names.CODE: record.code,
        names.ENDED: record.ended,
        names.COST: None if record.cost is None else float(record.cost),
        names.PRICE: record.price,
        names.ESTIMATED: record.estimated or None,
        names.OVERHEAD: record.latency.gateway,
        names.QUEUE: record.latency.queue,
    }
    if record.usage is not None:
        usage = record.usage
        told |= {name: getattr(usage, field) or None for field, name in names.USAGE.items()}
        told |= {names.USAGE["input"]: usage.input, names.USAGE["output"]: usage.output}
    if record.content is not None:
        told |= {
            names.INPUT_MESSAGES: input_messages(record.content.prompt),
            names.OUTPUT_MESSAGES: output_messages(record.content.answer),
        }
    return _present(told)


def _attempt(record: RequestRecord, trace: Trace, attempt: AttemptRecord) -> Span:
    start = _nanos(record.at + attempt.started_at)
    error = "" if attempt.outcome == ANSWERED else attempt.outcome
    last = attempt is record.attempts[-1]
    lasted = attempt.duration + (record.latency.answer if last and not error else 0.0)
    model = attempt.deployment.partition("/")[2]
    told: dict[str, str | bool | int | float | None] = {
        names.OPERATION: record.operation,
        names.PROVIDER: provider_name(attempt.deployment),
        names.REQUEST_MODEL: model,
        names.RESPONSE_MODEL: record.response_model if last and not error else None,
        names.STATUS: attempt.status,
        names.ERROR_TYPE: error,
        names.DEPLOYMENT: attempt.deployment,
        names.OUTCOME: attempt.outcome,
        names.RETRY_AFTER: attempt.retry_after,
        names.CONNECT: attempt.connect,
    }
    return Span(
        trace_id=trace.trace_id,
        span_id=attempt.span_id,
        parent_id=trace.span_id,
        state=trace.state,
        name=f"{record.operation} {model}",
        kind="client",
        start=start,
        end=start + round(lasted * 1e9),
        attributes=_present(told),
        error=error,
    )


def _events(record: RequestRecord, start: int) -> tuple[Event, ...]:
    """What guardrails said, the limit that refused, and who was passed over."""
    said = [
        Event("guardrail", start, {names.GUARDRAIL: one.guardrail, names.STAGE: one.stage, names.ACTION: one.action})
        for one in record.verdicts
    ]
    if record.limit:
        said.append(Event("limit", start, {names.LIMIT: record.limit}))
    said += [
        Event("deployment skipped", start, {names.SKIPPED: one.deployment, names.REASON: one.reason})
        for one in record.skipped
    ]
    return tuple(said)


def _present(told: dict[str, str | bool | int | float | None]) -> Attributes:
    return {name: value for name, value in told.items() if value is not None and value != ""}


def _nanos(seconds: float) -> int:
    return int(seconds * 1_000_000) * 1000
