"""The process family as a user sees it: start, reload, restart, drain."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes.family import KEY, ROOT, Family, fetch, serving


@pytest.fixture(scope="module")
def fakes() -> Iterator[dict[str, int]]:
    """Fake providers in a process of their own; their ports by dialect."""
    import sys

    process = subprocess.Popen(
        [sys.executable, "-m", "fairlead.fakes", "--openai=127.0.0.1:0", "--anthropic=127.0.0.1:0", "--interval=0.05"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert process.stdout
    assert process.stdin
    yield json.loads(process.stdout.readline())
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


def config(fakes: dict[str, int], *, model: str = "chat", extra: str = "") -> str:
    return f"""
server: {{drain: 5s}}
providers:
  fake: {{kind: openai, base_url: "http://127.0.0.1:{fakes["openai"]}/v1", api_key: env://FAKE_KEY}}
routes:
  - {{model: {model}, deployments: [fake/gpt-4o-mini]}}
keys:
  - {{name: ci, key: {KEY}}}
{extra}
"""


ENVIRON = {"FAKE_KEY": "sk-canary-of-the-provider"}


def test_the_demo_answers_with_its_key_and_shows_its_attempts(tmp_path: Path) -> None:
    with serving("--demo", data=tmp_path) as family:
        status, headers, answer = family.chat(key="fl-demo")
        assert status == 200
        assert answer["choices"][0]["message"]["content"]
        assert headers["x-fairlead-attempts"].endswith(":200")
        assert family.chat(key="wrong")[0] == 401
        assert fetch(f"{family.url}/readyz")[0] == 200
        assert family.health()["status"] == "ok"
        _, _, body = family.chat(key="fl-demo", stream=True)
        assert body.rstrip().endswith(b"data: [DONE]")


def test_a_changed_file_is_served_and_a_bad_one_is_not(tmp_path: Path, fakes: dict[str, int]) -> None:
    file = tmp_path / "fairlead.yaml"
    file.write_text(config(fakes))
    with serving("--config", str(file), data=tmp_path, environ=ENVIRON) as family:
        assert family.chat()[0] == 200
        file.write_text(config(fakes, model="renamed"))
        family.until(lambda: family.chat(model="renamed")[0] == 200, "the change was not served")
        assert family.chat()[0] == 404
        file.write_text(config(fakes, extra="nonsense: 1"))
        rejected = family.event("config_rejected")
        assert "nonsense" in rejected["problems"][0]
        assert family.chat(model="renamed")[0] == 200
        assert "nonsense" in family.health()["config_error"]
        file.write_text(config(fakes))
        family.signal(signal.SIGHUP)
        family.until(lambda: family.chat()[0] == 200, "SIGHUP did not reload")
        assert family.health()["config_error"] is None
        assert "canary" not in "".join(family.raw)


def test_a_worker_that_dies_is_replaced(tmp_path: Path, fakes: dict[str, int]) -> None:
    file = tmp_path / "fairlead.yaml"
    file.write_text(config(fakes))
    with serving("--config", str(file), "--workers", "2", data=tmp_path, environ=ENVIRON) as family:
        pids = [worker["pid"] for worker in family.health()["workers"]]
        os.kill(pids[0], signal.SIGKILL)
        assert family.event("child_died")["child"] == "worker-0"
        family.until(lambda: family.health()["status"] == "ok", "the worker did not come back")
        assert [worker["pid"] for worker in family.health()["workers"]][1] == pids[1]
        assert family.chat()[0] == 200


def test_without_its_control_process_traffic_goes_on(tmp_path: Path, fakes: dict[str, int]) -> None:
    file = tmp_path / "fairlead.yaml"
    file.write_text(config(fakes))
    with serving("--config", str(file), data=tmp_path, environ=ENVIRON) as family:
        port = int(family.admin.rsplit(":", 1)[1])
        control = next(pid for pid in children(family.process.pid) if listens(pid, port))
        os.kill(control, signal.SIGKILL)
        assert family.chat()[0] == 200
        family.event("child_died")
        family.until(lambda: reachable(port) and family.health()["status"] == "ok", "control did not come back")


def test_sigterm_finishes_streams_and_refuses_newcomers(tmp_path: Path, fakes: dict[str, int]) -> None:
    file = tmp_path / "fairlead.yaml"
    file.write_text(config(fakes))
    with serving("--config", str(file), data=tmp_path, environ=ENVIRON) as family:
        results: list[bytes] = []
        body = {"model": "chat", "stream": True, "messages": [{"role": "user", "content": "a b c d e f g h i j k l"}]}
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        url = f"{family.url}/v1/chat/completions"
        stream = threading.Thread(target=lambda: results.append(fetch(url, json.dumps(body).encode(), headers)[2]))
        stream.start()
        family.until(lambda: family.health()["workers"][0]["in_flight"] == 1, "the stream did not begin")
        family.signal(signal.SIGTERM)
        family.event("draining")
        assert not reachable(int(family.url.rsplit(":", 1)[1]))
        stream.join(10)
        assert results[0].rstrip().endswith(b"data: [DONE]")
        assert family.process.wait(10) == 0


def test_a_second_sigterm_does_not_wait(tmp_path: Path, fakes: dict[str, int]) -> None:
    file = tmp_path / "fairlead.yaml"
    file.write_text(config(fakes).replace("drain: 5s", "drain: 600s"))
    with serving("--config", str(file), data=tmp_path, environ=ENVIRON) as family:
        body = json.dumps({"model": "gpt@stall", "messages": []}).encode()
        del body
        sock = socket.create_connection(("127.0.0.1", int(family.url.rsplit(":", 1)[1])))
        payload = (
            b'{"model": "chat", "stream": true, "messages": [{"role": "user", "content": "' + b"w " * 3000 + b'"}]}'
        )
        sock.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer "
            + KEY.encode()
            + b"\r\ncontent-length: %d\r\n\r\n" % len(payload)
            + payload
        )
        family.until(lambda: family.health()["workers"][0]["in_flight"] == 1, "the request did not begin")
        family.signal(signal.SIGTERM)
        family.event("draining")
        family.signal(signal.SIGTERM)
        assert family.process.wait(10) == 0
        sock.close()


def test_when_the_supervisor_is_killed_its_children_go_too(tmp_path: Path, fakes: dict[str, int]) -> None:
    file = tmp_path / "fairlead.yaml"
    file.write_text(config(fakes))
    with serving("--config", str(file), data=tmp_path, environ=ENVIRON) as family:
        assert family.health()["status"] == "ok"
        pids = children(family.process.pid)
        assert len(pids) == 2
        family.process.kill()
        family.process.wait()
        end = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() and not zombie(pid) for pid in pids):
            assert time.monotonic() < end, "children outlived their supervisor"
            time.sleep(0.02)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("providers: {openai: {api_key: x}}\nroutez: []\n", "did you mean 'routes'"),
        ("routes:\n  - {model: chat, deployments: [nobody/gpt]}\n", "routes[0].deployments[0]"),
    ],
)
def test_a_bad_file_stops_the_start_with_its_reason(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "fairlead.yaml"
    file.write_text(text)
    with serving("--config", str(file), data=tmp_path) as family:
        assert family.process.wait(10) == 1
        family._reader.join(5)
        assert says in "".join(family.raw)
        assert "Traceback" not in "".join(family.raw)


def test_a_reload_never_opens_a_gateway_that_others_can_reach(tmp_path: Path, fakes: dict[str, int]) -> None:
    file = tmp_path / "fairlead.yaml"
    file.write_text(config(fakes))
    with serving("--config", str(file), "--listen", "0.0.0.0:0", data=tmp_path, environ=ENVIRON) as family:
        assert family.event("ready")
        file.write_text(config(fakes).replace("keys:", "").replace(f"  - {{name: ci, key: {KEY}}}", ""))
        family.event("config_published", 2)
        family.until(lambda: family.health()["workers"][0]["generation"] == 2)
        assert family.chat()[0] == 401
        assert family.chat(key="")[0] == 401


def is_ready(family: Family) -> bool:
    return fetch(f"{family.admin}/readyz")[0] == 200


def test_a_family_whose_file_went_bad_survives_the_loss_of_its_processes(tmp_path: Path, fakes: dict[str, int]) -> None:
    file = tmp_path / "fairlead.yaml"
    file.write_text(config(fakes))
    with serving("--config", str(file), data=tmp_path, environ=ENVIRON) as family:
        assert family.chat()[0] == 200
        pids = children(family.process.pid)
        file.write_text("nonsense: 1\n")
        family.event("config_rejected")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        family.event("child_died", 2)
        port = int(family.admin.rsplit(":", 1)[1])
        family.until(lambda: reachable(port) and is_ready(family), "it did not come back")
        assert family.chat()[0] == 200
        family.until(lambda: "audit: no configuration holds yet" in family.health()["projections"], "it is not told")
        assert family.health()["status"] == "degraded", "the audit trail waits for a file that can be read"
        assert family.health()["http"] == 503
        assert is_ready(family)


def test_a_file_that_goes_away_changes_nothing(tmp_path: Path, fakes: dict[str, int]) -> None:
    """A reload reads the file of the start and never looks for another source."""
    file = tmp_path / "fairlead.yaml"
    file.write_text(config(fakes))
    with serving(data=tmp_path, environ={**ENVIRON, "OPENAI_API_KEY": "sk-test"}) as family:
        assert family.chat()[0] == 200
        file.unlink()
        family.signal(signal.SIGHUP)
        family.event("config_rejected")
        assert family.chat(key="")[0] == 401
        assert family.chat()[0] == 200


def test_two_ports_cannot_be_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    with serving("--demo", "--listen", address, "--admin-listen", address, data=tmp_path) as family:
        assert family.process.wait(10) == 1
        family._reader.join(5)
        assert "give them two" in "".join(family.raw)


def test_the_admin_port_wants_its_key(tmp_path: Path, fakes: dict[str, int]) -> None:
    file = tmp_path / "fairlead.yaml"
    file.write_text(config(fakes, extra="admin: {key: an-admin-key-of-some-length}"))
    with serving("--config", str(file), data=tmp_path, environ=ENVIRON) as family:
        assert fetch(f"{family.admin}/livez")[0] == 200
        assert fetch(f"{family.admin}/healthz")[0] == 401
        headers = {"authorization": "Bearer an-admin-key-of-some-length"}
        assert fetch(f"{family.admin}/healthz", headers=headers)[0] == 200


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with serving("--demo", "--listen", address, data=tmp_path) as family:
            assert family.process.wait(10) == 1
            family._reader.join(5)
            assert f"cannot listen on {address}" in "".join(family.raw)


def test_a_provider_key_in_the_environment_is_enough(tmp_path: Path, fakes: dict[str, int]) -> None:
    with serving(data=tmp_path, environ={"OPENAI_API_KEY": "sk-test"}) as family:
        _, _, body = fetch(f"{family.url}/v1/models")
        assert any(entry["id"].startswith("gpt-") for entry in json.loads(body)["data"])


def test_a_gateway_that_others_can_reach_is_never_open(tmp_path: Path) -> None:
    with serving("--listen", "0.0.0.0:0", data=tmp_path, environ={"OPENAI_API_KEY": "sk-test"}) as family:
        assert family.chat(key="")[0] == 401
        assert family.chat()[0] == 401
        assert "only keys of 'fairlead keys create' are taken" in "".join(family.raw)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def listens(pid: int, port: int) -> bool:
    import psutil

    return any(c.laddr.port == port and c.status == "LISTEN" for c in psutil.Process(pid).net_connections("tcp"))


def reachable(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def test_the_family_is_what_it_says(tmp_path: Path) -> None:
    with serving("--demo", "--workers", "2", data=tmp_path) as family:
        ready = family.event("ready")
        assert ready["workers"] == 2
        assert isinstance(family, Family)
        assert len(family.health()["workers"]) == 2
