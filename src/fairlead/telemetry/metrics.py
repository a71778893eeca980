"""What records add up to: counters and distributions, as integers, so that sums are exact whatever the order.

Pure: records go in, totals can be taken out, kept and put in again. It must not know Prometheus's text.
"""

from bisect import bisect_left
from collections.abc import Iterable
from decimal import Decimal
from hashlib import md5

import msgspec

from fairlead.canonical.errors import CODES, KINDS
from fairlead.canonical.routing import RequestRecord
from fairlead.canonical.usage import Usage
from fairlead.telemetry.families import PICO, RECORDED

MOST_SERIES = 1000
"""Sets of labels that a metric has; what comes beyond them is counted under OTHER."""
OTHER = "other"
LIMITING = frozenset({"rate_limit_exceeded", "insufficient_quota"})
WASTED = frozenset({"cut", "client_gone"})
"""How a request ends whose answer nobody has in full."""
KINDS_OF_TOKENS = ("input", "output", "cache_read", "cache_write", "reasoning", "audio_input", "audio_output")

SHAPE = md5(repr(RECORDED).encode(), usedforsecurity=False).hexdigest()
"""Another one: totals that were kept do not fit the metrics that there are."""

Labels = tuple[str, ...]


class Spread(msgspec.Struct, array_like=True):
    """A distribution: how many fell into each bucket (the last is open), and the sum in nanoseconds."""

    counts: list[int]
    nanos: int = 0

    def add(self, seconds: float, bounds: tuple[float, ...]) -> None:
        self.counts[bisect_left(bounds, seconds)] += 1
        self.nanos += round(seconds * 1e9)


class Totals(msgspec.Struct):
    """Everything counted so far, by metric and labels. The labels are joined by NUL: so they can be kept."""

    counters: dict[str, dict[str, int]] = {}
    spreads: dict[str, dict[str, Spread]] = {}

    def take(self, records: Iterable[RequestRecord]) -> None:
        """Adds records."""
        for record in records:
            _request(self, record)
            _attempts(self, record)
            _usage(self, record)
            _times(self, record)

    def count(self, metric: str, *labels: str, by: int = 1) -> None:
        series = self.counters.setdefault(metric, {})
        key = "\0".join(labels)
        if key not in series and len(series) >= MOST_SERIES:
            self.count("fairlead_series_dropped", metric)
            key = "\0".join([OTHER] * len(labels))
        series[key] = series.get(key, 0) + by

    def observe(self, metric: str, seconds: float, *labels: str) -> None:
        series = self.spreads.setdefault(metric, {})
        key = "\0".join(labels)
        if key not in series and len(series) >= MOST_SERIES:
            self.count("fairlead_series_dropped", metric)
            key = "\0".join([OTHER] * len(labels))
        bounds = RECORDED[metric].buckets
        spread = series.get(key)
        if spread is None:
            spread = series[key] = Spread([0] * (len(bounds) + 1))
        spread.add(max(seconds, 0.0), bounds)


def picos(dollars: str) -> int:
    """Dollars as an integer of 10**-12; what is smaller is rounded half to even."""
    return int((Decimal(dollars) * PICO).to_integral_value())


def _request(totals: Totals, record: RequestRecord) -> None:
    stream = "true" if record.stream else "false"
    totals.count("fairlead_requests", record.route, record.dialect, str(record.status), record.ended, stream)
    totals.count("fairlead_tenant_requests", record.tenant, record.ended)
    if record.code:
        totals.count("fairlead_errors", record.route, record.code, _source(record.code))
    if record.code in LIMITING:
        totals.count("fairlead_refusals", record.tenant, record.code)
    for verdict in record.verdicts:
        totals.count("fairlead_verdicts", verdict.guardrail, verdict.stage, verdict.action)


def _source(code: str) -> str:
    """Whose fault a code is; a stream that broke has the kind of its failure in its place."""
    kind = KINDS.get(code)
    row = CODES.get(kind.code if kind else code)
    return row.source if row else "gateway"


def _attempts(totals: Totals, record: RequestRecord) -> None:
    before = ""
    for attempt in record.attempts:
        name = _name(record, attempt.deployment)
        totals.count("fairlead_attempts", name, attempt.outcome)
        totals.observe("fairlead_attempt_duration_seconds", attempt.duration, name)
        if before == attempt.deployment:
            totals.count("fairlead_retries", name)
        elif before:
            totals.count("fairlead_fallbacks", record.route, name)
        if attempt.cost is not None:
            totals.count("fairlead_wasted_dollars", name, attempt.outcome, by=picos(attempt.cost))
        before = attempt.deployment


def _name(record: RequestRecord, deployment: str) -> str:
    """A deployment without what the client typed: behind a wildcard it is the provider's own `*`."""
    return f"{deployment.partition('/')[0]}/*" if record.route.endswith("*") and deployment else deployment


def _usage(totals: Totals, record: RequestRecord) -> None:
    usage = record.usage
    if usage is None:
        return
    served = _name(record, record.served)
    for kind, tokens in zip(KINDS_OF_TOKENS, _counts(usage), strict=True):
        if tokens:
            totals.count("fairlead_tokens", served, kind, by=tokens)
            totals.count("fairlead_tenant_tokens", record.tenant, kind, by=tokens)
    if record.estimated:
        totals.count("fairlead_estimated_requests", served)
    if record.unpriced:
        totals.count("fairlead_unpriced_requests", served)
    if record.cost is None:
        return
    cost = picos(record.cost)
    totals.count("fairlead_cost_dollars", served, record.tenant, by=cost)
    if record.ended in WASTED:
        totals.count("fairlead_wasted_dollars", served, record.ended, by=cost)


def _counts(usage: Usage) -> tuple[int, ...]:
    return tuple([getattr(usage, kind) for kind in KINDS_OF_TOKENS])


def _times(totals: Totals, record: RequestRecord) -> None:
    if record.ended == "lost":
        return  # nobody knows
    totals.observe("fairlead_request_duration_seconds", record.duration, record.route)
    totals.observe("fairlead_overhead_seconds", record.latency.gateway, record.route)
    totals.observe("fairlead_queue_seconds", record.latency.queue + record.latency.connect, record.route)
    if record.first_token is not None:
        totals.observe("fairlead_first_token_seconds", record.first_token, _name(record, record.served))
    if record.chunks > 1:
        each = record.latency.answer / (record.chunks - 1)
        totals.observe("fairlead_output_chunk_seconds", each, _name(record, record.served))
