"""A real Prometheus for the tests: it scrapes one target every second, for as long as the block lasts."""

import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
WITHIN = 30.0


def program(name: str) -> str:
    """Where `prometheus` or `promtool` is: on the path, or where `make test` unpacked it."""
    unpacked = ROOT / ".servers" / "prometheus" / "usr" / "bin" / name
    found = shutil.which(name) or (str(unpacked) if unpacked.exists() else None)
    if found is None:
        raise RuntimeError(f"{name} is missing; `make test` sets up the servers that the tests need")
    return found


def promtool(*words: str, given: str | None = None) -> str:
    """What promtool says; raises AssertionError where it finds anything."""
    done = subprocess.run([program("promtool"), *words], input=given, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


class Prometheus:
    """A running server."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def query(self, text: str) -> list[dict[str, Any]]:
        """What an instant query finds: each series with its value. Raises AssertionError if it is bad."""
        address = f"{self._url}/api/v1/query?{urllib.parse.urlencode({'query': text})}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            told = json.loads(answer.read())
        assert told["status"] == "success", told
        found: list[dict[str, Any]] = told["data"]["result"]
        return found

    def value(self, text: str) -> float:
        """The sum of all that a query finds."""
        return sum(float(series["value"][1]) for series in self.query(text))

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + WITHIN
        while not condition():
            assert time.monotonic() < end, "Prometheus does not come to see it"
            time.sleep(0.1)


@contextmanager
def prometheus(folder: Path, target: str, rules: Path, key: str | None = None) -> Iterator[Prometheus]:
    """Scrapes `http://target/metrics` and evaluates `rules`."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    (folder / "key").write_text(key or "none")
    (folder / "prometheus.yml").write_text(
        f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: fairlead
    authorization: {{credentials_file: "{folder / "key"}"}}
    static_configs: [{{targets: ["{target}"]}}]
"""
    )
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            server = Prometheus(port)
            server.until(lambda: _answers(port) or process.poll() is not None)
            assert process.poll() is None, (folder / "prometheus.log").read_text()
            yield server
        finally:
            process.terminate()
            process.wait(20)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5):
            return True
    except OSError:
        return False
