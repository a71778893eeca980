"""Spans and metrics of a running family in a real collector, over both protocols, and while it hangs."""

import re
import signal
from pathlib import Path

import pytest
from tests.processes.family import KEY, Family, fetch
from tests.processes.tenants import config, fake_provider, tenants
from tests.rotel import rotel

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CANARY = "canary of a prompt"
QUICK = {"OTEL_METRIC_EXPORT_INTERVAL": "500", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
BODY = b'{"model": "chat", "stream": %s, "messages": [{"role": "user", "content": "canary of a prompt"}]}'


def ask(url: str, *, stream: bool = False, trace: str = TRACE) -> int:
    headers = {"authorization": f"Bearer {KEY}", "traceparent": f"00-{trace}-{SPAN}-01"}
    return fetch(f"{url}/v1/chat/completions", BODY % (b"true" if stream else b"false"), headers)[0]


def more(url: str, protocol: str = "http", content: str = "off") -> str:
    told = f'{{otlp: "{url}", protocol: {protocol}, content: {content}, headers: {{x-token: env://COLLECTOR_TOKEN}}}}'
    return f"tenants: {{acme: {{}}}}\nobservability: {told}\n"


def lag(family: Family) -> float:
    """Bytes of the journals that the traces have still to take in."""
    metrics = fetch(f"{family.admin}/metrics")[2].decode()
    return float(re.findall(r'fairlead_projection_lag_bytes\{projection="traces"\} (\S+)', metrics)[0])


def spans(told: str) -> set[str]:
    """The ids of spans that a collector was told of. One that hangs may take the same span twice, under the same id."""
    return set(re.findall(r"^ *ID +: (\w{16})$", told, re.MULTILINE))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**QUICK, "COLLECTOR_TOKEN": "secret-of-the-collector"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_collector_gets_the_spans_and_the_metrics(tmp_path: Path, protocol: str) -> None:
    with fake_provider("--faults=500=0.5", "--seed=2") as port, rotel(tmp_path) as collector:
        text = config(port, more=more(getattr(collector, protocol), protocol))
        with tenants(tmp_path, text) as family:
            for stream in (False, True, False, True):
                ask(family.url, stream=stream)
            told = collector.until(
                lambda told: (
                    told.count("Name           : chat chat") == 4
                    and "gen_ai.client.operation.time_to_first_chunk" in told
                    and "gen_ai.client.token.usage" in told
                )
            )
    assert told.count(f"Parent ID      : {SPAN}") == 4
    assert f"Trace ID       : {TRACE}" in told
    assert "Name           : chat m" in told
    assert "gen_ai.provider.name: Str(fake)" in told
    assert "gen_ai.usage.input_tokens: Int(" in told
    assert "fairlead.cost_dollars: Double(" in told
    assert "error.type: Str(server_error)" in told
    assert "service.name: Str(fairlead)" in told
    assert "gen_ai.client.operation.duration" in told
    assert CANARY not in told
    assert "secret-of-the-collector" not in "".join(family.raw)
    assert KEY not in told


def test_x21_texts_are_in_the_spans_where_that_is_wanted(tmp_path: Path) -> None:
    with (
        fake_provider() as port,
        rotel(tmp_path) as collector,
        tenants(tmp_path, config(port, more=more(collector.http, content="on"))) as family,
    ):
        ask(family.url)
        told = collector.until(lambda told: "gen_ai.input.messages" in told)
    assert CANARY in told


def test_o9_a_collector_that_hangs_delays_nobody_and_gets_what_it_missed(tmp_path: Path) -> None:
    with (
        fake_provider() as port,
        rotel(tmp_path) as collector,
        tenants(tmp_path, config(port, more=more(collector.http))) as family,
    ):
        ask(family.url)
        collector.until(lambda told: told.count("Name           : chat chat") == 1)
        collector.process.send_signal(signal.SIGSTOP)
        try:
            assert {ask(family.url) for _ in range(20)} == {200}
            assert family.event("projection_down")["projection"] == "traces"
            metrics = fetch(f"{family.admin}/metrics")[2].decode()
            assert 'fairlead_projection_up{projection="traces"} 0.0' in metrics
            assert 'fairlead_projection_up{projection="metrics"} 1.0' in metrics
            family.until(lambda: lag(family) > 0, "no lag is told")
        finally:
            collector.process.send_signal(signal.SIGCONT)
        family.event("projection_up")
        family.until(lambda: lag(family) == 0, "the lag stays")
        told = collector.until(lambda told: len(spans(told)) >= 42)
    assert len(spans(told)) == 42
    assert len(set(re.findall(r"fairlead\.request: Str\((\w+)\)", told))) == 21


def test_a_collector_from_the_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_provider() as port, rotel(tmp_path) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.http)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "my-gateway")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        with tenants(tmp_path, config(port)) as family:
            family.chat(max_tokens=5)
            told = collector.until(lambda told: "Name           : chat chat" in told)
    assert "service.name: Str(my-gateway)" in told
    assert "deployment.environment.name: Str(test)" in told
