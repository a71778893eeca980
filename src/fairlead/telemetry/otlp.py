"""Spans and the GenAI metrics on their way to an OTLP collector, by OpenTelemetry's own SDK (extra `otel`).

It knows the SDK, whose variables (`OTEL_…`) hold wherever the configuration says nothing. It must not know journals.
Only where something is exported is it imported.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event as SdkEvent
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from fairlead import __version__
from fairlead.canonical.routing import RequestRecord
from fairlead.telemetry import names
from fairlead.telemetry.spans import Span, provider_name

KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT}
SCOPE = InstrumentationScope("fairlead", __version__)
BUCKETS: dict[str, tuple[float, ...]] = {
    names.TOKEN_USAGE: names.TOKEN_BUCKETS,
    names.OPERATION_DURATION: names.SECOND_BUCKETS,
    names.FIRST_CHUNK: names.SECOND_BUCKETS,
    names.OUTPUT_CHUNK: names.SECOND_BUCKETS,
}
PATHS = {"traces": "v1/traces", "metrics": "v1/metrics"}


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """Where to, as the configuration says; an empty `url` leaves that to the variables."""

    url: str = ""
    grpc: bool = False
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Destination({self.url})"


def _options(destination: Destination, signal: str) -> dict[str, Any]:
    """What an exporter is made with, beside what it reads from the variables itself."""
    grpc = destination.grpc
    options: dict[str, Any] = {}
    if destination.url:
        base = destination.url.rstrip("/")
        options["endpoint"] = base if grpc else f"{base}/{PATHS[signal]}"
        if grpc:
            options["insecure"] = base.startswith("http://")
    if destination.headers:
        options["headers"] = tuple(destination.headers) if grpc else dict(destination.headers)
    return options


class Spans:
    """Sends spans, and says whether they were taken."""

    def __init__(self, destination: Destination, machine: str) -> None:
        self._exporter: SpanExporter = _span_exporter(destination.grpc)(**_options(destination, "traces"))
        self._resource = resource(machine)
        self._limits = SpanLimits()

    def send(self, spans: Iterable[Span]) -> bool:
        """Waits until the collector has them, at most as long as `OTEL_EXPORTER_OTLP_TIMEOUT` says."""
        return self._exporter.export([self.readable(span) for span in spans]) is SpanExportResult.SUCCESS

    def close(self) -> None:
        self._exporter.shutdown()

    def readable(self, span: Span) -> ReadableSpan:
        """The span as the SDK has it."""
        state = TraceState.from_header([span.state]) if span.state else TraceState()
        own, parent = (
            SpanContext(int(span.trace_id, 16), int(hexed, 16), is_remote, TraceFlags(1), state)
            for hexed, is_remote in ((span.span_id, False), (span.parent_id or "0", span.kind == "server"))
        )
        return ReadableSpan(
            name=span.name,
            context=own,
            parent=parent if span.parent_id else None,
            resource=self._resource,
            attributes=self._within_limits(span),
            events=[SdkEvent(event.name, event.attributes, event.at) for event in span.events],
            kind=KINDS[span.kind],
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
            start_time=span.start,
            end_time=span.end,
            instrumentation_scope=SCOPE,
        )

    def _within_limits(self, span: Span) -> BoundedAttributes:
        limits = self._limits
        return BoundedAttributes(
            limits.max_span_attributes, span.attributes, max_value_len=limits.max_span_attribute_length
        )


class Meters:
    """The GenAI metrics of requests, sent every `OTEL_METRIC_EXPORT_INTERVAL`."""

    def __init__(self, destination: Destination, machine: str) -> None:
        exporter = _metric_exporter(destination.grpc)(**_options(destination, "metrics"))
        views = [
            View(instrument_name=name, aggregation=ExplicitBucketHistogramAggregation(bounds))
            for name, bounds in BUCKETS.items()
        ]
        self._provider = MeterProvider([PeriodicExportingMetricReader(exporter)], resource(machine), views=views)
        meter = self._provider.get_meter("fairlead", __version__)
        units = {names.TOKEN_USAGE: "{token}"}
        self._histograms = {name: meter.create_histogram(name, units.get(name, "s")) for name in BUCKETS}

    def take(self, record: RequestRecord) -> None:
        """Counts a request that came to a provider."""
        if not record.attempts:
            return
        common = {
            names.OPERATION: record.operation,
            names.PROVIDER: provider_name(record.served or record.attempts[-1].deployment),
            names.REQUEST_MODEL: record.route,
        }
        if record.served:
            common[names.RESPONSE_MODEL] = record.response_model
        failed = {} if record.ended == "finished" else {names.ERROR_TYPE: record.code or record.ended}
        self._histograms[names.OPERATION_DURATION].record(record.duration, common | failed)
        if record.usage is not None:
            for kind, tokens in (("input", record.usage.input), ("output", record.usage.output)):
                self._histograms[names.TOKEN_USAGE].record(tokens, common | {names.TOKEN_TYPE: kind})
        if record.stream and record.first_token is not None:
            self._histograms[names.FIRST_CHUNK].record(record.first_token, common)
            if record.chunks > 1:
                self._histograms[names.OUTPUT_CHUNK].record(record.latency.answer / (record.chunks - 1), common)

    def close(self) -> None:
        self._provider.shutdown(1000)


def resource(machine: str) -> Resource:
    """Who speaks: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` go before our own words."""
    own = Resource({"service.name": "fairlead", "service.version": __version__, "service.instance.id": machine})
    return Resource.create().merge(own).merge(OTELResourceDetector().detect())


def _span_exporter(grpc: bool) -> Any:
    if grpc:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc

        return OverGrpc
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter


def _metric_exporter(grpc: bool) -> Any:
    if grpc:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as OverGrpc

        return OverGrpc
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter
