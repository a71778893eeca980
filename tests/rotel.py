"""A real OpenTelemetry collector (Rotel) for the tests, which prints what it gets."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
WITHIN = 20.0


class Rotel:
    """A running collector."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, http: int, grpc: int) -> None:
        self.process = process
        self._log = log
        self.http = f"http://127.0.0.1:{http}"
        self.grpc = f"http://127.0.0.1:{grpc}"

    def told(self) -> str:
        """All that it printed."""
        return self._log.read_text(errors="replace")

    def until(self, condition: Callable[[str], object], seconds: float = WITHIN) -> str:
        """What it printed, once that is as wanted."""
        end = time.monotonic() + seconds
        while not condition(told := self.told()):
            assert time.monotonic() < end, told[-4000:]
            time.sleep(0.05)
        return told


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def rotel(folder: Path) -> Iterator[Rotel]:
    found = sorted(ROOT.glob(".servers/lib/python*/site-packages/rotel/rotel-agent"))
    if not found:
        raise RuntimeError("rotel is missing in .servers; `make test` sets up the servers that the tests need")
    http, grpc = _free(), _free()
    command = [
        str(found[0]), "start", f"--otlp-grpc-endpoint=127.0.0.1:{grpc}", f"--otlp-http-endpoint=127.0.0.1:{http}",
        "--exporter=blackhole", "--debug-log=traces", "--debug-log=metrics", "--debug-log-verbosity=detailed",
    ]  # fmt: skip
    log = folder / "rotel.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=folder)
        try:
            collector = Rotel(process, log, http, grpc)
            collector.until(lambda told: "Starting Rotel" in told or process.poll() is not None)
            yield collector
        finally:
            process.kill()
            process.wait()
