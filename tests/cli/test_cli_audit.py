"""`fairlead audit` as operators run it: where it finds the trail, what it shows, and how it says what is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.audit.trails import filled, trail_at
from tests.processes.family import ROOT

from fairlead.audit import alarm
from fairlead.audit.segments import segments_of
from fairlead.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with a configuration that keeps its data elsewhere, and a trail of 31 entries there."""
    monkeypatch.delenv("FAIRLEAD_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fairlead.yaml").write_text("data: elsewhere\nroutes: [{model: m, deployments: [openai/gpt-4o]}]\n")
    filled(tmp_path / "elsewhere", (10, 10, 10))
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[list[int], str]:
    assert main(["audit", "show", "--json", *args]) == 0
    out, err = capsys.readouterr()
    return [json.loads(line)["seq"] for line in out.splitlines()], err


@pytest.mark.parametrize("command", ["show", "prove 3", "key", "rotate-key", "consistency 1", "verify", "acknowledge"])
def test_the_trail_is_where_the_configuration_says(
    folder: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ([], ["--config", str(folder / "fairlead.yaml")]):
        status = main(["audit", *command.split(), *more])
        err = capsys.readouterr().err
        assert "no audit trail" not in err
        assert status == 0 or "no alarm stands" in err or "waits for the next start" in err


def test_without_a_configuration_it_is_where_the_gateway_keeps_it_by_default(folder: Path) -> None:
    (folder / "fairlead.yaml").unlink()
    (folder / "elsewhere").rename(folder / ".fairlead")
    assert main(["audit", "verify"]) == 0
    assert main(["audit", "show"]) == 0


def test_a_folder_that_is_named_needs_no_configuration(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "fairlead.yaml").write_text("nonsense: 1\n")
    assert main(["audit", "verify", "elsewhere"]) == 0
    assert main(["audit", "show", "--data", "elsewhere/audit"]) == 0
    capsys.readouterr()
    assert main(["audit", "show"]) == 1
    assert "name the data folder itself" in capsys.readouterr().err


def test_the_newest_entries_are_shown_and_what_is_left_out_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys) == (list(range(31)), "")
    assert shown(capsys, "--limit", "5") == (
        [26, 27, 28, 29, 30],
        "entries 26 to 30 of 31; --from and --limit show others\n",
    )
    assert shown(capsys, "--from", "2", "--limit", "2")[0] == [2, 3]
    assert main(["audit", "show", "--from", "31"]) == 1
    assert "there is no entry 31: the trail has 31" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--from", "-1"], ["--from=-1"], ["--limit", "0"], ["--limit", "x"]])
def test_what_is_no_number_of_an_entry_is_an_error(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["audit", "show", *wrong])
    assert ended.value.code == 2


def test_what_is_being_written_is_not_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = segments_of(folder / "elsewhere" / "audit")[-1].path
    path.write_bytes(path.read_bytes() + b'{"seq":31,')
    assert shown(capsys, "--limit", "1")[0] == [30]


def test_to_a_reader_who_has_seen_enough_nothing_is_said(folder: Path) -> None:
    reading = subprocess.Popen(
        [sys.executable, "-m", "fairlead", "audit", "show"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT / "src")}, cwd=folder,
    )  # fmt: skip
    assert reading.stdout is not None
    assert reading.stderr is not None
    reading.stdout.close()
    assert (reading.wait(), reading.stderr.read()) == (141, b"")
    reading.stderr.close()


AT_19 = (
    "the first 11 entries are as they were signed, those from 11 to 19 are under no checkpoint that is right; "
    "entry 20 is not: "
)


@pytest.mark.parametrize(
    ("request_id", "verdict"),
    [
        ("r19", AT_19),
        ("r20", "the first 21 entries are as they were signed; entry 21 is not: "),
        ("r0", "the first entry is as it was signed; entry 1 is not: "),
    ],
)  # fmt: skip
def test_the_verdict_says_what_still_holds(
    folder: Path, capsys: pytest.CaptureFixture[str], request_id: str, verdict: str
) -> None:
    path = segments_of(folder / "elsewhere" / "audit")[-1].path
    path.write_bytes(path.read_bytes().replace(f'"{request_id}"'.encode(), b'"forged"'))
    assert main(["audit", "verify"]) == 1
    out = capsys.readouterr().out
    assert f"BAD: {verdict}it is not the one whose hash was kept\n" in out
    assert "entries of" not in out


@pytest.mark.parametrize(("kind", "begins"), [("tampered", True), ("rollback", False)])
def test_acknowledging_says_whether_another_trail_begins(
    folder: Path, kind: alarm.Kind, begins: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    alarm.raise_it(folder / "elsewhere" / "audit", alarm.Alarm(kind=kind, message="entry 3 is not"))
    assert main(["audit", "acknowledge"]) == 0
    out = capsys.readouterr().out
    assert "acknowledged: entry 3 is not" in out
    assert ("audit-until-" in out) is begins


def test_one_entry_is_no_entries(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with trail_at(folder / "small") as trail:
        trail.sign()
    assert main(["audit", "verify", "small"]) == 0
    out = capsys.readouterr().out
    assert "\n1 checkpoint; signed: 1 entry\n" in out
    assert out.startswith("1 entry of ")
