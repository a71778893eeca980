"""The alert rules and the dashboard: what promtool thinks of them, and that they fit the metrics that there are."""

import json
import re
from pathlib import Path

import pytest
import yaml
from deploy.grafana.make_dashboard import FILE, queries, text
from tests.prometheus import promtool

from fairlead.telemetry.families import FAMILIES

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
DOCS = (DEPLOY.parent / "docs" / "metrics.md").read_text()


def metrics_in(query: str) -> set[str]:
    """The families that a query names."""
    names = set(re.findall(r"\bfairlead_[a-z_]+", query))
    return {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in names}


def test_the_rules_are_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", str(ALERTS))


def test_the_example_configuration_is_one() -> None:
    promtool("check", "config", "--syntax-only", str(DEPLOY / "prometheus" / "prometheus.yml"))


@pytest.mark.parametrize("query", [*queries(), *(rule["expr"] for rule in RULES)])
def test_every_query_is_about_metrics_that_there_are(query: str) -> None:
    assert metrics_in(query) <= FAMILIES.keys()


@pytest.mark.parametrize("alert", [rule["alert"] for rule in RULES])
def test_every_alert_says_what_to_do(alert: str) -> None:
    assert f"### {alert}\n" in DOCS


def test_the_dashboard_is_what_its_table_makes() -> None:
    assert FILE.read_text() == text()
    assert "${DS_PROMETHEUS}" in json.dumps(json.loads(text())["panels"])


def test_the_alerts_come_when_they_should_and_not_before(tmp_path: Path) -> None:
    """`promtool test rules` plays series through the rules."""
    (tmp_path / "test.yml").write_text(
        (Path(__file__).parent / "alerts_test.yml").read_text().replace("RULES", str(ALERTS))
    )
    promtool("test", "rules", str(tmp_path / "test.yml"))


def test_every_alert_is_played() -> None:
    played = (Path(__file__).parent / "alerts_test.yml").read_text()
    for rule in RULES:
        assert f"alertname: {rule['alert']}\n" in played
