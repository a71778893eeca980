"""`fairlead replay` as users run it: tables or JSON on stdout, and a sentence on stderr where it cannot."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.simulator.recording import TWO, a_record, an_attempt, configured, recorded, write

from fairlead.canonical.routing import Verdict
from fairlead.cli import main, replay
from fairlead.journal import encode
from fairlead.simulator.faults import parse
from fairlead.simulator.replay import as_recorded
from fairlead.simulator.setting import Setting

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with the journals of two workers, and two configurations."""
    monkeypatch.delenv("FAIRLEAD_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("two.yaml").write_text(TWO)
    Path("alone.yaml").write_text(TWO.replace("      - {use: b/two, priority: 2, price: {input: 3, output: 15}}\n", ""))
    records = recorded(
        Setting(snapshot=configured(TWO), requests=600, rps=5.0, faults={"a": parse("503=0.3"), "b": parse("503=0.01")})
    )
    Path("data/journal").mkdir(parents=True)
    write(Path("data/journal/requests-1-1-1.journal"), records[::2])
    write(Path("data/journal/requests-1-2-1.journal"), records[1::2])
    return tmp_path


def replayed(capsys: Capture, *flags: str) -> dict[str, Any]:
    assert main(["replay", *flags, "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)["replay"]
    return told


def refused(capsys: Capture, *flags: str) -> str:
    assert main(["replay", *flags]) == 1
    captured = capsys.readouterr()
    assert not captured.out
    assert captured.err.startswith("fairlead replay: ")
    assert "Traceback" not in captured.err
    return captured.err


def test_the_configuration_that_served_it_comes_to_the_same(capsys: Capture) -> None:
    told = replayed(capsys, "data", "--config", "two.yaml")
    assert told["recorded"]["requests"] == told["new"]["requests"] == 600
    assert told["recorded"]["fallbacks"] == told["new"]["fallbacks"] > 30
    assert told["old"] is None
    assert told["change"]["attempts"] == 0


def test_a_folder_of_journals_is_read_as_its_data_folder(capsys: Capture) -> None:
    assert replayed(capsys, "data/journal", "--config", "two.yaml") == replayed(capsys, "data", "--config", "two.yaml")


def test_one_file_is_read_alone(capsys: Capture) -> None:
    told = replayed(capsys, "data/journal/requests-1-1-1.journal", "--config", "two.yaml")
    assert told["new"]["requests"] == 300


def test_two_configurations_are_compared_with_each_other(capsys: Capture) -> None:
    told = replayed(capsys, "data", "--config", "alone.yaml", "--against", "two.yaml")
    assert told["old"]["fallbacks"] == told["recorded"]["fallbacks"]
    assert told["new"]["fallbacks"] == 0
    assert told["change"]["answered"] == told["new"]["answered"] - told["old"]["answered"] < 0
    assert told["deployments"]["b/two"]["new"] == 0


def test_a_seed_gives_the_same_figures(capsys: Capture) -> None:
    once, again = (replayed(capsys, "data", "--config", "alone.yaml", "--seed", "7") for _ in range(2))
    assert once == again
    assert once["new"] != replayed(capsys, "data", "--config", "alone.yaml", "--seed", "8")["new"]


def test_the_tables_tell_what_changes_and_what_was_assumed(capsys: Capture) -> None:
    verdict = (Verdict(guardrail="pii", stage="input", action="redact"),)
    why = "2 requests per 1m of key 'ci'"
    limited = a_record(1, ended="refused", code="rate_limit_exceeded", limit=why, attempts=(), usage=None, cost=None)
    write(Path("j.journal"), [a_record(verdicts=verdict, key="ci"), limited])
    assert main(["replay", "j.journal", "--config", "two.yaml", "--against", "alone.yaml"]) == 0
    told = capsys.readouterr().out
    for line in (
        r"2 requests from 2026-09-21T14:13:20Z to 2026-09-21T14:13:21Z", r" +recorded +old +new +change",
        r"requests +2 +2 +2 +=", r"refused +1 +0 +0 +=", r"cost, \$ +0.000144 .*", r"a/one +1 +2 +2 +=",
        r"ci +chat +a/one +1 +1 +1 +=", rf"everyone +{why} +1 +0 +0 +=", r"pii +input +redact +1",
        r"- of b/two the journal tells nothing: .*", r"- the configuration has no key ci, or .*",
    ):  # fmt: skip
        assert any(re.fullmatch(line, each.rstrip()) for each in told.splitlines()), f"{line!r} is not in\n{told}"


@pytest.mark.parametrize("against", [(), ("--against", "two.yaml")])
def test_a_report_has_the_simulations_behind_it(capsys: Capture, against: tuple[str, ...]) -> None:
    told = replayed(capsys, "data", "--config", "alone.yaml", *against, "--report", "r.json")
    report = json.loads(Path("r.json").read_text())
    assert report["replay"] == told
    assert [one["name"] for one in report["runs"]] == [*against[1:], "alone.yaml"]
    assert report["runs"][-1]["summary"]["requests"] == 600
    assert report["assumed"] == told["assumed"]
    assert len(report["comparisons"]) == len(against[1:])
    assert main(["replay", "data", "--config", "alone.yaml", "--report", "r.html"]) == 0
    page = Path("r.html").read_text()
    assert page.startswith("<!doctype html>")
    assert '<th scope="col">recorded</th>' in page


def test_a_configuration_that_the_environment_names_is_called_by_it(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRLEAD_CONFIG", "alone.yaml")
    assert main(["replay", "data", "--report", "r.json"]) == 0
    assert [one["name"] for one in json.loads(Path("r.json").read_text())["runs"]] == ["alone.yaml"]


def test_without_a_configuration_the_way_to_one_is_told(capsys: Capture) -> None:
    assert main(["replay", "data"]) == 1
    err = capsys.readouterr().err
    assert "fairlead replay: nothing is replayed: name a configuration with --config\n" in err


def test_a_report_that_cannot_be_is_refused_before_anything_is_read(capsys: Capture) -> None:
    assert "--report 'r.txt'" in refused(capsys, "nowhere", "--config", "two.yaml", "--report", "r.txt")


@pytest.mark.parametrize("flag", ["--config", "--against", "--since", "--until", "--report"])
def test_a_flag_that_says_nothing_is_refused(flag: str, capsys: Capture) -> None:
    assert f"{flag} is empty; write" in refused(capsys, "data", flag, "")


def test_requests_of_a_time_alone_are_replayed(capsys: Capture) -> None:
    write(Path("j.journal"), [a_record(number * 60) for number in range(10)])
    told = replayed(
        capsys, "j.journal", "--config", "two.yaml", "--since", "2026-09-21T14:15:20Z", "--until", "1790000300"
    )
    assert told["new"]["requests"] == 3


def test_a_torn_tail_costs_its_record_alone(capsys: Capture) -> None:
    path = write(Path("j.journal"), [a_record(number) for number in range(5)])
    path.write_bytes(path.read_bytes()[:-7])
    assert replayed(capsys, "j.journal", "--config", "two.yaml")["new"]["requests"] == 4


@pytest.mark.parametrize("kept", [1, 4])
def test_a_record_that_is_not_whole_at_the_end_is_told(kept: int, capsys: Capture) -> None:
    path = write(Path("j.journal"), [a_record()])
    size = path.stat().st_size
    write(path, [a_record(number) for number in range(kept + 1)])
    whole = path.read_bytes()
    path.write_bytes(whole[: -(size // 4)])
    assert main(["replay", "j.journal", "--config", "two.yaml"]) == 0
    err = capsys.readouterr().err
    assert "j.journal: its last record is not whole and left out; it was cut off, or is still being written" in err


def test_a_whole_journal_has_nothing_to_be_told(capsys: Capture) -> None:
    write(Path("j.journal"), [a_record(number) for number in range(3)])
    assert main(["replay", "j.journal", "--config", "two.yaml"]) == 0
    assert not capsys.readouterr().err


def test_damage_is_skipped_and_told(capsys: Capture) -> None:
    path = write(Path("j.journal"), [a_record(number) for number in range(5)])
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(whole)
    assert main(["replay", "j.journal", "--config", "two.yaml"]) == 0
    captured = capsys.readouterr()
    assert "\n4 requests from " in captured.out
    assert "1 damaged place was skipped" in captured.err


def test_what_is_written_meanwhile_is_not_replayed(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the two times that a journal is read, its gateway goes on."""
    path = write(Path("j.journal"), [a_record(number) for number in range(5)])

    def written_on(*args: Any) -> Any:
        path.write_bytes(path.read_bytes() + encode(a_record(9), 7))
        return as_recorded(*args)

    monkeypatch.setattr(replay, "as_recorded", written_on)
    told = replayed(capsys, "j.journal", "--config", "two.yaml")
    assert (told["recorded"]["requests"], told["new"]["requests"]) == (5, 5)


def test_a_journal_that_is_deleted_meanwhile_is_a_clear_error(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(Path("j.journal"), [a_record()])

    def deleted(*args: Any) -> Any:
        path.unlink(missing_ok=True)
        return as_recorded(*args)

    monkeypatch.setattr(replay, "as_recorded", deleted)
    assert "j.journal was deleted or cut off while it was read; name a copy of it" in refused(
        capsys, "j.journal", "--config", "two.yaml"
    )


def test_what_is_no_journal_is_refused_in_words(capsys: Capture, folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "zero.journal").write_bytes(b"")
    nobody = a_record(asked="", ended="refused", code="invalid_api_key", attempts=(an_attempt(),), usage=None)
    write(Path("nobody.journal"), [nobody])
    for path, words in {
        "": "the journal's path is empty; name a journal file",
        "nowhere": "nowhere is not there; name a journal file",
        "empty": "empty has no files like *.journal; name a journal file",
        "two.yaml": "two.yaml is no journal: it does not begin like one",
        "zero.journal": "zero.journal has no records",
        "nobody.journal": "no request that another configuration could have served, only 1 invalid_api_key",
    }.items():
        assert words in refused(capsys, path, "--config", "two.yaml")


def test_a_time_without_requests_or_that_is_none_is_refused(capsys: Capture) -> None:
    assert "has no request of that time" in refused(capsys, "data", "--config", "two.yaml", "--until", "2020-01-01")
    assert "--since: 'soon' is no time" in refused(capsys, "data", "--config", "two.yaml", "--since", "soon")
    assert "--until is not later" in refused(
        capsys, "data", "--config", "two.yaml", "--since", "2027-01-01", "--until", "2026-01-01"
    )


def test_a_configuration_without_routes_is_none(capsys: Capture) -> None:
    Path("empty.yaml").write_text("routes: []\n")
    told = refused(capsys, "data", "--config", "empty.yaml")
    assert "nothing is replayed: empty.yaml has no routes" in told


def test_a_configuration_with_errors_is_told_with_its_lines(capsys: Capture) -> None:
    Path("bad.yaml").write_text("routes: [{model: chat, deployments: [nowhere/x]}]\n")
    for flags in (("--config", "bad.yaml"), ("--config", "two.yaml", "--against", "bad.yaml")):
        assert main(["replay", "data", *flags]) == 1
        told = capsys.readouterr().err
        assert "bad.yaml:1:" in told
        assert "fairlead replay: nothing is replayed: bad.yaml has errors" in told
