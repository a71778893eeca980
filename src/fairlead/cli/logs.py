"""Log lines: one JSON object each, on stderr, without secrets.

Whoever logs never waits for whoever reads: lines lie in a bounded queue, and a thread of each process writes them. What
does not fit is dropped, and the next line that gets through says how much.
"""

import atexit
import io
import json
import logging
import os
import select
import threading
import time
from collections import deque
from typing import Any

import msgspec
import structlog

from fairlead.telemetry.lines import instant
from fairlead.telemetry.redaction import redacted

MOST_WAITING = 10_000
"""Lines that may wait in a process."""
TOGETHER = select.PIPE_BUF
"""Bytes that are written in one call: a pipe takes so many whole, and no other process writes in the middle of them."""
TRY_AGAIN = 0.01
"""Seconds until a stream that does not block, and is full, is tried again."""
LAST_WORDS = 2.0
"""Seconds that a process which ends waits for its lines to be read."""
STDERR = 2
_JSON = json.JSONEncoder(default=str)


def log_to_stderr() -> None:
    """Sends everything that this process and its children log to stderr."""
    handler = Aside(_stderr())
    handler.setFormatter(
        Lines(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
            processors=[_line, lambda _logger, _method, line: _JSON.encode(line)],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of its plugins at every look at a schema
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # that a collector is away is said once, by us


class Lines(structlog.stdlib.ProcessorFormatter):
    """One line of JSON. Where all fields come as one value, as those of each request do, they are told as they are."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] | None = getattr(record, "fields", None)
        if fields is None:
            return super().format(record)
        return msgspec.json.encode({**_head(record), **fields}).decode()


def _stderr() -> io.RawIOBase:
    """Without a buffer: what one had in it at a fork would be written by the child once more."""
    return io.FileIO(STDERR, "wb", closefd=False)


def _line(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The event, when and where, and the fields it was given. A traceback only for a fault of our own."""
    record: logging.LogRecord = event.pop("_record")
    event.pop("_from_structlog")
    fault = event.pop("exc_info", None)  # structlog takes it off the record
    line = _head(record)
    line.update((name, value) for name, value in event.items() if name != "event")
    if fault:
        line["where"] = logging.Formatter().formatException(fault)
    told: structlog.typing.EventDict = redacted(line)
    return told


def _head(record: logging.LogRecord) -> dict[str, Any]:
    """What every line begins with."""
    return {
        "at": instant(record.created),
        "level": record.levelname.lower(),
        "event": record.getMessage(),
        "pid": record.process,
    }


class Aside(logging.Handler):
    """Writes what is logged on a thread of its own: one per process, as threads do not survive a fork."""

    def __init__(self, stream: io.RawIOBase) -> None:
        super().__init__()
        self._stream = stream
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._told = 0
        """Of the dropped: two numbers, as each is counted up by one thread alone."""
        self._some = threading.Event()
        self._pid = 0
        atexit.register(self.flush)
        os.register_at_fork(after_in_child=self._forget)

    def emit(self, record: logging.LogRecord) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._dropped += 1
            return
        try:
            self._waiting.append(self._encoded(record))
        except Exception:
            self.handleError(record)
            return
        if self._pid != os.getpid():
            self._start()
        self._some.set()

    def flush(self) -> None:
        """Waits until everything is written, for a bounded time."""
        end = time.monotonic() + LAST_WORDS
        while (self._waiting or self._some.is_set()) and self._pid == os.getpid() and time.monotonic() < end:
            time.sleep(0.005)

    def _start(self) -> None:
        self._pid = os.getpid()
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def _forget(self) -> None:
        """What waits in the parent is the parent's to write."""
        self._waiting.clear()
        self._told = self._dropped
        self._some = threading.Event()

    def _write(self) -> None:
        while True:
            self._some.wait()
            while self._waiting:
                self._put(self._taken())
            self._some.clear()
            if self._waiting:  # one came between the last look and the clearing
                self._some.set()

    def _taken(self) -> bytes:
        """As many of the lines that wait as are written together, or the next one if it is longer than that."""
        lines = [self._waiting.popleft()]
        size = len(lines[0])
        if dropped := self._dropped - self._told:
            self._told += dropped
            lines.insert(0, self._encoded(_about(dropped)))
            size += len(lines[0])
        while self._waiting and size + len(self._waiting[0]) <= TOGETHER:
            lines.append(self._waiting.popleft())
            size += len(lines[-1])
        return b"".join(lines)

    def _put(self, lines: bytes) -> None:
        try:
            while lines:
                written = self._stream.write(lines)
                if not written:
                    time.sleep(TRY_AGAIN)
                lines = lines[written or 0 :]
        except (OSError, ValueError):
            pass  # nobody reads any more; traffic goes on without

    def _encoded(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode("utf-8", "backslashreplace") + b"\n"


def _about(dropped: int) -> logging.LogRecord:
    facts = {"levelno": logging.WARNING, "levelname": "WARNING", "msg": "log_lines_dropped", "lines": dropped}
    return logging.makeLogRecord(facts)
