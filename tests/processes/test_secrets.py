"""Secrets as a user sees them: a gateway whose keys are in OpenBao, through outages, rotations and restarts."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.control.secrets.servers import ROOT_TOKEN, Bao, ask, bao, fake_providers, free_port, frozen_bao
from tests.processes.family import KEY, ROOT, Family, fetch, serving

OLD, NEW, BAD = "sk-canary-old-key", "sk-canary-new-key", "sk-canary-bad-key"


@pytest.fixture
def provider() -> Iterator[int]:
    """A fake OpenAI that takes the old key and the new one; its port."""
    with fake_providers("--openai=127.0.0.1:0", f"--key={OLD}") as ports:
        take(ports["openai"], OLD, NEW)
        yield ports["openai"]


def take(port: int, *keys: str) -> None:
    assert ask("POST", f"http://127.0.0.1:{port}/__fake/keys", list(keys))[0] == 200


def config(provider: int, vault: str, *, key: str = "vault://secret/data/llm#openai", extra: str = "") -> str:
    return f"""
server: {{drain: 5s}}
secrets: {{refresh: 300ms, vault: {{address: "{vault}"}}}}
providers:
  fake: {{kind: openai, base_url: "http://127.0.0.1:{provider}/v1", api_key: "{key}"}}
routes:
  - {{model: chat, deployments: [fake/gpt-4o-mini], retry: {{attempts: 0}}}}
keys:
  - {{name: ci, key: {KEY}}}
{extra}
"""


@contextmanager
def gateway(folder: Path, text: str, *flags: str) -> Iterator[Family]:
    file = folder / "fairlead.yaml"
    file.write_text(text)
    with serving("--config", str(file), *flags, data=folder, environ={"VAULT_TOKEN": ROOT_TOKEN}) as family:
        yield family


@contextmanager
def traffic(family: Family) -> Iterator[list[int]]:
    """Requests one after another while the block runs; their statuses."""
    statuses: list[int] = []
    over = threading.Event()

    def ask_on() -> None:
        while not over.is_set():
            statuses.append(family.chat()[0])

    thread = threading.Thread(target=ask_on)
    thread.start()
    try:
        yield statuses
    finally:
        over.set()
        thread.join(30)


def more(family: Family, statuses: list[int], count: int = 20) -> None:
    start = len(statuses)
    family.until(lambda: len(statuses) >= start + count, "no traffic")


def events(family: Family, *names: str) -> list[str]:
    return [line["event"] for line in family.lines if line["event"] in names]


def control_of(family: Family) -> int:
    found = subprocess.run(["ps", "--ppid", str(family.process.pid), "-o", "pid="], capture_output=True, text=True)
    port = int(family.admin.rsplit(":", 1)[1])
    for pid in map(int, found.stdout.split()):
        sockets = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
        for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].split(":")[1], 16) == port and f"socket:[{fields[9]}]" in sockets:
                return pid
    raise AssertionError("no control process")


def test_a_rotated_key_is_proven_then_used_then_the_old_one_retires(tmp_path: Path, provider: int) -> None:
    with bao() as vault:
        vault.put("llm", openai=OLD)
        with (
            gateway(tmp_path, config(provider, vault.address), "--workers", "2") as family,
            traffic(family) as statuses,
        ):
            more(family, statuses)
            vault.put("llm", openai=NEW)
            rotated = time.monotonic()
            assert family.event("credential_rotated")["proof"] == "accepted"
            family.event("credential_retired")
            assert time.monotonic() - rotated < 3
            take(provider, NEW)
            more(family, statuses)
            assert set(statuses) == {200}
            story = ["credential_probed", "credential_rotated", "credential_retired"]
            assert events(family, *story) == story
            vault.put("llm", openai=BAD)
            family.event("credential_refused")
            more(family, statuses)
            vault.put("llm", openai="")
            family.event("secret_missing")
            more(family, statuses)
            assert set(statuses) == {200}
            assert events(family, "credential_refused") == ["credential_refused"]
            assert "canary" not in "".join(family.raw)


def test_a_store_that_goes_away_changes_nothing(tmp_path: Path, provider: int) -> None:
    """S20: the last good value serves while the store is down, and one line says so; again when it is back."""
    with frozen_bao() as (vault, program):
        vault.put("llm", openai=OLD)
        with gateway(tmp_path, config(provider, vault.address)) as family, traffic(family) as statuses:
            more(family, statuses)
            program.process.kill()
            program.process.wait()
            down = family.event("secret_store_down")
            assert down["reference"] == "vault://secret/data/llm#openai"
            assert down["kept"] is True
            told = family.health()["secrets"]
            assert [(one["reference"], one["state"]) for one in told] == [(down["reference"], "stale")]
            more(family, statuses)
            with bao(vault.port) as again:
                again.put("llm", openai=NEW)
                family.event("secret_store_up")
                family.event("credential_rotated")
                more(family, statuses)
            assert set(statuses) == {200}
            assert events(family, "secret_store_down")[:1] == ["secret_store_down"]


def test_a_frozen_store_does_not_hold_up_traffic_nor_the_start(tmp_path: Path, provider: int) -> None:
    with frozen_bao() as (vault, program):
        vault.put("llm", openai=OLD)
        program.process.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        with gateway(tmp_path, config(provider, vault.address)) as family:
            family.event("ready")
            assert time.monotonic() - start < 10
            status, _, answer = family.chat()
            assert (status, answer["error"]["code"]) == (503, "no_healthy_deployment")
            program.process.send_signal(signal.SIGCONT)
            family.until(lambda: family.chat()[0] == 200, "it did not recover")


def test_an_unreachable_vault_at_the_start_is_named_with_its_line_and_way_out(tmp_path: Path, provider: int) -> None:
    extra = '  - {name: other, key: "vault://secret/data/keys#other"}\nadmin: {key: "vault://secret/data/keys#admin"}'
    port = free_port()
    with gateway(tmp_path, config(provider, f"http://127.0.0.1:{port}", extra=extra)) as family:
        problems = "\n".join(family.event("config_warnings")["problems"])
        assert "fairlead.yaml:5:" in problems
        assert "providers.fake.api_key: warning: vault://secret/data/llm#openai has no value: the vault at" in problems
        assert "does not answer: cannot connect" in problems
        assert "keys[1].key: warning: vault://secret/data/keys#other has no value" in problems
        assert "admin.key: warning: until it has a value, the admin port answers nobody" in problems
        assert fetch(f"{family.admin}/livez")[0] == 200
        assert fetch(f"{family.admin}/healthz")[0] == 401
        assert family.chat()[0] == 503
        with bao(port) as vault:
            vault.put("llm", openai=OLD)
            vault.put("keys", other="canary-client-key-of-some-length", admin="canary-admin-key-of-some-length")
            family.until(lambda: family.chat()[0] == 200, "it did not recover")
            family.until(lambda: family.chat(key="canary-client-key-of-some-length")[0] == 200, "the key has no value")
            headers = {"authorization": "Bearer canary-admin-key-of-some-length"}
            family.until(lambda: fetch(f"{family.admin}/healthz", headers=headers)[0] == 200, "the admin key neither")


def test_a_restarted_control_process_knows_what_the_last_one_knew(tmp_path: Path, provider: int) -> None:
    """Both at once: the store is down and the control process dies; then its file is bad, too."""
    with frozen_bao() as (vault, program):
        vault.put("llm", openai=OLD, client="canary-client-key-of-some-length")
        text = config(provider, vault.address, extra='  - {name: two, key: "vault://secret/data/llm#client"}\n')
        with gateway(tmp_path, text) as family, traffic(family) as statuses:
            more(family, statuses)
            program.process.kill()
            program.process.wait()
            family.event("secret_store_down")
            for count, bad in ((1, ""), (2, "nonsense: 1")):
                (tmp_path / "fairlead.yaml").write_text(text + bad)
                published = len(events(family, "config_published"))
                os.kill(control_of(family), signal.SIGKILL)
                family.event("child_died", count)
                family.until(lambda: reachable(family), "control did not come back")
                family.event("config_published", published + 1)
                more(family, statuses)
                assert family.chat(key="canary-client-key-of-some-length")[0] == 200
            assert "nonsense" in family.event("config_rejected")["problems"][0]
            assert set(statuses) == {200}


def test_a_bad_file_does_not_stop_a_rotation(tmp_path: Path, provider: int) -> None:
    with bao() as vault:
        vault.put("llm", openai=OLD)
        with gateway(tmp_path, config(provider, vault.address)) as family:
            family.event("ready")
            (tmp_path / "fairlead.yaml").write_text("nonsense: 1\n")
            family.event("config_rejected")
            vault.put("llm", openai=NEW)
            family.event("credential_retired")
            take(provider, NEW)
            assert family.chat()[0] == 200
            assert events(family, "config_rejected") == ["config_rejected"]


def reachable(family: Family) -> bool:
    try:
        return fetch(f"{family.admin}/livez")[0] == 200
    except OSError:
        return False


def test_a_secrets_file_is_watched_as_kubernetes_swaps_it(tmp_path: Path, provider: int) -> None:
    """Mounted secrets are links to a link to a folder, and a new folder takes the old one's place."""
    mount = tmp_path / "mount"
    for name, value in (("one", OLD), ("two", NEW)):
        (mount / name).mkdir(parents=True)
        (mount / name / "key").write_text(value)
    (mount / "..data").symlink_to("one")
    (mount / "key").symlink_to("..data/key")
    text = config(provider, "http://127.0.0.1:9", key=f"file://{mount}/key")
    with gateway(tmp_path, text) as family, traffic(family) as statuses:
        more(family, statuses)
        (mount / "..new").symlink_to("two")
        (mount / "..new").rename(mount / "..data")
        family.event("credential_retired")
        take(provider, NEW)
        more(family, statuses)
        (mount / "two" / "key").unlink()
        family.event("config_warnings")
        more(family, statuses)
        assert set(statuses) == {200}


def test_an_approle_gateway_outlives_its_tokens(tmp_path: Path, provider: int) -> None:
    with bao() as vault:
        vault.put("llm", openai=OLD)
        role, secret = approle(vault)
        (tmp_path / "secret-id").write_text(secret)
        login = f"auth: approle, role_id: {role}, secret_id: file://{tmp_path}/secret-id"
        text = config(provider, vault.address).replace(f'"{vault.address}"', f'"{vault.address}", {login}')
        with gateway(tmp_path, text) as family:
            assert family.chat()[0] == 200
            vault.put("llm", openai=NEW)
            family.event("credential_retired")
            vault.api("PUT", "sys/leases/revoke-prefix/auth/approle")
            vault.put("llm", openai=OLD)
            family.event("credential_retired", 2)
            assert family.chat()[0] == 200


def approle(vault: Bao) -> tuple[str, str]:
    vault.token()
    vault.api("POST", "sys/auth/approle", {"type": "approle"})
    vault.api("POST", "auth/approle/role/gateway", {"token_policies": ["reader"], "token_ttl": "60s"})
    role = vault.api("GET", "auth/approle/role/gateway/role-id")["data"]["role_id"]
    return role, vault.api("POST", "auth/approle/role/gateway/secret-id", {})["data"]["secret_id"]


def test_checking_asks_no_store_and_takes_its_secrets_as_given(tmp_path: Path) -> None:
    file = tmp_path / "fairlead.yaml"
    file.write_text(config(9, "http://127.0.0.1:9"))
    report = said("check", "--config", str(file))
    assert report["ok"]
    assert [problem["message"] for problem in report["problems"] if "credential" in problem["message"]] == []
    explained = said("explain", "--config", str(file), "--model", "chat")
    assert [one["deployment"] for one in explained["tried"]] == ["fake/gpt-4o-mini"]


def said(*words: str) -> Any:
    """What a command prints as JSON."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "fairlead", *words, "--json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, env=environ).stdout)
