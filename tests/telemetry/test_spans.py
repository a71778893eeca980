"""A record as spans, in the words of OpenTelemetry's conventions for GenAI."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.telemetry.a_record import CANARY, attempt, record

from fairlead.canonical.chat import Message, Text
from fairlead.canonical.routing import Content, Skipped, Trace
from fairlead.telemetry import names, otlp
from fairlead.telemetry.sampling import sampler_of
from fairlead.telemetry.spans import Span, spans_of

CONVENTIONS = {
    "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model",
    "gen_ai.request.stream", "gen_ai.response.time_to_first_chunk", "gen_ai.input.messages", "gen_ai.output.messages",
    "gen_ai.token.type", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.audio.input_tokens", "gen_ai.usage.audio.output_tokens",
    "gen_ai.client.token.usage", "gen_ai.client.operation.duration", "gen_ai.client.operation.time_to_first_chunk",
    "gen_ai.client.operation.time_per_output_chunk", "error.type", "http.response.status_code",
}  # fmt: skip
"""Copied from the models of the conventions' repository, at the commits that `names.CONVENTIONS` tells."""
WELL_KNOWN = {
    "anthropic", "aws.bedrock", "azure.ai.openai", "cohere", "deepseek", "gcp.gemini", "gcp.vertex_ai", "groq",
    "mistral_ai", "moonshot_ai", "openai", "perplexity", "x_ai",
}  # fmt: skip


def test_every_name_is_the_conventions_or_our_own() -> None:
    told = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    told = (told | set(names.USAGE.values())) - {names.CONVENTIONS}
    assert {name for name in told if not name.startswith("fairlead.")} == CONVENTIONS
    assert "gen_ai.system" not in told
    assert set(names.PROVIDERS.values()) == WELL_KNOWN


REQUIRED = {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"}
"""What the conventions demand of every span of an inference; `error.type` too, where it ended in an error."""
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
BUCKETS = {
    "gen_ai.client.token.usage": (
        1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
    ),
    "gen_ai.client.operation.duration": SECONDS,
    "gen_ai.client.operation.time_to_first_chunk": SECONDS,
    "gen_ai.client.operation.time_per_output_chunk": SECONDS,
}  # fmt: skip
"""Copied from docs/gen-ai/gen-ai-metrics.md at 004902b."""


def test_every_span_has_what_the_conventions_demand() -> None:
    for one in (*traced(), *traced(served="", ended="failed", code="provider_error")):
        assert one.attributes.keys() >= REQUIRED
        assert bool(one.error) is (names.ERROR_TYPE in one.attributes)


def test_distributions_have_the_buckets_that_the_conventions_advise() -> None:
    assert otlp.BUCKETS == BUCKETS


def traced(**more: Any) -> tuple[Span, ...]:
    tried = (attempt("openai/m", "server_error", status=500, span_id="a" * 16), attempt("b/n", span_id="b" * 16))
    return spans_of(record(**{"attempts": tried, "served": "b/n", **more}))


def test_a_request_is_a_span_and_each_attempt_a_child_of_it() -> None:
    own, first, second = traced()
    assert (own.name, own.kind, own.parent_id) == ("chat chat", "server", "")
    assert (first.name, first.kind, first.parent_id, first.error) == ("chat m", "client", own.span_id, "server_error")
    assert (second.name, second.parent_id, second.error) == ("chat n", own.span_id, "")
    assert {one.trace_id for one in (own, first, second)} == {own.trace_id}
    assert first.attributes[names.ERROR_TYPE] == "server_error"
    assert (first.attributes[names.PROVIDER], second.attributes[names.PROVIDER]) == ("openai", "b")


def test_usage_and_cost_are_told_once() -> None:
    own, first, second = traced()
    assert own.attributes[names.USAGE["input"]] == 100
    assert own.attributes[names.USAGE["cache_read"]] == 60
    assert own.attributes[names.USAGE["reasoning"]] == 5
    assert own.attributes[names.COST] == 0.000123456789
    for child in (first, second):
        assert not {names.COST, *names.USAGE.values()} & child.attributes.keys()


def test_times_are_those_of_the_record() -> None:
    own, first, second = traced()
    assert own.start == 1_795_000_000_000_000_000
    assert own.end - own.start == 1_500_000_000
    assert first.start - own.start == 100_000_000
    assert second.end - second.start == 1_400_000_000  # until its first event, and the rest of its answer


@pytest.mark.parametrize(
    ("ended", "code", "error"),
    [
        ("finished", "", ""),
        ("refused", "rate_limit_exceeded", "rate_limit_exceeded"),
        ("client_gone", "", "client_gone"),
    ],
)
def test_what_did_not_end_well_is_an_error(ended: str, code: str, error: str) -> None:
    own = spans_of(record(ended=ended, code=code))[0]
    assert own.error == error
    assert own.attributes.get(names.ERROR_TYPE, "") == error


def test_what_guardrails_said_which_limit_refused_and_who_was_skipped_are_events() -> None:
    own = spans_of(record(limit="5 requests per 1m of key k1", skipped=(Skipped(deployment="c/o", reason="tired"),)))[0]
    told = {event.name: event.attributes for event in own.events}
    assert told["guardrail"][names.ACTION] == "redact"
    assert told["limit"][names.LIMIT] == "5 requests per 1m of key k1"
    assert told["deployment skipped"] == {names.SKIPPED: "c/o", names.REASON: "tired"}


def test_x21_texts_are_told_only_where_they_are_recorded() -> None:
    assert CANARY not in str(traced())
    assert "jo@example.com" not in str(traced())
    said = Message(role="user", parts=(Text(text=CANARY),))
    own, *attempts = traced(content=Content(prompt=msgspec.json.encode([said]).decode(), answer="[]"))
    assert own.attributes[names.INPUT_MESSAGES] == (
        '[{"role":"user","parts":[{"type":"text","content":"canary-of-a-prompt"}]}]'
    )
    assert CANARY not in str(attempts)


def test_without_a_trace_there_are_no_spans() -> None:
    assert spans_of(record(trace=None)) == ()


def test_the_callers_span_is_the_parent() -> None:
    trace = Trace(trace_id="1" * 32, span_id="2" * 16, parent_id="3" * 16, state="a=1")
    own = spans_of(record(trace=trace))[0]
    assert (own.trace_id, own.parent_id, own.state) == ("1" * 32, "3" * 16, "a=1")


TRACES = st.builds(
    Trace,
    trace_id=st.integers(1, 2**128 - 1).map("{:032x}".format),
    span_id=st.just("2" * 16),
    parent_id=st.sampled_from(["", "3" * 16]),
    sampled=st.booleans(),
)


@given(TRACES)
def test_samplers(trace: Trace) -> None:
    def told(sampler: str, ratio: str = "") -> bool:
        return sampler_of({"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": ratio})(trace)

    assert told("always_on")
    assert not told("always_off")
    assert told("traceidratio", "0") is False
    assert told("traceidratio", "1")
    assert told("traceidratio", "0.5") is (int(trace.trace_id[16:], 16) < 2**63)
    inherited = trace.sampled if trace.parent_id else True
    assert told("parentbased_always_on") is told("") is told("nonsense") is inherited
    assert told("parentbased_always_off") is (trace.sampled if trace.parent_id else False)
    assert told("traceidratio", "nonsense")
