"""`fairlead simulate` as a user meets it: what it prints, what it refuses and in which words."""

import json
from pathlib import Path

import pytest

from fairlead.cli import main

QUICK = ["--requests", "400"]


def simulate(*args: str) -> int:
    return main(["simulate", *QUICK, *args])


def told(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, object]:
    assert simulate("--json", *args) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_json_has_each_figure_with_its_interval(capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "--demo")
    assert found["requests"] == 400
    for name in ("success_rate", "retry_rate", "fallback_hit_rate", "attempts_per_request", "cost_per_1000"):
        figure = found[name]
        assert isinstance(figure, dict)
        assert figure["low"] <= figure["value"] <= figure["high"]
    latency = found["latency_ms"]
    assert isinstance(latency, dict)
    assert set(latency) == {"mean", "p50", "p90", "p95", "p99"}


def test_one_seed_is_one_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "--demo", "--seed", "3") == told(capsys, "--demo", "--seed", "3")
    assert told(capsys, "--demo", "--seed", "3") != told(capsys, "--demo", "--seed", "4")


def test_what_a_scenario_does_not_say_the_demo_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text("providers: {anthropic: {first_token: 100ms}}\n")
    found = told(capsys, "--demo", "--scenario", str(scenario))
    failures = {one["name"]: one["failures"] for one in found["deployments"]}  # type: ignore[attr-defined]
    assert failures["openai/gpt-4o-mini"]
    assert not failures["anthropic/claude-haiku-4-5"]


@pytest.mark.parametrize(("slo", "status"), [("success=0.5", 0), ("success=0.99999", 1)])
def test_targets_are_judged_and_told(slo: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate("--demo", "--faults", "*:error=0.1", "--slo", slo, "--figures", "success_rate") == status
    out = capsys.readouterr().out
    assert out.startswith("FIGURE")
    assert "the success rate is" in out


def test_two_configurations_and_a_curve(capsys: pytest.CaptureFixture[str]) -> None:
    folder = "examples/simulator"
    both = ["--config", f"{folder}/bucket.yaml", "--compare", f"{folder}/window.yaml"]
    found = told(capsys, *both, "--scenario", f"{folder}/tiers.yaml")
    assert len(found["runs"]) == 2  # type: ignore[arg-type]
    found = told(capsys, *both, "--sweep", "rps=10:30:10")
    assert [len(one["points"]) for one in found["curves"]] == [3, 3]  # type: ignore[attr-defined]


def test_a_report_is_written(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert simulate("--demo", "--report", str(page)) == 0
    assert page.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--faults", "openai:error=1.5"], "it is a share of all attempts, so from 0 to 1"),
        (["--faults", "openai:429=0.7,503=0.7"], "add up to 1.4"),
        (["--faults", "openai:429=-1"], "-1"),
        (["--faults", "opnai:503=1"], "did you mean 'openai'?"),
        (["--faults", "openai"], "such as openai:503=0.05"),
        (["--faults", "openai:eror=1"], "did you mean 'error'?"),
        (["--rps", "-1"], "--rps -1"),
        (["--rps", "1e-300"], "--rps 1e-300"),
        (["--config", "fairlead.yaml"], "leave --config out"),
        (["--suggest"], "--suggest needs a target"),
        (["--slo", " "], "--slo is empty"),
        (["--slo", "succes=1"], "did you mean 'success'?"),
        (["--set", "retry.atempts=1"], "did you mean 'retry.attempts'?"),
        (["--sweep", "openai.error=0:1:0"], "never ends"),
        (["--figures", "sucess_rate"], "did you mean 'success_rate'?"),
        (["--scenario", "/nowhere.yaml"], "/nowhere.yaml cannot be read"),
        (["--trace", "/nowhere"], "/nowhere is not there"),
        (["--report", "x.pdf"], ".html"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    args: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate("--demo", *args) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err


def test_a_configuration_that_check_refuses_is_refused_with_its_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "fairlead.yaml"
    file.write_text("rutes: []\n")
    assert main(["check", "--config", str(file)]) == 1
    words = capsys.readouterr().err
    assert simulate("--config", str(file)) == 1
    assert words in capsys.readouterr().err


def test_an_error_in_a_scenario_has_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text("providers:\n  opnai: {capacity: 3}\n")
    assert simulate("--demo", "--scenario", str(scenario)) == 1
    assert f"{scenario}:2:" in capsys.readouterr().err
