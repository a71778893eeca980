"""Starts real stores of secrets for the tests: OpenBao, moto for AWS, kmock for Kubernetes.

Each is on loopback, on a port that nobody has, and gone when the block ends. One that is missing is an error.
"""

import json
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.real.processes import ROOT, SERVERS_PYTHON, Program, need, running

BIN = ROOT / ".servers" / "bin"
ROOT_TOKEN = "root-token-of-the-test"

KUBERNETES = """
import asyncio, sys, kmock

async def main():
    async with kmock.KubernetesEmulator() as cluster:
        cluster.resources["v1/secrets"] = {"kind": "Secret", "singular": "secret", "namespaced": True,
                                           "verbs": ["get", "list", "watch", "create", "patch", "delete"]}
        async with kmock.Server(cluster, port=int(sys.argv[1])):
            print("ready", flush=True)
            await asyncio.Event().wait()

asyncio.run(main())
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def ask(method: str, url: str, body: object = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """The status and the JSON of one answer."""
    payload = None if body is None else json.dumps(body).encode()
    fields = {"content-type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, payload, fields, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
        return error.code, json.loads(text) if text.startswith(b"{") else None


def wait_until_open(port: int, program: Program, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end or program.process.poll() is not None:
                raise RuntimeError(f"it did not start; it wrote:\n{''.join(program.lines)}") from None
            time.sleep(0.02)
        else:
            return


class Bao:
    """A running OpenBao in dev mode: everything is in memory, so a restart is an empty vault."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.address = f"http://127.0.0.1:{port}"

    def api(self, method: str, path: str, body: object = None, *, namespace: str = "", token: str = ROOT_TOKEN) -> Any:
        headers = {"x-vault-token": token, **({"x-vault-namespace": namespace} if namespace else {})}
        status, answer = ask(method, f"{self.address}/v1/{path}", body, headers)
        assert status < 400, (status, answer)
        return answer

    def put(self, path: str, **fields: object) -> None:
        self.api("POST", f"secret/data/{path}", {"data": fields})

    def token(self, ttl: str = "1h", **more: object) -> str:
        """A token that may read everything in `secret/` and ask about itself."""
        self.api("POST", "sys/policies/acl/reader", {"policy": 'path "secret/*" { capabilities = ["read"] }'})
        body = {"ttl": ttl, "policies": ["reader", "default"], **more}
        return str(self.api("POST", "auth/token/create", body)["auth"]["client_token"])


@contextmanager
def bao(port: int | None = None) -> Iterator[Bao]:
    with _bao(port or free_port()) as (server, _):
        yield server


@contextmanager
def frozen_bao() -> Iterator[tuple[Bao, Program]]:
    """An OpenBao and its process, for tests that stop it."""
    with _bao(free_port()) as (server, program):
        try:
            yield server, program
        finally:
            if program.process.poll() is None:
                program.process.send_signal(signal.SIGCONT)


@contextmanager
def _bao(port: int) -> Iterator[tuple[Bao, Program]]:
    command = [str(need(BIN / "bao")), "server", "-dev", "-dev-no-store-token"]
    flags = [f"-dev-root-token-id={ROOT_TOKEN}", f"-dev-listen-address=127.0.0.1:{port}"]
    with running([*command, *flags]) as program:
        program.wait_for(lambda line: True if "Development mode should NOT be used" in line else None)
        wait_until_open(port, program)
        yield Bao(port), program


@contextmanager
def moto() -> Iterator[str]:
    """moto's AWS; its address."""
    port = free_port()
    with running([need(BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]) as program:
        wait_until_open(port, program)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def kubernetes() -> Iterator[str]:
    """kmock's Kubernetes API; its address."""
    port = free_port()
    with running([need(SERVERS_PYTHON), "-c", KUBERNETES, str(port)], env={"PYTHONPATH": ""}) as program:
        program.wait_for(lambda line: True if line.startswith("ready") else None)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def fake_providers(*flags: str, cwd: Path | None = None) -> Iterator[dict[str, int]]:
    """Our fake providers; ports by dialect."""
    with running([sys.executable, "-m", "fairlead.fakes", *flags], cwd=cwd) as program:
        yield program.wait_for(lambda line: json.loads(line) if line.startswith("{") else None)
