"""`fairlead simulate` as a user meets it: what it prints, what it refuses and in which words."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from tests.simulator.recording import a_record, write

from fairlead import __version__
from fairlead.cli import main
from fairlead.cli import simulate as simulate_command
from fairlead.control.instants import parse_instant
from fairlead.simulator.assumptions import of_settings

FOLDER = "examples/simulator"
QUICK = ["--requests", "400"]


def simulate(*args: str) -> int:
    return main(["simulate", *QUICK, *args])


def told(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    assert simulate("--json", *args) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def summary(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    """What the only run came to."""
    (only,) = told(capsys, *args)["runs"]
    found: dict[str, Any] = only["summary"]
    return found


def test_json_has_each_figure_with_its_interval(capsys: pytest.CaptureFixture[str]) -> None:
    found = summary(capsys, "--demo")
    assert found["requests"] == 400
    for name in ("success_rate", "retry_rate", "fallback_hit_rate", "attempts_per_request", "cost_per_1000"):
        figure = found[name]
        assert figure["low"] <= figure["value"] <= figure["high"]
    assert set(found["latency_ms"]) == {"mean", "p50", "p90", "p95", "p99"}


def test_one_seed_is_one_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert summary(capsys, "--demo", "--seed", "3") == summary(capsys, "--demo", "--seed", "3")
    assert summary(capsys, "--demo", "--seed", "3") != summary(capsys, "--demo", "--seed", "4")


def test_a_report_says_how_it_was_made(capsys: pytest.CaptureFixture[str]) -> None:
    made = told(capsys, "--demo", "--set", "rps=5", "--seed", "0")["origin"]
    assert made["version"] == __version__
    assert abs(parse_instant(made["made"], 0.0) - time.time()) < 3600
    assert made["command"] == "fairlead simulate --requests 400 --json --demo --set rps=5 --seed 0"
    assert (made["requests"], made["seed"]) == (400, 0)


def test_a_configuration_has_the_name_of_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(tmp_path / "mine.yaml")
    Path(file).write_text(HERE)
    monkeypatch.setenv("FAIRLEAD_CONFIG", file)
    found = told(capsys)
    assert (found["title"], found["runs"][0]["name"]) == (file, file)
    monkeypatch.delenv("FAIRLEAD_CONFIG")
    monkeypatch.chdir(tmp_path)
    assert simulate() == 1
    err = capsys.readouterr().err
    assert "nothing is simulated: name a configuration with --config; with --demo none is needed" in err


def test_what_a_scenario_does_not_say_the_demo_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text("providers: {anthropic: {capacity: 1000000}, openai: {faults: error=0}}\n")
    found = summary(capsys, "--demo", "--scenario", str(scenario), "--faults", "openai:connect=0.9")
    alone = summary(capsys, "--demo", "--faults", "openai:connect=0.9")
    failures = [{one["name"]: one["failures"] for one in which["deployments"]} for which in (found, alone)]
    assert failures[0] == failures[1]
    assert failures[0]["anthropic/claude-haiku-4-5"]
    assert found["first_token_ms"] == alone["first_token_ms"]


def test_what_is_no_line_of_faults_is_told_what_one_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text("providers: {anthropic: {faults: {429: 0.1}}}\n")
    assert simulate("--demo", "--scenario", str(scenario)) == 1
    assert "must be a line of faults, such as 429=0.05,slow=0.01x8, not a mapping" in capsys.readouterr().err


@pytest.mark.parametrize(("slo", "status"), [("success=0.5", 0), ("success=0.99999", 1)])
def test_targets_are_judged_and_told(slo: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate("--demo", "--faults", "*:error=0.1", "--slo", slo, "--figures", "success_rate") == status
    out = capsys.readouterr().out
    assert out.startswith("FIGURE")
    assert "the success rate is" in out


def test_two_configurations_and_a_curve(capsys: pytest.CaptureFixture[str]) -> None:
    both = ["--config", f"{FOLDER}/bucket.yaml", "--compare", f"{FOLDER}/window.yaml"]
    found = told(capsys, *both, "--scenario", f"{FOLDER}/tiers.yaml")
    assert len(found["runs"]) == 2
    found = told(capsys, *both, "--sweep", "rps=10:30:10")
    assert [len(one["points"]) for one in found["curves"]] == [3, 3]


def test_everyone_has_the_faults_of_everyone_beside_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    """In `--faults` as in `--set`; of one fault, what is said of one alone has the word."""
    everyone = ["--faults", "*:503=0.3,529=1%"]
    own = ["--faults", "openai:429_plain=0.3", "--faults", "openai/gpt-4o-mini:529=0"]
    found = summary(capsys, "--demo", *everyone, *own)
    failures = {one["name"]: one["failures"] for one in found["deployments"]}
    assert set(failures["openai/gpt-4o-mini"]) == {"rate_limited", "overloaded"}
    assert set(failures["anthropic/claude-haiku-4-5"]) == {"overloaded"}
    as_set = ["--faults", "*:503=0", "--set", "*.503=0.3", "--set", "openai.429_plain=0.3"]
    as_faults = ["--faults", "*:503=0.3", "--faults", "openai:429_plain=0.3"]
    names = ["success_rate", "attempts_per_request"]
    first, second = (summary(capsys, "--demo", *args) for args in (as_set, as_faults))
    assert [first[name] for name in names] == [second[name] for name in names]


def test_numbers_as_people_write_them(capsys: pytest.CaptureFixture[str]) -> None:
    typed = ["--requests", "1,000", "--rps", "0.1k", "--faults", "openai:429=5%", "--slo", "success=10%"]
    plain = ["--requests", "1000", "--rps", "100", "--faults", "openai:429=0.05", "--slo", "success=0.1"]
    for args in (typed, plain):
        assert main(["simulate", "--demo", *args, "--figures", "success_rate,latency_ms.p99"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == lines[4:7]


def test_a_rate_that_nobody_has_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text("traffic: {everyone: {rps: 5}}\n")
    assert simulate("--demo", "--scenario", str(scenario), "--rps", "5") == 1
    assert "rps=5 changes nothing: every load of the scenario has a rate of its own" in capsys.readouterr().err


def test_the_figures_of_a_curve(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate("--demo", "--sweep", "backoff.base=50ms:150ms:50ms", "--figures", "success_rate,retry_rate") == 0
    heads, *rows = capsys.readouterr().out.splitlines()
    assert heads.split()[:3] == ["backoff.base", "FIGURE", "VALUE"]
    assert [row.split()[:2] for row in rows] == [
        [value, name] for value in ("50ms", "100ms", "150ms") for name in ("success_rate", "retry_rate")
    ]


def test_no_curve_is_played_before_the_values_of_all_are_known_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`there` alone has the deployment, whose other faults leave no room."""
    for name, text in {"here": HERE, "there": THERE}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    both = ["--config", str(tmp_path / "here.yaml"), "--compare", str(tmp_path / "there.yaml")]
    played: list[object] = []
    monkeypatch.setattr("fairlead.cli.simulate.sweep", lambda *_, **__: played.append(1))
    assert simulate(*both, "--faults", "there:503=0.5", "--sweep", "there.error=0:0.9:0.9") == 1
    assert "there.error=0.9 is too much" in capsys.readouterr().err
    assert not played


def test_a_report_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "report.html"
    assert simulate("--demo", "--report", str(page)) == 0
    assert page.read_text().startswith("<!doctype html>")
    assert capsys.readouterr().err == f"{page} is written\n"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--faults", "openai:error=1.5"], "it is a share of all attempts, so from 0 to 1"),
        (["--faults", "openai:429=0.7,503=0.7"], "add up to 1.4"),
        (["--faults", "openai:429=-1"], "-1"),
        (["--faults", "opnai:503=1"], "did you mean 'openai'?"),
        (["--faults", "openai"], "such as openai:503=0.05"),
        (["--faults", "openai:eror=1"], "did you mean 'error'?"),
        (["--rps", "-1"], "rps: '-1' is not a number from 1e-06 to 1e+06"),
        (["--rps", "1e-30"], "rps: '1e-30' is not a number from 1e-06 to 1e+06"),
        (["--rps", "many"], "rps: 'many' is not a number; write one such as"),
        (["--requests", "0"], "--requests 0: write a whole number from 1 to 1000000000, such as 10k"),
        (["--requests", "1.5"], "--requests 1.5: write a whole number"),
        (["--requests", "10q"], "--requests 10q: write a whole number"),
        (["--rps", "1", "--set", "rps=20"], "--rps 1 says nothing beside --set rps=20; leave one of them out"),
        (["--rps", "1", "--sweep", "rps=1:2:1"], "--rps 1 says nothing beside --sweep rps=1:2:1"),
        (
            ["--set", "openai.429=0.5", "--set", "openai.429:2=0.6"],
            "--set openai.429=0.5 says nothing beside --set openai.429:2=0.6",
        ),
        (
            ["--set", "openai/gpt-4o-mini.error=0.1", "--sweep", "openai.error=0:0.5:0.1"],
            "--set openai/gpt-4o-mini.error=0.1 says nothing beside --sweep openai.error=0:0.5:0.1",
        ),
        (["--faults", "openai:429=0.1,429=0.2"], "has two rates of '429'"),
        (["--faults", "openai:429=0.1", "--faults", "openai:429=0.2"], "has two rates of '429'"),
        (["--figures", " , "], "names none; write for example success_rate"),
        (["--figures", "success_rate", "--suggest", "--slo", "success=0.5"], "leave --suggest out"),
        (["--config", "fairlead.yaml"], "leave --config out"),
        (["--suggest"], "--suggest needs a target"),
        (["--slo", " "], "--slo is empty; write for example success=0.999, or leave it out"),
        (["--compare", ""], "--compare is empty"),
        (["--report", ""], "--report is empty"),
        (["--sweep", ""], "--sweep is empty"),
        (["--trace", ""], "--trace is empty"),
        (["--faults", "openai:"], "write what goes wrong, such as openai:503=0.05"),
        (["--faults", ""], "there is no provider or deployment ''"),
        (["--set", "rps=-3"], "rps: '-3' is not a number from 1e-06 to 1e+06"),
        (["--set", ""], "'' is not NAME=VALUE"),
        (["--set", "rps=0"], "rps: '0' is not a number from 1e-06 to 1e+06"),
        (["--set", "*.error=0.1", "--sweep", "*.error=0:0.5:0.1"], "--set *.error=0.1 says nothing beside --sweep"),
        (
            ["--set", "chat:retry.attempts=1", "--sweep", "retry.attempts=0:2:1"],
            "--set chat:retry.attempts=1 says nothing beside --sweep retry.attempts=0:2:1",
        ),
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
    err = capsys.readouterr().err
    assert f"{scenario}:2:" in err
    assert err.endswith(f"fairlead simulate: nothing is simulated: {scenario} has errors\n")


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ("{median: 400ms, p99: 200ms}", "its p99 (200ms) is below its median (400ms)"),
        ("{shape: 2}", "a plain value (or {always: …}), {median: …, p99: …}, {mean: …, shape: …} and {journal: PATH}"),
    ],
)
def test_a_time_that_cannot_be_is_told_as_it_is_written(
    time: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(f"providers: {{openai: {{first_token: {time}}}}}\n")
    assert simulate("--demo", "--scenario", str(scenario)) == 1
    assert words in capsys.readouterr().err


def test_who_has_no_configuration_is_shown_the_demo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.endswith("_API_KEY") or name == "FAIRLEAD_CONFIG"]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    assert simulate() == 1
    assert "with --demo none is needed" in capsys.readouterr().err


def test_each_run_is_judged_by_its_own_figures_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    both = ["--config", f"{FOLDER}/bucket.yaml", "--compare", f"{FOLDER}/window.yaml"]
    args = [*both, "--scenario", f"{FOLDER}/tiers.yaml", "--slo", "success=0.95,refusals=0.5"]
    assert simulate("--json", *args) == 1
    found = json.loads(capsys.readouterr().out)
    assert [one["run"] for one in found["targets"]] == [
        f"{FOLDER}/{name}.yaml" for name in ("bucket",) * 2 + ("window",) * 2
    ]
    judged = {(one["run"], one["target"]): one["figure"] for one in found["targets"]}
    for run in found["runs"]:
        assert judged[run["name"], "success=0.95"] == run["summary"]["success_rate"]
    assert simulate(*args) == 1
    assert f"- {FOLDER}/window.yaml: the success rate is" in capsys.readouterr().out


def test_the_json_that_is_printed_is_the_one_that_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.json"
    for what in ([], ["--sweep", "rps=10:20:10"], ["--suggest", "--slo", "success=0.5"]):
        printed = told(capsys, "--demo", *what, "--report", str(file))
        assert printed == json.loads(file.read_text())


def test_a_figure_that_is_asked_for_twice_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate("--demo", "--figures", "success_rate,retry_rate,success_rate") == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["FIGURE", "success_rate", "retry_rate"]


def test_a_figure_that_nobody_has_is_not_told_as_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate("--demo", "--faults", "*:error=1", "--figures", "latency_ms.p99,retry_rate") == 0
    latency, retries = capsys.readouterr().out.splitlines()[1:]
    assert latency.split(maxsplit=1) == ["latency_ms.p99", "not known  nothing was answered"]
    assert " to 0." in retries


HERE = """
providers: {here: {kind: openai, base_url: "http://127.0.0.1:1/v1", api_key: none, region: eu}}
tenants: {acme: {}}
routes:
  - {model: chat, deployments: [{use: here/one, price: {input: 1, output: 1}}]}
  - {model: gone, deployments: [{use: here/two, price: {input: 1, output: 1}}]}
"""
THERE = """
providers: {there: {kind: openai, base_url: "http://127.0.0.1:1/v1", api_key: none, region: us}}
tenants: {beta: {}}
routes: [{model: chat, deployments: [{use: there/one, price: {input: 1, output: 1}}]}]
"""


def test_what_is_only_in_one_of_two_configurations_may_be_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in {"here": HERE, "there": THERE}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    both = ["--config", str(tmp_path / "here.yaml"), "--compare", str(tmp_path / "there.yaml")]
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(
        "outages: [{of: ['region:us', here], every: 1m, lasting: 10s}]\n"
        "traffic: {acme: {}, other: {tenant: beta, model: [gone, chat]}}\n"
    )
    varied = ["--set", "gone:retry.attempts=0", "--faults", "there:503=0.1"]
    here, there = told(capsys, *both, "--scenario", str(scenario), *varied)["runs"]
    senders = [[(one["name"], one["requests"]) for one in run["summary"]["senders"]] for run in (here, there)]
    assert senders[0] == senders[1], "both have the same requests"
    refused = {(one["sender"], one["limit"]) for one in there["summary"]["refusals"]}
    assert refused == {("acme", "model_not_found"), ("other", "model_not_found")}
    curves = told(capsys, *both, "--scenario", str(scenario), "--sweep", "here/one.error=0:1:1")["curves"]
    assert len(curves) == 2
    without = told(capsys, *both)["runs"]
    assert len({tuple(one["name"] for one in run["summary"]["senders"]) for run in without}) == 1


WILD = """
providers: {a: {kind: openai, base_url: "http://127.0.0.1:1/v1", api_key: none}}
routes: [{model: "gpt-*", deployments: [a/*]}]
"""


@pytest.fixture
def journal(tmp_path: Path) -> str:
    """Eight requests for a model that only a wildcard has."""
    records = [a_record(number, asked="gpt-4o", served="a/gpt-4o") for number in range(8)]
    return str(write(tmp_path / "j.journal", records))


def test_a_trace_needs_no_route_of_its_own(journal: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "wild.yaml"
    file.write_text(WILD)
    assert main(["simulate", "--config", str(file), "--trace", journal, "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert run["summary"]["requests"] == 8
    assert run["summary"]["success_rate"]["value"] == 1.0


def test_what_recorded_requests_ask_for_is_searched_through_wildcards(
    journal: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "wild.yaml"
    file.write_text(WILD)
    args = ["--config", str(file), "--trace", journal, "--faults", "a:503=0.5", "--suggest", "--slo", "success=0.2"]
    main(["simulate", *args, "--json"])
    assert json.loads(capsys.readouterr().out)["suggestion"]["settings"] > 1


def test_where_no_setting_reaches_the_target_it_says_how_close_one_comes(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate("--demo", "--faults", "*:error=1", "--suggest", "--slo", "success=0.9") == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "settings that were tried meets success=0.9; the present one comes closest" in out
    assert "the success rate is 0 (0 to 0.0" in out
    assert "and should be at least 0.9: missed by 0.9" in out


@pytest.mark.parametrize("args", [(), ("--suggest", "--slo", "success=0.5")])
def test_a_trace_that_is_deleted_meanwhile_is_a_clear_error(
    args: tuple[str, ...], journal: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def deleted(*given: Any) -> list[str]:
        Path(journal).unlink()
        return of_settings(*given)

    monkeypatch.setattr(simulate_command, "of_settings", deleted)
    assert main(["simulate", "--demo", "--trace", journal, *args]) == 1
    captured = capsys.readouterr()
    assert not captured.out
    assert f"{journal} was deleted or cut off while it was read" in captured.err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--rps", "5"], "--trace says when requests come; leave --rps out"),
        (["--set", "rps=5"], "--trace says when requests come; leave rps out of --set and --sweep"),
        (["--sweep", "rps=1:5:1"], "--trace says when requests come; leave rps out of --set and --sweep"),
        (["--requests", "9"], "--requests 9: --trace has 8"),
    ],
)
def test_a_trace_takes_no_other_traffic(
    args: list[str], words: str, journal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--demo", "--trace", journal, *args]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("text", ["traffic: {acme: {rps: 5}}", "hour: 8"])
def test_a_scenario_beside_a_trace_says_nothing_of_traffic(
    text: str, journal: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(f"{text}\n")
    assert main(["simulate", "--demo", "--trace", journal, "--scenario", str(scenario)]) == 1
    err = capsys.readouterr().err
    assert f"{scenario}:1:" in err
    assert f"leave '{text.partition(':')[0]}' out of the scenario, or --trace" in err
