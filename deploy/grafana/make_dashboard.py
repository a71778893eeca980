"""Writes `fairlead.json`, the Grafana dashboard, from the table of panels below: `make dashboard`.

A test runs every query of it against a real Prometheus, and checks that the file is what this table makes.
"""

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "fairlead.json"
SOURCE = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
Panel = tuple[str, str, str, str]
"""Title, unit, query, legend."""


def rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


def quantile(share: float, metric: str, by: str = "") -> str:
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', f'{by}, le' if by else 'le')})"


def per_hour(metric: str, by: str) -> str:
    return f"3600 * {rate(metric, by)}"


FAILED = 'fairlead_attempts_total{outcome!="answered"}'
PANELS: dict[str, list[Panel]] = {
    "Traffic": [
        ("Requests", "reqps", rate("fairlead_requests_total", "route"), "{{route}}"),
        ("In flight", "none", "sum(fairlead_in_flight_requests)", "requests"),
        ("How requests end", "reqps", rate("fairlead_requests_total", "ended"), "{{ended}}"),
    ],
    "Errors": [
        ("Errors by code", "reqps", rate("fairlead_errors_total", "code"), "{{code}}"),
        ("Errors by source", "reqps", rate("fairlead_errors_total", "source"), "{{source}}"),
        ("Attempts that fail", "reqps", rate(FAILED, "deployment, outcome"), "{{deployment}} {{outcome}}"),
    ],
    "Latency": [
        ("Duration", "s", quantile(0.95, "fairlead_request_duration_seconds", "route"), "{{route}} p95"),
        ("First token", "s", quantile(0.95, "fairlead_first_token_seconds", "deployment"), "{{deployment}} p95"),
        ("Between pieces", "s", quantile(0.95, "fairlead_output_chunk_seconds", "deployment"), "{{deployment}} p95"),
        ("Attempts", "s", quantile(0.95, "fairlead_attempt_duration_seconds", "deployment"), "{{deployment}} p95"),
        ("Waiting", "s", quantile(0.99, "fairlead_queue_seconds", "route"), "{{route}} p99"),
        ("The gateway's own part", "s", quantile(0.99, "fairlead_overhead_seconds"), "p99"),
    ],
    "Tokens and cost": [
        ("Tokens", "none", rate("fairlead_tokens_total", "kind"), "{{kind}}"),
        ("Tokens by tenant", "none", rate("fairlead_tenant_tokens_total", "tenant"), "{{tenant}}"),
        ("Cost by tenant", "currencyUSD", per_hour("fairlead_cost_dollars_total", "tenant"), "{{tenant}}"),
        ("Cost by deployment", "currencyUSD", per_hour("fairlead_cost_dollars_total", "deployment"), "{{deployment}}"),
        ("Wasted", "currencyUSD", per_hour("fairlead_wasted_dollars_total", "cause"), "{{cause}}"),
        ("Of unknown price", "reqps", rate("fairlead_unpriced_requests_total", "deployment"), "{{deployment}}"),
    ],
    "Routing": [
        ("Attempts", "reqps", rate("fairlead_attempts_total", "deployment"), "{{deployment}}"),
        ("Retries", "reqps", rate("fairlead_retries_total", "deployment"), "{{deployment}}"),
        ("Fallbacks", "reqps", rate("fairlead_fallbacks_total", "route, deployment"), "{{route}} to {{deployment}}"),
        ("Deployments resting", "none", "max(fairlead_resting_deployments)", "resting"),
    ],
    "Limits": [
        ("Refusals", "reqps", rate("fairlead_refusals_total", "tenant, code"), "{{tenant}} {{code}}"),
        ("Budget alerts", "none", "sum by (instance) (fairlead_budget_alerts)", "{{instance}}"),
        ("Counted by this machine alone", "bool", "max by (instance) (fairlead_limits_alone)", "{{instance}}"),
        ("Verdicts", "reqps", rate("fairlead_verdicts_total", "guardrail, action"), "{{guardrail}} {{action}}"),
    ],
    "The gateway": [
        ("Workers", "none", "sum by (instance, state) (fairlead_workers)", "{{instance}} {{state}}"),
        ("Journals", "bytes", "max by (instance) (fairlead_journal_bytes)", "{{instance}}"),
        ("Journals, at most", "bytes", "max by (instance) (fairlead_journal_max_bytes)", "{{instance}}"),
        ("Behind", "bytes", "max by (instance, projection) (fairlead_projection_lag_bytes)", "{{projection}}"),
        ("Refused for want of room", "none", "sum by (instance) (fairlead_journal_unrecorded)", "{{instance}}"),
    ],
}


def queries() -> list[str]:
    """Every query of every panel."""
    return [query for panels in PANELS.values() for _, _, query, _ in panels]


def dashboard() -> dict[str, Any]:
    panels: list[dict[str, Any]] = []
    y = 0
    for row, entries in PANELS.items():
        panels.append(
            {"type": "row", "title": row, "id": len(panels) + 1, "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}}
        )
        y += 1
        width = 24 // min(len(entries), 3)
        for place, (title, unit, query, legend) in enumerate(entries):
            panels.append({
                "type": "timeseries",
                "title": title,
                "id": len(panels) + 1,
                "datasource": SOURCE,
                "gridPos": {"h": 8, "w": width, "x": place % 3 * width, "y": y + place // 3 * 8},
                "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                "targets": [{"refId": "A", "datasource": SOURCE, "expr": query, "legendFormat": legend}],
            })  # fmt: skip
        y += 8 * -(-len(entries) // 3)
    return {
        "title": "Fairlead",
        "uid": "fairlead",
        "tags": ["fairlead", "llm"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "DS_PROMETHEUS", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": panels,
    }


def text() -> str:
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
