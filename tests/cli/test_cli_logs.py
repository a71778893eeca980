"""Log lines: whoever logs never waits, what is dropped is told, and no secret gets through."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from fairlead.cli import logs


class Pipe(BytesIO):
    """A FAKE stderr that nobody reads until `is_read` is set, and that takes some bytes fewer than it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = threading.Event()
        self.writes: list[bytes] = []
        self.is_full = False
        """Whether it takes nothing at the next write, and does not block."""

    def write(self, lines: bytes) -> int | None:  # type: ignore[override]
        self.is_read.wait(10)
        self.writes.append(lines)
        if self.is_full:
            self.is_full = False
            return None
        return super().write(lines[:4000])

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    """What `log_to_stderr` sends lines to; the loggers are afterwards as they were."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    made = Pipe()
    monkeypatch.setattr(logs, "_stderr", lambda: made)
    root.handlers.clear()
    logs.log_to_stderr()
    yield made
    made.is_read.set()
    root.handlers[0].flush()
    root.handlers[:] = before
    root.setLevel(level)


def test_whoever_logs_does_not_wait_and_is_told_what_was_dropped(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_WAITING", 5)
    for number in range(20):
        logging.getLogger("x").info("tick", extra={"number": number})
    pipe.is_read.set()
    logging.getLogger().handlers[0].flush()
    told = pipe.lines()
    ticks = [line for line in told if line["event"] == "tick"]
    dropped = [line for line in told if line["event"] == "log_lines_dropped"]
    assert [line["number"] for line in ticks] == list(range(len(ticks)))
    assert sum(int(str(line["lines"])) for line in dropped) == 20 - len(ticks) > 0
    assert all({"at", "level", "event", "pid"} <= line.keys() for line in told)


def test_lines_that_wait_are_written_together_as_far_as_a_pipe_takes_them_whole(pipe: Pipe) -> None:
    for number in range(1000):
        logging.getLogger("x").info("tick", extra={"number": number})
    pipe.is_full = True
    logging.getLogger("x").info("long", extra={"text": "x" * 10_000})
    pipe.is_read.set()
    logging.getLogger().handlers[0].flush()
    assert [line.get("number") for line in pipe.lines()] == [*range(1000), None]
    assert len(pipe.writes) < 100
    whole = [lines for lines in pipe.writes if len(lines) <= logs.TOGETHER]
    assert len(whole) > len(pipe.writes) - 10


FORKING = """
import logging, os, sys
from fairlead.cli.logs import log_to_stderr
log_to_stderr()
for number in range(1000):
    logging.info("tick", extra={"number": number, "text": "x" * 200})
pid = os.fork()
logging.info("ended" if pid else "child")
print("forked", flush=True)
if not pid:
    logging.shutdown()
    os._exit(0)
os.waitpid(pid, 0)
logging.shutdown()
"""


def test_a_child_that_is_forked_while_nobody_reads_writes_its_own_lines_alone() -> None:
    environ = {**os.environ, "PYTHONPATH": str(Path(logs.__file__).parents[2])}
    command = [sys.executable, "-c", FORKING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"forked\n"
        lines = [json.loads(line) for line in process.stderr]
    events = [line["event"] for line in lines]
    assert (events.count("child"), events.count("ended")) == (1, 1)
    assert [line["number"] for line in lines if line["event"] == "tick"] == list(range(1000))


def test_no_secret_gets_through_though_it_is_in_a_traceback(pipe: Pipe) -> None:
    pipe.is_read.set()
    try:
        raise ValueError("the key sk-canary-of-a-provider does not fit postgresql://u:hunter22@db/x")
    except ValueError:
        logging.getLogger("x").exception(
            "fault", extra={"deep": {"list": ["fl_abcd_canarycanary", {"token": "short"}]}}
        )
    logging.getLogger().handlers[0].flush()
    (line,) = pipe.lines()
    assert "ValueError" in str(line["where"])
    assert line["deep"] == {"list": ["***", {"token": "***"}]}
    for secret in ("canary", "hunter22"):
        assert secret not in json.dumps(line["where"]).partition("ValueError: ")[2]
