"""A family with a tenant whose limits and budget can be read back, and clients that ask without pause."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.processes.family import KEY, ROOT, Family, fetch, serving

from fairlead.canonical.routing import RequestRecord
from fairlead.journal import Reader

TENANT = """
tiers:
  big:
    requests: {limit: 1M, per: 1h, algorithm: token_bucket}
    concurrency: 100k
    budget: {limit: 1000 USD, per: 1mo}
tenants: {acme: {tier: big}}
"""


@contextmanager
def fake_provider(*flags: str) -> Iterator[int]:
    """A fake OpenAI in a process of its own; its port."""
    command = [sys.executable, "-m", "fairlead.fakes", "--openai=127.0.0.1:0", *flags]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert process.stdout
    assert process.stdin
    try:
        yield int(json.loads(process.stdout.readline())["openai"])
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def config(port: int, *, workers: int = 1, more: str = TENANT) -> str:
    return f"""
server: {{workers: {workers}, drain: 2s}}
providers: {{fake: {{kind: openai, base_url: "http://127.0.0.1:{port}/v1", api_key: sk-of-the-fake-provider}}}}
routes:
  - model: chat
    deployments: [{{use: fake/m, price: {{input: "1", output: "2"}}, max_output: 2k}}]
keys: [{{name: ci, tenant: acme, key: {KEY}}}]
{more}
"""


@contextmanager
def tenants(tmp_path: Path, text: str, *flags: str) -> Iterator[Family]:
    file = tmp_path / "fairlead.yaml"
    file.write_text(text)
    with serving("--config", str(file), *flags, data=tmp_path) as family:
        family.event("ready")
        yield family


def fairlead(folder: Path, *words: str) -> str:
    """What the command prints."""
    command = [
        sys.executable,
        "-m",
        "fairlead",
        *words,
        "--config",
        str(folder / "fairlead.yaml"),
        "--data",
        str(folder),
    ]
    done = subprocess.run(command, env={"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def admin(family: Family, path: str, body: Any = None, method: str | None = None) -> Any:
    """What the admin port answers with 200 or 201."""
    content = None if body is None else json.dumps(body).encode()
    status, _, answer = fetch(f"{family.admin}/admin/v1/{path}", content, {"content-type": "application/json"})
    assert status in (200, 201), (method, answer)
    return json.loads(answer)


def standing(family: Family, tenant: str = "acme") -> dict[str, float]:
    """What is left of each of a tenant's limits, by unit."""
    return {one["unit"]: one["remaining"] for one in admin(family, f"tenants/{tenant}")["limits"]}


def records(data: Path) -> list[RequestRecord]:
    """Everything that the journals hold."""
    return [record for batch in Reader(data / "journal").beyond({}) for record in batch.records]


def worker_pids(family: Family) -> list[int]:
    return [worker["pid"] for worker in family.health()["workers"] if worker["pid"]]


class Clients:
    """Threads that ask one request after the other until they are told to stop."""

    def __init__(self, family: Family, count: int) -> None:
        self._family = family
        self._stop = threading.Event()
        self.answered = 0
        self.ids: list[str] = []
        """The ids of requests whose answer came in full."""
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                status, fields, _ = self._family.chat(max_tokens=50)
            except (OSError, HTTPException):
                continue  # its worker was killed
            if status == 200:
                self.ids.append(fields["x-request-id"])
                self.answered += 1

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)


def kill_workers(family: Family, times: int, clients: Clients) -> None:
    """Kills one worker after the other, in turn, each while clients are being answered."""
    for number in range(times):
        before = clients.answered
        family.until(partial(_have_more, clients, before + 4), "nobody is answered")
        workers = worker_pids(family)
        gone = workers[number % len(workers)]
        os.kill(gone, signal.SIGKILL)
        family.until(partial(_is_replaced, family, gone, len(workers)), "a worker did not come back", 30.0)


def _have_more(clients: Clients, count: int) -> bool:
    return clients.answered > count


def _is_replaced(family: Family, gone: int, workers: int) -> bool:
    pids = worker_pids(family)
    return len(pids) == workers and gone not in pids


def check_books(family: Family, data: Path) -> None:
    """What is held comes back, and what is counted is what the journals say, to the millionth of a dollar."""
    family.until(lambda: standing(family)["concurrency"] == 100_000, "holds stayed", 70.0)
    charged = sum(record.charged for record in records(data))
    assert charged > 0
    assert round((1000 - standing(family)["money"]) * 1e6) == charged
