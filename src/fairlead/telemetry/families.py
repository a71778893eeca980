"""Every metric by its name: what it means, its labels, and for a distribution the bounds of its buckets.

A table. It must not know where a figure comes from. `docs/metrics.md` has a row for each; a test checks that.
"""

from typing import Literal

import msgspec

SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
FIRST_TOKEN = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0)
CHUNK = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.75, 2.0)
OVERHEAD = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05)


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """A metric. `scale`: so many of the integers that are added up make one of its unit."""

    kind: Literal["counter", "histogram", "gauge"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    scale: int = 1


def _counter(help: str, *labels: str, scale: int = 1) -> Family:  # noqa: A002 - Prometheus's own word
    return Family(kind="counter", help=help, labels=labels, scale=scale)


def _seconds(help: str, buckets: tuple[float, ...], *labels: str) -> Family:  # noqa: A002
    return Family(kind="histogram", help=help, labels=labels, buckets=buckets)


def _gauge(help: str, *labels: str) -> Family:  # noqa: A002
    return Family(kind="gauge", help=help, labels=labels)


PICO = 10**12
"""Costs are added up as integers of so many to a dollar."""

RECORDED: dict[str, Family] = {
    "fairlead_requests": _counter("Requests that are over.", "route", "dialect", "status", "ended", "stream"),
    "fairlead_tenant_requests": _counter("Requests that are over, by who pays.", "tenant", "ended"),
    "fairlead_errors": _counter("Requests whose client was told an error.", "route", "code", "source"),
    "fairlead_attempts": _counter("Attempts on deployments.", "deployment", "outcome"),
    "fairlead_retries": _counter("Further attempts on the same deployment.", "deployment"),
    "fairlead_fallbacks": _counter("Attempts that went on to another deployment.", "route", "deployment"),
    "fairlead_tokens": _counter("Tokens as the provider told them, or estimated.", "deployment", "kind"),
    "fairlead_tenant_tokens": _counter("Tokens, by who pays.", "tenant", "kind"),
    "fairlead_cost_dollars": _counter("What providers charge for answers.", "deployment", "tenant", scale=PICO),
    "fairlead_unpriced_requests": _counter("Requests that used tokens of an unknown price.", "deployment"),
    "fairlead_estimated_requests": _counter("Requests whose usage the provider did not tell.", "deployment"),
    "fairlead_wasted_dollars": _counter(
        "What is likely to be charged without having served anybody.", "deployment", "cause", scale=PICO
    ),
    "fairlead_refusals": _counter("Requests refused by a limit or a budget.", "tenant", "code"),
    "fairlead_verdicts": _counter("What guardrails said.", "guardrail", "stage", "action"),
    "fairlead_request_duration_seconds": _seconds("From a request's head to the end of its answer.", SECONDS, "route"),
    "fairlead_first_token_seconds": _seconds(
        "From a request's head to the first event of its answer.", FIRST_TOKEN, "deployment"
    ),
    "fairlead_output_chunk_seconds": _seconds("Between two pieces of a stream, on average.", CHUNK, "deployment"),
    "fairlead_attempt_duration_seconds": _seconds(
        "An attempt up to its first event or failure.", SECONDS, "deployment"
    ),
    "fairlead_overhead_seconds": _seconds("What the gateway itself took of a request.", OVERHEAD, "route"),
    "fairlead_queue_seconds": _seconds("Pauses and waits for a connection.", OVERHEAD + SECONDS, "route"),
    "fairlead_series_dropped": _counter("Figures counted under `other`, as a metric had too many series.", "metric"),
}
"""What records add up to."""

STANDING: dict[str, Family] = {
    "fairlead_build_info": _gauge("1, with the version.", "version"),
    "fairlead_workers": _gauge("Worker processes.", "state"),
    "fairlead_connections": _gauge("Open client connections."),
    "fairlead_in_flight_requests": _gauge("Requests under way."),
    "fairlead_resting_deployments": _gauge(
        "Deployments that are cooling down or quarantined, on the worker with most."
    ),
    "fairlead_config_generation": _gauge("The newest configuration that any worker serves."),
    "fairlead_config_rejected": _gauge("1: the configuration file is bad, and the one before it is served."),
    "fairlead_secrets_failing": _gauge("Secrets that could not be fetched when they were last asked for."),
    "fairlead_limits_alone": _gauge(
        "1: the shared state is out of reach, and limits are counted by this machine alone."
    ),
    "fairlead_budget_alerts": _gauge("Times that a budget came to one of its `alert` degrees, since control started."),
    "fairlead_journal_unrecorded": _gauge("Requests refused for want of room for a record, since the workers started."),
    "fairlead_journal_full": _gauge("1: there is no room for records, and requests are refused."),
    "fairlead_journal_bytes": _gauge("What the journals take on the disk, room ahead included."),
    "fairlead_journal_max_bytes": _gauge("What they may take: `journal.max_size`."),
    "fairlead_projection_lag_bytes": _gauge("What of the journals a projection has still to take in.", "projection"),
    "fairlead_projection_up": _gauge(
        "0: a projection cannot go on; what it misses waits in the journals.", "projection"
    ),
    "fairlead_traces_skipped": _gauge(
        "Requests whose traces were too old when the collector was back, since control started."
    ),
    "fairlead_audit_alarm": _gauge("1: the audit trail does not fit what was signed, and takes nothing more."),
    "fairlead_audit_entries": _gauge("Entries of the audit trail."),
    "fairlead_audit_unsigned_entries": _gauge("Entries since its last signed checkpoint."),
}
"""What is looked up when somebody asks."""

FAMILIES = RECORDED | STANDING
