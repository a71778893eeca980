"""What records add up to, and that it is exact in whatever order and portions they come."""

import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.telemetry.a_record import attempt, record

from fairlead.canonical.errors import CODES, KINDS
from fairlead.canonical.routing import Latency, RequestRecord
from fairlead.canonical.usage import Usage
from fairlead.telemetry.exposition import Exposition
from fairlead.telemetry.families import FAMILIES
from fairlead.telemetry.metrics import MOST_SERIES, Totals, picos


def totals(*records: RequestRecord) -> Totals:
    counted = Totals()
    counted.take(records)
    return counted


def counted(metric: str, *records: RequestRecord) -> dict[tuple[str, ...], int]:
    return {tuple(key.split("\0")): value for key, value in totals(*records).counters.get(metric, {}).items()}


def test_a_request_is_counted_by_its_way_through() -> None:
    assert counted("fairlead_requests", record(), record(stream=True), record()) == {
        ("chat", "openai_chat", "200", "finished", "false"): 2,
        ("chat", "openai_chat", "200", "finished", "true"): 1,
    }


def test_retries_and_fallbacks_are_told_apart() -> None:
    tried = (attempt("a/m", "server_error"), attempt("a/m", "server_error"), attempt("b/m"))
    one = record(attempts=tried, served="b/m")
    assert counted("fairlead_attempts", one) == {("a/m", "server_error"): 2, ("b/m", "answered"): 1}
    assert counted("fairlead_retries", one) == {("a/m",): 1}
    assert counted("fairlead_fallbacks", one) == {("chat", "b/m"): 1}


def test_an_error_is_told_with_whose_fault_it_is() -> None:
    assert counted("fairlead_errors", record(code="upstream_timeout", ended="failed")) == {
        ("chat", "upstream_timeout", "provider"): 1
    }
    assert counted("fairlead_errors", record(code="cut", ended="cut")) == {("chat", "cut", "provider"): 1}
    assert counted("fairlead_refusals", record(code="insufficient_quota", ended="refused")) == {
        ("acme", "insufficient_quota"): 1
    }
    for code in (*CODES, *KINDS, "from_a_later_version"):
        assert counted("fairlead_errors", record(code=code))


def test_tokens_cost_and_waste() -> None:
    failed = attempt("a/m", "timeout", usage=Usage(input=7), cost="0.5")
    one = record(attempts=(failed, attempt()), ended="client_gone", estimated=True, cost="0.25")
    assert counted("fairlead_tokens", one)[("openai/m", "cache_read")] == 60
    assert counted("fairlead_cost_dollars", one) == {("openai/m", "acme"): picos("0.25")}
    assert counted("fairlead_wasted_dollars", one) == {
        ("a/m", "timeout"): picos("0.5"),
        ("openai/m", "client_gone"): picos("0.25"),
    }
    assert counted("fairlead_estimated_requests", one) == {("openai/m",): 1}


def test_usage_without_a_price_is_no_cost_of_nothing() -> None:
    one = record(cost=None)
    assert counted("fairlead_unpriced_requests", one) == {("openai/m",): 1}
    assert counted("fairlead_cost_dollars", one) == {}


def test_what_a_client_typed_is_no_label() -> None:
    one = record(
        route="gpt-*", asked="gpt-x1", served="openai/gpt-x1", attempts=(attempt("openai/gpt-x1"),), wildcard="openai/*"
    )
    lost = record(route="", asked="nothing-like-it", served="", attempts=(), usage=None, code="model_not_found")
    labels = "".join(key for found in totals(one, lost).counters.values() for key in found)
    assert "gpt-x1" not in labels
    assert "nothing-like-it" not in labels
    assert "jo@example.com" not in labels


def test_a_metric_has_so_many_series_and_counts_the_rest_together() -> None:
    many = [record(tenant=f"tenant-{number}") for number in range(MOST_SERIES + 5)]
    found = counted("fairlead_tenant_requests", *many)
    assert len(found) == MOST_SERIES + 1
    assert found[("other", "other")] == 5
    assert counted("fairlead_series_dropped", *many)[("fairlead_tenant_requests",)] == 5


def test_a_lost_request_has_no_times() -> None:
    assert totals(record(ended="lost", attempts=(), duration=0.0, latency=Latency())).spreads == {}


def times(number: float) -> dict[str, Any]:
    return {"duration": number, "cost": f"{Decimal(round(number * 1e6)) / 10**9:f}", "first_token": number / 2}


@given(st.lists(st.floats(0, 200), max_size=20), st.integers(0, 20), st.randoms(use_true_random=False))
def test_the_order_and_the_portions_make_no_difference(numbers: list[float], cut: int, chance: Any) -> None:
    records = [record(**times(number)) for number in numbers]
    shuffled = records.copy()
    chance.shuffle(shuffled)
    portions = Totals()
    portions.take(shuffled[:cut])
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(portions), type=Totals)
    again.take(shuffled[cut:])
    assert again == totals(*records)
    cost = sum((Decimal(one.cost or 0) for one in records), Decimal(0))
    assert sum(again.counters.get("fairlead_cost_dollars", {}).values()) == picos(str(cost))


def test_a_time_falls_into_the_bucket_whose_bound_it_does_not_pass() -> None:
    spread = totals(record(duration=0.05), record(duration=0.051), record(duration=500)).spreads[
        "fairlead_request_duration_seconds"
    ]["chat"]
    assert (spread.counts[0], spread.counts[1], spread.counts[-1]) == (1, 1, 1)
    assert spread.nanos == 500_101_000_000


def text(counted: Totals, accept: str = "") -> str:
    return Exposition(counted, lambda: {"fairlead_workers": [(("ready",), 2.0)]}).text(accept)[1].decode()


def test_prometheus_reads_counters_and_cumulative_buckets() -> None:
    told = text(totals(record(duration=0.3), record(duration=0.07)))
    assert 'fairlead_tenant_requests_total{ended="finished",tenant="acme"} 2.0' in told
    assert 'fairlead_request_duration_seconds_bucket{le="0.05",route="chat"} 0.0' in told
    assert 'fairlead_request_duration_seconds_bucket{le="0.1",route="chat"} 1.0' in told
    assert 'fairlead_request_duration_seconds_bucket{le="+Inf",route="chat"} 2.0' in told
    assert 'fairlead_request_duration_seconds_sum{route="chat"} 0.37' in told
    assert 'fairlead_cost_dollars_total{deployment="openai/m",tenant="acme"} 0.000246913578' in told
    assert 'fairlead_workers{state="ready"} 2.0' in told


def test_openmetrics_is_told_to_whoever_asks_for_it() -> None:
    assert text(totals(record()), "application/openmetrics-text; version=1.0.0").endswith("# EOF\n")


def test_every_metric_is_there_before_anything_has_happened() -> None:
    told = text(Totals())
    suffix = {"counter": "_total", "histogram": "", "gauge": ""}
    for name, family in FAMILIES.items():
        assert f"# TYPE {name}{suffix[family.kind]} {family.kind}\n" in told


def test_label_values_cannot_break_out() -> None:
    told = text(totals(record(tenant='a"} 1\nfake 2')))
    assert 'tenant="a\\"} 1\\nfake 2"' in told
    assert Counter(line.partition("{")[0] for line in told.splitlines())["fake 2"] == 0


DOCS = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
ROWS = {
    row[0]: row[1:]
    for row in re.findall(r"^\| `(fairlead_[a-z_]+)` \| (\w+) \| (.*?) \| (.*?) \|$", DOCS, re.MULTILINE)
}


def test_every_metric_is_documented_and_nothing_else() -> None:
    told = {
        name + ("_total" if family.kind == "counter" else ""): (
            family.kind,
            ", ".join(f"`{label}`" for label in family.labels) or "-",
            family.help,
        )
        for name, family in FAMILIES.items()
    }
    assert told == ROWS
