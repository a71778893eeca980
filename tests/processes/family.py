"""Starts `fairlead serve` as a user would, and talks to it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
KEY = "test-key-of-enough-characters"


class Family:
    """A running gateway."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self.raw: list[str] = []
        self.reading = threading.Event()
        """Whether anybody reads the log."""
        self.reading.set()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        stderr = self.process.stderr
        for line in stderr or ():
            self.reading.wait()
            self.raw.append(line)
            if line.startswith("{"):
                self.lines.append(json.loads(line))

    def event(self, name: str, count: int = 1) -> dict[str, Any]:
        """Waits for the n-th log line of this event."""
        self.until(lambda: sum(line["event"] == name for line in self.lines) >= count, f"no {name}")
        return [line for line in self.lines if line["event"] == name][count - 1]

    def until(self, condition: Callable[[], object], what: str = "", seconds: float = 15.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end or (self.process.poll() is not None and not condition()):
                raise AssertionError(f"{what}; exit {self.process.poll()}; log:\n{''.join(self.raw[-30:])}")
            time.sleep(0.02)

    @property
    def url(self) -> str:
        return f"http://{self.event('ready')['listen']}"

    @property
    def admin(self) -> str:
        return f"http://{self.event('ready')['admin']}"

    def health(self) -> dict[str, Any]:
        status, _, body = fetch(f"{self.admin}/healthz")
        return {"http": status, **json.loads(body)}

    def chat(self, key: str = KEY, model: str = "chat", **more: Any) -> tuple[int, dict[str, str], Any]:
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}], **more}
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        status, fields, answer = fetch(f"{self.url}/v1/chat/completions", json.dumps(body).encode(), headers)
        return status, fields, answer if more.get("stream") else json.loads(answer)

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)


def fetch(
    url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(url, body, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


@contextmanager
def serving(*flags: str, data: Path, environ: dict[str, str] | None = None) -> Iterator[Family]:
    """`fairlead serve` with these flags on free ports, until the block ends."""
    command = [
        sys.executable, "-m", "fairlead", "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
        "--data", str(data), *flags,
    ]  # fmt: skip
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        cwd=data,
        env={**inherited, "PYTHONPATH": str(ROOT / "src"), **(environ or {})},
    )
    family = Family(process)
    try:
        yield family
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        family._reader.join(5)
        if process.stderr:
            process.stderr.close()
