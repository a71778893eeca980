"""What telling traces costs: a worker the context of each request's trace, control the spans of each record.

    PYTHONPATH=src python -m bench.tracing

CPU time of this process, the median of the rounds; nothing is sent. It prints a Markdown table.
"""

import logging
import statistics
import time
from collections.abc import Callable

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from tests.telemetry.a_record import attempt, record

from fairlead.canonical.routing import Trace
from fairlead.telemetry.otlp import Destination, Meters, Spans
from fairlead.telemetry.spans import spans_of
from fairlead.telemetry.trace_context import fields, parse

ROUNDS = 7
NOWHERE = Destination(url="http://127.0.0.1:1")
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STATE = b"vendor=one,other=two"
TRACE = Trace(trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b7ad6b7169203331")
RECORD = record(attempts=(attempt(span_id="a" * 16),), stream=True, chunks=20)
AT_ONCE = 256
"""Records whose spans are sent together."""


def microseconds(work: Callable[[], object], times: int) -> float:
    """CPU time of one call."""
    told = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(times):
            work()
        told.append((time.process_time() - begun) / times * 1e6)
    return statistics.median(told)


def main() -> None:
    logging.disable()  # the SDK tells that nobody takes its metrics
    sender, meters = Spans(NOWHERE, "bench"), Meters(NOWHERE, "bench")
    spans = spans_of(RECORD)
    readable = [sender.readable(span) for span in spans * AT_ONCE]
    costs = {
        "a worker: `traceparent` is read": microseconds(lambda: parse(PARENT, None), 20_000),
        "a worker: with a `tracestate` of two members": microseconds(lambda: parse(PARENT, STATE), 20_000),
        "a worker: header lines for an attempt": microseconds(lambda: fields(TRACE, "a" * 16), 20_000),
        "control: a record as two spans": microseconds(lambda: spans_of(RECORD), 3_000),
        "control: the SDK's spans": microseconds(lambda: list(map(sender.readable, spans)), 3_000),
        "control: their bytes": microseconds(lambda: encode_spans(readable).SerializeToString(), 3) / AT_ONCE,
        "control: the metrics": microseconds(lambda: meters.take(RECORD), 3_000),
    }
    print("| what | µs CPU |\n|---|---:|")
    for what, cost in costs.items():
        print(f"| {what} | {cost:.1f} |")


if __name__ == "__main__":
    main()
