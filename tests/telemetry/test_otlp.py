"""What OpenTelemetry's SDK makes of our spans and figures, and which of its variables hold."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.telemetry.a_record import attempt, record

from fairlead.canonical.routing import RequestRecord, Trace
from fairlead.canonical.usage import Usage
from fairlead.telemetry import names
from fairlead.telemetry.otlp import Destination, Meters, Spans, resource
from fairlead.telemetry.spans import spans_of

PARENT = Trace(trace_id="1" * 32, span_id="2" * 16, parent_id="3" * 16, state="vendor=1,other=2")


class FakeCollector:
    """Takes what is posted to it, and answers with `status`. A FAKE: it decodes nothing and keeps everything."""

    def __init__(self) -> None:
        self.status = 200
        self.taken: list[tuple[str, dict[str, str], bytes]] = []
        taken, own = self.taken, self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                taken.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(own.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def spans(self) -> list[Any]:
        found = [ExportTraceServiceRequest.FromString(body) for path, _, body in self.taken if path == "/v1/traces"]
        return [
            span for one in found for part in one.resource_spans for scope in part.scope_spans for span in scope.spans
        ]

    def metrics(self) -> dict[str, Any]:
        found = [ExportMetricsServiceRequest.FromString(body) for path, _, body in self.taken if path == "/v1/metrics"]
        return {
            metric.name: metric
            for one in found
            for part in one.resource_metrics
            for scope in part.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def collector() -> Iterator[FakeCollector]:
    made = FakeCollector()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def send(collector: FakeCollector, *records: RequestRecord, **more: Any) -> bool:
    sender = Spans(Destination(url=collector.url, **more), "m1")
    try:
        return sender.send([span for one in records for span in spans_of(one)])
    finally:
        sender.close()


def test_ids_times_kinds_and_errors_arrive_as_they_are(collector: FakeCollector) -> None:
    tried = (attempt(outcome="server_error", status=500, span_id="a" * 16), attempt(span_id="b" * 16))
    assert send(collector, record(trace=PARENT, attempts=tried))
    own, first, second = collector.spans()
    assert (own.trace_id.hex(), own.span_id.hex(), own.parent_span_id.hex()) == ("1" * 32, "2" * 16, "3" * 16)
    assert [one.parent_span_id.hex() for one in (first, second)] == ["2" * 16] * 2
    assert [one.kind for one in (own, first, second)] == [2, 3, 3]  # server, client, client
    assert [one.status.code for one in (own, first, second)] == [0, 2, 0]
    assert {one.trace_state for one in (own, first, second)} == {"vendor=1,other=2"}
    assert own.start_time_unix_nano == 1_795_000_000_000_000_000
    assert own.end_time_unix_nano - own.start_time_unix_nano == 1_500_000_000
    remote = 0x200
    assert [bool(one.flags & remote) for one in (own, first, second)] == [True, False, False]


def test_headers_go_along(collector: FakeCollector) -> None:
    assert send(collector, record(), headers=(("x-token", "t"),))
    assert collector.taken[0][1]["x-token"] == "t"


def test_a_collector_that_refuses_is_told_of(collector: FakeCollector) -> None:
    collector.status = 400
    assert not send(collector, record())


def test_a_collector_that_accepts_and_never_answers_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sender = Spans(Destination(url=f"http://127.0.0.1:{silent.getsockname()[1]}"), "m1")
        assert not sender.send(spans_of(record()))
        sender.close()


def test_a_number_that_no_collector_can_take_does_not_stop_the_rest(
    collector: FakeCollector, caplog: pytest.LogCaptureFixture
) -> None:
    assert send(collector, record(usage=Usage(input=2**63, output=7)))
    told = {one.key: one.value for one in collector.spans()[0].attributes}
    assert told["gen_ai.usage.output_tokens"].int_value == 7
    assert "gen_ai.usage.input_tokens" not in told


@pytest.mark.parametrize("name", ["OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"])
def test_attributes_are_cut_as_the_variables_say(
    collector: FakeCollector, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "3")
    assert send(collector, record())
    told = {one.key: one.value for one in collector.spans()[0].attributes}
    assert told["fairlead.tenant"].string_value == "acm"
    assert told["gen_ai.usage.input_tokens"].int_value == 100


def test_compression_and_headers_of_the_variables_hold(
    collector: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-of-variable=1")
    assert send(collector, record())
    _, headers, _ = collector.taken[0]
    assert (headers["content-encoding"], headers["x-of-variable"]) == ("gzip", "1")


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, ("fairlead", "m1")),
        ({"OTEL_SERVICE_NAME": "mine"}, ("mine", "m1")),
        ({"OTEL_SERVICE_NAME": ""}, ("fairlead", "m1")),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=mine,service.instance.id=i7"}, ("mine", "i7")),
        ({"OTEL_RESOURCE_ATTRIBUTES": "parent.service.name=x"}, ("fairlead", "m1")),
    ],
)
def test_the_variables_name_the_service_before_us(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], told: tuple[str, str]
) -> None:
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    found = resource("m1").attributes
    assert (found["service.name"], found["service.instance.id"]) == told
    assert "telemetry.sdk.name" in found


def measured(collector: FakeCollector, *records: RequestRecord) -> dict[str, Any]:
    """What the collector has once the meters are closed."""
    meters = Meters(Destination(url=collector.url), "m1")
    for one in records:
        meters.take(one)
    meters.close()
    return collector.metrics()


def test_metrics_have_the_names_units_and_buckets_of_the_conventions(collector: FakeCollector) -> None:
    found = measured(collector, record(stream=True, chunks=10))
    assert {name: one.unit for name, one in found.items()} == {
        "gen_ai.client.token.usage": "{token}",
        "gen_ai.client.operation.duration": "s",
        "gen_ai.client.operation.time_to_first_chunk": "s",
        "gen_ai.client.operation.time_per_output_chunk": "s",
    }
    tokens = found[names.TOKEN_USAGE].histogram.data_points
    kinds = {attribute.value.string_value for point in tokens for attribute in point.attributes
             if attribute.key == "gen_ai.token.type"}  # fmt: skip
    assert kinds == {"input", "output"}
    assert tuple(tokens[0].explicit_bounds) == names.TOKEN_BUCKETS
    assert sum(point.sum for point in tokens) == 120
    (chunk,) = found[names.OUTPUT_CHUNK].histogram.data_points
    assert (chunk.count, chunk.sum) == (1, pytest.approx(0.1))


def test_what_did_not_stream_has_no_times_of_chunks(collector: FakeCollector) -> None:
    assert measured(collector, record()).keys() == {"gen_ai.client.token.usage", "gen_ai.client.operation.duration"}


def test_what_never_came_to_a_provider_is_not_counted(collector: FakeCollector) -> None:
    assert measured(collector, record(attempts=(), served="", ended="refused", code="rate_limit_exceeded")) == {}


def test_an_error_is_an_attribute_of_the_duration(collector: FakeCollector) -> None:
    found = measured(collector, record(ended="failed", code="provider_error", served="", usage=None))
    (point,) = found[names.OPERATION_DURATION].histogram.data_points
    told = {attribute.key: attribute.value.string_value for attribute in point.attributes}
    assert told["error.type"] == "provider_error"
    assert {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"} <= told.keys()


def test_temporality_is_as_the_variable_says(collector: FakeCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    found = measured(collector, record())
    assert found[names.OPERATION_DURATION].histogram.aggregation_temporality == 1
