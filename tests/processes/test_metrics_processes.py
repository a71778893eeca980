"""The metrics of a running family: a real Prometheus reads them, and they agree with everybody else's count."""

import json
import os
import re
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import IncompleteRead
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy.grafana.make_dashboard import queries
from tests.processes.family import ROOT, Family, fetch
from tests.processes.tenants import config, fake_provider, records, tenants
from tests.processes.test_secrets import reachable
from tests.prometheus import prometheus, promtool

from fairlead.telemetry.families import STANDING

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
FAULTS = "429=0.1,500=0.1,503=0.05,cut=0.1"
MORE = "tenants: {acme: {}}\nobservability: {request_lines: on}\n"


def sample(family: Family, accept: str = "") -> tuple[dict[str, float], str]:
    """Every series of `/metrics` with its value, and the text."""
    status, fields, body = fetch(f"{family.admin}/metrics", headers={"accept": accept})
    assert status == 200
    assert fields["content-type"].startswith("text/plain")
    text = body.decode()
    pairs = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}, text


def summed(series: dict[str, float], metric: str, **labels: str) -> float:
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    names = [name for name in series if name.partition("{")[0] == metric and all(one in name for one in wanted)]
    return sum(series[name] for name in names)


def asked(port: int) -> list[dict[str, Any]]:
    """The fake provider's own log."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/__fake/log", timeout=10) as answer:
        found: list[dict[str, Any]] = json.loads(answer.read())
    return found


def play(family: Family, rounds: int) -> None:
    """Requests of all kinds: whole, streamed, refused, for a model that does not exist, without a key."""
    for number in range(rounds):
        with suppress(IncompleteRead):  # a stream that the provider cut
            family.chat(max_tokens=20, stream=number % 2 == 0)
        if number % 5 == 0:
            family.chat(model="nothing-like-it")
            family.chat(key="a-wrong-key-of-enough-characters")


def caught_up(family: Family, data: Path) -> dict[str, float]:
    """The series once every record is in them."""

    def are_all_in() -> bool:
        try:
            return summed(sample(family)[0], "fairlead_requests_total") == len(records(data))
        except OSError:
            return False  # control is being started again

    family.until(are_all_in, "metrics are behind", 20.0)
    return sample(family)[0]


def test_metrics_journals_and_the_provider_count_alike_though_control_is_killed(tmp_path: Path) -> None:
    with fake_provider(f"--faults={FAULTS}", "--seed=3") as port, tenants(tmp_path, config(port, more=MORE)) as family:
        play(family, 20)
        family.until(lambda: (tmp_path / "projections" / "request_lines").exists())
        for number in range(2):
            os.kill(int(family.event("config_published", number + 1)["pid"]), signal.SIGKILL)
            play(family, 10)
            family.event("config_published", number + 2)
        series = caught_up(family, tmp_path)
        kept = records(tmp_path)
        seen = asked(port)
    attempts = sum(len(record.attempts) for record in kept)
    assert len(kept) == 40 + 2 * 8
    assert summed(series, "fairlead_attempts_total") == attempts == len(seen)
    usage = [record.usage for record in kept if record.usage]
    assert summed(series, "fairlead_tokens_total", kind="input") == sum(one.input for one in usage)
    assert summed(series, "fairlead_tokens_total", kind="output") == sum(one.output for one in usage)
    refused = [record for record in kept if record.status in (401, 404)]
    assert summed(series, "fairlead_errors_total", source="client") == len(refused) == 16
    assert "nothing-like-it" not in "".join(series)


def test_a_journal_goes_only_when_the_totals_of_it_are_kept(tmp_path: Path) -> None:
    """Whoever is killed right after a journal was deleted must not miss what was in it."""
    more = f"{MORE}journal: {{rotate: 1s, keep: 1s}}\n"
    with fake_provider() as port, tenants(tmp_path, config(port, more=more)) as family:
        for _ in range(3):
            family.chat(max_tokens=5)
        family.event("journal_deleted")
        os.kill(int(family.event("config_published")["pid"]), signal.SIGKILL)
        family.event("config_published", 2)
        family.until(lambda: reachable(family), "control did not come back")
        family.until(lambda: summed(sample(family)[0], "fairlead_requests_total") == 3, "requests are missing")


def two(port: int) -> str:
    """A configuration in which one deployment can fall back to another."""
    second = 'deployments: [{use: fake/n, price: {input: "1", output: "2"}, max_output: 2k}, '
    return config(port, more=MORE).replace("deployments: [", second)


@contextmanager
def scraped(tmp_path: Path) -> Iterator[tuple[Family, Any, int]]:
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with fake_provider(f"--faults={FAULTS}", "--seed=5") as port, tenants(tmp_path, two(port)) as family:
        target = family.admin.removeprefix("http://")
        with prometheus(folder, target, ALERTS) as server:
            yield family, server, port


def test_prometheus_scrapes_it_and_every_panel_and_alert_runs_there(tmp_path: Path) -> None:
    with scraped(tmp_path) as (family, server, _):
        play(family, 12)
        caught_up(family, tmp_path)
        server.until(lambda: server.value("sum(fairlead_requests_total)") == len(records(tmp_path)))
        play(family, 12)
        caught_up(family, tmp_path)
        server.until(lambda: server.value("sum(fairlead_requests_total)") == len(records(tmp_path)))
        server.until(lambda: server.query("rate(fairlead_requests_total[20s])"))
        for query in queries():
            answered = server.query(query.replace("$__rate_interval", "1m"))
            assert answered or re.search("verdicts|refusals|unpriced|wasted", query), query
        for rule in (rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]):
            server.query(rule["expr"])
        assert server.value('up{job="fairlead"}') == 1
        assert server.value("fairlead_journal_max_bytes") == 1024**3


def test_a_running_family_has_a_figure_for_every_gauge(tmp_path: Path) -> None:
    with fake_provider() as port, tenants(tmp_path, config(port, more=MORE)) as family:
        family.chat(max_tokens=5)
        series = caught_up(family, tmp_path)
        assert {name.partition("{")[0] for name in series} >= STANDING.keys()
        assert series["fairlead_audit_alarm"] == 0
        family.until(lambda: sample(family)[0]["fairlead_audit_entries"] > 0, "the audit trail is not told of")


def test_promtool_finds_nothing_wrong_with_what_is_told(tmp_path: Path) -> None:
    with fake_provider() as port, tenants(tmp_path, config(port, more=MORE)) as family:
        family.chat(max_tokens=5)
        _, text = sample(family)
        promtool("check", "metrics", given=text)
        status, fields, body = fetch(f"{family.admin}/metrics", headers={"accept": "application/openmetrics-text"})
        assert (status, fields["content-type"].partition(";")[0]) == (200, "application/openmetrics-text")
        assert body.endswith(b"# EOF\n")


@pytest.mark.parametrize("lines", ["on", "off"])
def test_a_line_per_request_where_that_is_wanted(tmp_path: Path, lines: str) -> None:
    more = f"tenants: {{acme: {{}}}}\nobservability: {{request_lines: {lines}}}\n"
    with fake_provider() as port, tenants(tmp_path, config(port, more=more)) as family:
        _, fields, _ = family.chat(max_tokens=5)
        caught_up(family, tmp_path)
        if lines == "on":
            line = family.event("request")
            assert (line["request"], line["status"], line["deployment"]) == (fields["x-request-id"], 200, "fake/m")
        family.signal(signal.SIGTERM)
        family.process.wait(10)
    assert any(line["event"] == "request" for line in family.lines) is (lines == "on")


def test_o9_nobody_reads_the_log_and_nobody_waits_for_it(tmp_path: Path) -> None:
    """A pipe holds some hundred lines; far more are written here."""
    with fake_provider() as port, tenants(tmp_path, config(port, more=MORE)) as family:
        url = family.url
        admin = family.admin
        family.reading.clear()
        for _ in range(600):
            assert fetch(f"{url}/v1/chat/completions", b"{}")[0] in (401, 429)
        family.until(
            lambda: summed(_series(admin), "fairlead_requests_total") == 600, "control waits for its log", 20.0
        )
        family.reading.set()
        family.until(lambda: sum(line["event"] == "request" for line in family.lines) == 600, "lines are missing")


def _series(admin: str) -> dict[str, float]:
    text = fetch(f"{admin}/metrics")[2].decode()
    pairs = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}
