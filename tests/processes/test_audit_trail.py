"""The audit trail of a running gateway: what is in it, what cannot be changed without it, and what outlives kill -9."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.processes.family import ROOT, Family, fetch, serving
from tests.processes.test_processes import ENVIRON, children, config, fakes, listens, reachable

from fairlead.audit.entry import decode
from fairlead.audit.segments import lines_of, segments_of
from fairlead.audit.verify import verify

__all__ = ["fakes"]

KEYS = "/admin/v1/keys"
EMAIL = "canary-person@example.com"
PROMPT = "canary-of-the-prompt"


@pytest.fixture
def file(tmp_path: Path, fakes: dict[str, int]) -> Path:
    path = tmp_path / "fairlead.yaml"
    path.write_text(config(fakes, extra=f"audit: {{witnesses: ['{tmp_path / 'witness'}'], sign_every: 1s}}"))
    return path


def entries(data: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for _, line in lines_of(data / "audit") if line.endswith(b"\n")]


def actions(data: Path) -> list[str]:
    return [one["action"] for one in entries(data)]


def cli(data: Path, *args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "fairlead", *args],
        cwd=data, text=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **ENVIRON},
        timeout=60,
    )  # fmt: skip


def make_key(family: Family, name: str = "ci2") -> tuple[int, Any]:
    status, _, body = fetch(f"{family.admin}{KEYS}", json.dumps({"name": name}).encode())
    return status, json.loads(body)


def served(file: Path) -> Any:
    return serving("--config", str(file), data=file.parent, environ=ENVIRON)


def test_everything_is_in_the_trail_and_proven(file: Path) -> None:
    data = file.parent
    with served(file) as family:
        for _ in range(3):
            assert family.chat(user=EMAIL, messages=[{"role": "user", "content": PROMPT}])[0] == 200
        assert family.chat(key="wrong" * 5)[0] == 401
        assert make_key(family)[0] == 201
        assert make_key(family, name="")[0] == 422
        made = cli(data, "keys", "create", "--name", "by-cli", "--config", str(file), "--data", str(data))
        assert made.returncode == 0, made.stderr
        file.write_text(file.read_text() + "nonsense: 1\n")
        family.event("config_rejected")
        family.until(lambda: "config.reject" in actions(data))
        family.until(lambda: actions(data).count("key.create") == 2 and actions(data).count("request") == 4)
        family.until(lambda: "admin.refused" in actions(data))
        status, _, body = fetch(f"{family.admin}/admin/v1/audit/entries?from=0&limit=3")
        assert (status, len(json.loads(body)["entries"])) == (200, 3)
        assert family.health()["audit"] == "ok"
        size = len(entries(data))
        family.until(lambda: json.loads(fetch(f"{family.admin}/admin/v1/audit")[2])["signed"] >= size)
        status, _, body = fetch(f"{family.admin}/admin/v1/audit/proofs/2")
        assert (status, json.loads(body)["index"]) == (200, 2)
        assert fetch(f"{family.admin}/admin/v1/audit/proofs/99999")[0] == 404
    report = verify(data / "audit")
    assert report.finding is None
    assert report.signed == report.size, "the last checkpoint is signed at the exit"
    (witness,) = (data / "witness").iterdir()
    assert (witness / "checkpoint").read_text() == (data / "audit" / "checkpoint").read_text()
    rejected = next(one for one in entries(data) if one["action"] == "config.reject")
    assert rejected["outcome"] == "denied"
    published = [one["object"] for one in entries(data) if one["action"] == "config.publish"]
    assert rejected["object"] == published[-1], "the version stays"
    text = b"".join(path.read_bytes() for path in (data / "audit").iterdir() if path.is_file())
    for canary in (EMAIL, PROMPT, "by-cli", *ENVIRON.values(), made.stdout.strip()):
        assert canary.encode() not in text
    proof = cli(data, "audit", "prove", "3", "--data", str(data))
    (data / "proof.json").write_text(proof.stdout)
    vkey = cli(data, "audit", "key", "--data", str(data)).stdout.strip()
    tool = [sys.executable, str(ROOT / "tools" / "verify_audit.py"), str(data / "proof.json"), "--key", vkey]
    done = subprocess.run(tool, capture_output=True, text=True, cwd=data)
    assert (done.returncode, done.stdout.startswith("proven: entry 3")) == (0, True), done.stderr


def test_an_erased_person_cannot_be_read_and_the_trail_still_verifies(file: Path) -> None:
    data = file.parent
    with served(file) as family:
        assert family.chat(user=EMAIL)[0] == 200
        family.until(lambda: "request" in actions(data))
    shown = cli(data, "audit", "show", "--personal", "--data", str(data)).stdout
    assert EMAIL in shown
    erased = cli(data, "audit", "erase", "--tenant", "", "--user", EMAIL, "--config", str(file), "--data", str(data))
    assert erased.returncode == 0, erased.stderr
    assert EMAIL not in cli(data, "audit", "show", "--personal", "--data", str(data)).stdout
    assert EMAIL.encode() not in (data / "audit-private" / "subjects.db").read_bytes()
    again = cli(data, "audit", "erase", "--tenant", "", "--user", EMAIL, "--config", str(file), "--data", str(data))
    assert again.returncode == 1
    with served(file) as family:
        family.until(lambda: "audit.erase" in actions(data))
    assert cli(data, "audit", "verify", str(data)).returncode == 0


def test_a_tampered_trail_stops_changes_and_no_traffic(file: Path) -> None:
    data = file.parent
    with served(file) as family:
        assert family.chat()[0] == 200
        assert make_key(family)[0] == 201
        family.until(lambda: "request" in actions(data) and "key.create" in actions(data))
    path = segments_of(data / "audit")[-1].path
    path.write_bytes(path.read_bytes().replace(b'"action":"key.create"', b'"action":"key.update"'))
    spoilt = path.read_bytes()
    with served(file) as family:
        alarm = family.event("audit_alarm")
        assert alarm["kind"] == "tampered"
        family.until(lambda: b"fairlead_audit_alarm 1.0\n" in fetch(f"{family.admin}/metrics")[2], "no gauge says so")
        assert "entry " in alarm["reason"]
        assert family.chat()[0] == 200
        status, body = make_key(family, "refused")
        assert (status, body["error"]["code"]) == (503, "audit_unavailable")
        listed = json.loads(fetch(f"{family.admin}{KEYS}")[2])["keys"]
        assert [key["name"] for key in listed] == ["ci2"], "the change was rolled back"
        assert "entry " in family.health()["audit"]
        file.write_text(file.read_text().replace("model: chat", "model: other"))
        assert "nothing can be changed now" in str(family.event("config_rejected")["problems"])
        assert path.read_bytes() == spoilt, "the evidence stays"
        assert cli(data, "audit", "verify", str(data)).returncode == 1
        assert cli(data, "audit", "acknowledge", "--data", str(data)).returncode == 0
        family.until(lambda: family.health()["audit"] == "ok")
        assert make_key(family, "taken")[0] == 201
        family.until(lambda: family.chat(model="other")[0] == 200)
        family.until(lambda: actions(data).count("request") >= 1)
    assert verify(data / "audit").finding is None
    assert "audit.acknowledge" in actions(data)


def test_every_answer_is_in_the_trail_once_however_often_control_is_killed(file: Path) -> None:
    data = file.parent
    asked: list[str] = []
    with served(file) as family:
        for round_ in range(5):
            for _ in range(10):
                status, headers, _ = family.chat()
                assert status == 200
                asked.append(headers["x-request-id"])
            port = int(family.admin.rsplit(":", 1)[1])
            os.kill(next(pid for pid in children(family.process.pid) if listens(pid, port)), signal.SIGKILL)
            family.event("child_died", round_ + 1)
            family.until(lambda: reachable(port), "control did not come back")  # noqa: B023
        family.until(lambda: family.health()["audit"] == "ok")
        family.until(lambda: actions(data).count("request") >= len(asked))
    found = [one["request"] for one in entries(data) if one["action"] == "request"]
    assert sorted(found) == sorted(asked)
    assert verify(data / "audit").finding is None


def test_the_trail_of_a_restored_backup_is_read_only(file: Path) -> None:
    data = file.parent
    with served(file) as family:
        assert family.chat()[0] == 200
        family.until(lambda: "request" in actions(data))
    subprocess.run(["cp", "-a", "audit", "backup"], cwd=data, check=True)
    with served(file) as family:
        assert make_key(family)[0] == 201
        family.until(lambda: "key.create" in actions(data))
    subprocess.run("rm -r audit && mv backup audit", shell=True, cwd=data, check=True)
    with served(file) as family:
        assert family.event("audit_alarm")["kind"] == "rollback"
        assert make_key(family)[0] == 503
    assert decode(list(lines_of(data / "audit"))[-1][1]).action != "key.create"


def test_the_help_names_every_action() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "fairlead", "audit", "--help"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert all(name in shown.stdout for name in ("verify", "prove", "erase", "acknowledge"))
