"""Starts real programs for the tests, as a user would: the gateway, our fakes, and servers that we did not write.

Every program is waited for until it says that it is ready, and is killed with its children at the end.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[2]
SERVERS_PYTHON = ROOT / ".servers" / "bin" / "python"
NODE_MODULES = ROOT / "node_modules"
READY_WITHIN = 60.0
GRACE = 10.0
Ready = TypeVar("Ready")


class Program:
    """A running program, with what it wrote."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: deque[str] = deque(maxlen=5000)
        self._told = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, ready: Callable[[str], Ready | None]) -> Ready:
        """What `ready` makes of the first line that it takes. Raises RuntimeError with the output otherwise."""
        deadline = time.monotonic() + READY_WITHIN
        read = 0
        with self._told:
            while True:
                for line in list(self.lines)[read:]:
                    read += 1
                    found = ready(line)
                    if found is not None:
                        return found
                left = deadline - time.monotonic()
                if left <= 0 or (not self._reader.is_alive() and read >= len(self.lines)):
                    output = "".join(self.lines)
                    raise RuntimeError(f"{self.process.args!r} did not become ready; it wrote:\n{output}")
                self._told.wait(min(left, 0.5))

    def count(self, text: str) -> int:
        """How many of the lines written so far contain `text`."""
        with self._told:
            return sum(text in line for line in self.lines)

    def stop(self) -> None:
        """Asks, then kills; its children too."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)
        self._signal(signal.SIGKILL)
        self.process.wait(GRACE)
        self._reader.join(GRACE)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._told:
                self.lines.append(line)
                self._told.notify_all()


@contextmanager
def running(
    command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """`command` in a process group of its own until the block ends. It is up to the caller to wait for it."""
    process = subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1", **(env or {})},
        start_new_session=True,
    )
    program = Program(process)
    try:
        yield program
    finally:
        program.stop()


def json_line(line: str) -> dict[str, Any] | None:
    """The object that `line` is, or None."""
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


class Gateway:
    """The running gateway. `origin` is its proxy port, `base_url` what an OpenAI client is given."""

    def __init__(self, program: Program, ready: dict[str, Any]) -> None:
        self.program = program
        self.origin = f"http://{ready['listen']}"
        self.admin = f"http://{ready['admin']}"
        self.base_url = f"{self.origin}/v1"


@contextmanager
def gateway(folder: Path, config: str | None, *flags: str, env: Mapping[str, str] | None = None) -> Iterator[Gateway]:
    """`fairlead serve` over `config` (None: what `flags` say), on free ports, with its data in `folder`."""
    command = [sys.executable, "-m", "fairlead", "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
    command += ["--data", str(folder / "data"), *flags]
    if config is not None:
        file = folder / "fairlead.yaml"
        file.write_text(config)
        command += ["--config", str(file)]
    with running(command, cwd=folder, env=env) as program:
        yield Gateway(program, program.wait_for(_gateway_ready))


def _gateway_ready(line: str) -> dict[str, Any] | None:
    found = json_line(line)
    return found if found and found.get("event") == "ready" else None


@contextmanager
def fakes(*flags: str) -> Iterator[dict[str, int]]:
    """Our fake providers in a process of their own: their ports by dialect name."""
    with running([sys.executable, "-m", "fairlead.fakes", *flags]) as program:
        yield program.wait_for(json_line)


def need(path: Path) -> Path:
    """`path`, or an error that says how to get it: a missing server must not look like a passed test."""
    if not path.exists():
        raise RuntimeError(f"{path.relative_to(ROOT)} is missing; `make test` sets up the servers that the tests need")
    return path
