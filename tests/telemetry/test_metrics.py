"""What records add up to, and that it is exact in whatever order and portions they come."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families
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


def test_what_nobody_charges_for_is_not_unpriced() -> None:
    one = record(cost=None, price="self_hosted")
    assert counted("fairlead_unpriced_requests", one) == {}
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


def read(counted: Totals, accept: str = "") -> dict[str, Metric]:
    """The families as Prometheus's own library reads them."""
    parse = openmetrics_families if accept else text_families
    return {family.name: family for family in parse(text(counted, accept))}


def values(family: Metric) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels."""
    return {(sample.name, *sample.labels.values()): sample.value for sample in family.samples}


OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


@pytest.mark.parametrize("accept", ["", OPEN_METRICS])
def test_prometheus_reads_counters_and_cumulative_buckets(accept: str) -> None:
    told = read(totals(record(duration=0.3), record(duration=0.07)), accept)
    assert values(told["fairlead_tenant_requests"]) == {("fairlead_tenant_requests_total", "acme", "finished"): 2}
    name = "fairlead_request_duration_seconds"
    times = values(told[name])
    below = [times[f"{name}_bucket", "chat", bound] for bound in ("0.05", "0.1", "0.25", "0.5", "120.0", "+Inf")]
    assert below == [0, 1, 1, 2, 2, 2]
    assert (times[f"{name}_count", "chat"], times[f"{name}_sum", "chat"]) == (2, 0.37)
    assert values(told["fairlead_cost_dollars"]) == {
        ("fairlead_cost_dollars_total", "openai/m", "acme"): 0.000246913578
    }
    assert values(told["fairlead_workers"]) == {("fairlead_workers", "ready"): 2}


LABEL = st.text(max_size=8) | st.sampled_from(["\\", '"', "\n", '\\n"', 'a="b",c="d"} 1'])


@given(
    st.lists(LABEL.filter(lambda text: "\0" not in text), max_size=4, unique=True), st.sampled_from(["", OPEN_METRICS])
)
def test_any_label_is_read_as_it_is(labels: list[str], accept: str) -> None:
    """No value of a label breaks out of its quotes."""
    counted = Totals()
    for label in labels:
        counted.count("fairlead_tokens", label, "input", by=7)
        counted.observe("fairlead_first_token_seconds", 0.1, label)
    told = read(counted, accept)
    assert values(told["fairlead_tokens"]) == {("fairlead_tokens_total", label, "input"): 7 for label in labels}
    firsts = {sample.labels["deployment"] for sample in told["fairlead_first_token_seconds"].samples}
    assert firsts == set(labels)


def test_openmetrics_is_told_to_whoever_asks_for_it() -> None:
    assert text(totals(record()), OPEN_METRICS).endswith("# EOF\n")


def test_every_metric_is_there_before_anything_has_happened() -> None:
    told = text(Totals())
    suffix = {"counter": "_total", "histogram": "", "gauge": ""}
    for name, family in FAMILIES.items():
        assert f"# TYPE {name}{suffix[family.kind]} {family.kind}\n" in told


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
