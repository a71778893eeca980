"""Log lines: whoever logs never waits, what is dropped is told, and no secret gets through."""

import json
import logging
import threading
from collections.abc import Iterator
from io import StringIO

import pytest

from fairlead.cli import logs


class Pipe(StringIO):
    """A FAKE stderr that nobody reads until `is_read` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = threading.Event()

    def write(self, text: str) -> int:
        self.is_read.wait(10)
        return super().write(text)

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    """What `log_to_stderr` sends lines to; the loggers are afterwards as they were."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    made = Pipe()
    monkeypatch.setattr("sys.stderr", made)
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
