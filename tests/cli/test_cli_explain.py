"""`fairlead explain` says what the policy would do."""

import json
from pathlib import Path
from typing import Any

import pytest

from fairlead.cli import main

CONFIG = """
providers: {box: {kind: openai, base_url: 'http://h/v1', self_hosted: true}}
routes:
- model: chat
  deployments: [{use: openai/gpt-4o, weight: 3}, groq/llama-3.3-70b-versatile, {use: box/x, priority: 2}]
  fallback: {to: [spare]}
- {model: spare, deployments: [box/y]}
- {model: "gpt-*", deployments: [openai/*]}
- {model: "*", deployments: [box/*]}
- {model: "openai/*", deployments: [openai/*]}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    (tmp_path / "fairlead.yaml").write_text(CONFIG)


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    main(["explain", "--json", "--model", *arguments])
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def test_the_order_and_what_is_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    report = explained(capsys, "chat")
    assert [(one["deployment"], one["rank"]) for one in report["tried"]] == [
        ("openai/gpt-4o", 0),
        ("box/x", 1),
        ("box/y", 2),
    ]
    assert report["skipped"] == [
        {"deployment": "groq/llama-3.3-70b-versatile", "reason": "its credential 'groq' has no value"}
    ]


def test_what_a_request_needs_counts(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk")
    report = explained(capsys, "chat", "--images")
    assert report["skipped"] == [
        {
            "deployment": "groq/llama-3.3-70b-versatile",
            "reason": "the request has images and the model takes none",
        }
    ]


@pytest.mark.parametrize(
    ("asked", "route", "sent"),
    [
        ("spare", "spare", "y"),
        ("gpt-9", "gpt-*", "gpt-9"),
        ("openai/gpt-9", "openai/*", "gpt-9"),
        ("anything", "*", "anything"),
    ],
)
def test_the_most_exact_route_serves(capsys: pytest.CaptureFixture[str], asked: str, route: str, sent: str) -> None:
    report = explained(capsys, asked)
    assert (report["route"], report["tried"][0]["model"]) == (route, sent)


def test_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--model", "chat", "--tools"]) == 0
    out = capsys.readouterr().out
    assert "'chat' is served by the route 'chat', select: weighted" in out
    assert "at most 2 attempts on a deployment, 6 in all" in out
    assert "skipped: groq/llama-3.3-70b-versatile: its credential 'groq' has no value" in out
    assert "canary" not in out


def test_a_model_that_nobody_serves(capsys: pytest.CaptureFixture[str]) -> None:
    Path("fairlead.yaml").write_text("routes: [{model: chat, deployments: [openai/x]}]")
    assert main(["explain", "--model", "chta"]) == 1
    assert capsys.readouterr().err == "fairlead explain: no route serves 'chta'; did you mean 'chat'?\n"


def test_a_route_without_a_usable_deployment(capsys: pytest.CaptureFixture[str]) -> None:
    Path("fairlead.yaml").write_text("routes: [{model: chat, deployments: [groq/x]}]")
    assert main(["explain", "--model", "chat"]) == 1
    assert "no deployment would be tried" in capsys.readouterr().out


def test_a_broken_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    Path("fairlead.yaml").write_text("x: 1")
    assert main(["explain", "--model", "chat"]) == 1
    assert "fairlead.yaml:1:1: x: unknown key" in capsys.readouterr().err


def test_a_tenants_residency_and_demands_are_reasons(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    more = "tenants: {acme: {residency: eu}, own: {require: [self_hosted]}}\n"
    (tmp_path / "fairlead.yaml").write_text(CONFIG.replace("self_hosted: true", "region: eu, self_hosted: true") + more)
    report = explained(capsys, "chat", "--tenant", "acme")
    assert [one["deployment"] for one in report["tried"]] == ["box/x", "box/y"]
    assert "region 'eu'" in next(one["reason"] for one in report["skipped"] if one["deployment"] == "openai/gpt-4o")
    report = explained(capsys, "chat", "--tenant", "own")
    assert [one["deployment"] for one in report["tried"]] == ["box/x", "box/y"]
    assert main(["explain", "--model", "chat", "--tenant", "acem"]) == 1
    assert "did you mean 'acme'?" in capsys.readouterr().err
