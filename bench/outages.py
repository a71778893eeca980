"""What clients notice while something behind the gateway is away: the same load, with one thing broken at a time.

An open-loop load asks at a fixed rate, so a gateway that stalls is not let off by clients that wait for it. Prints the
99th percentile beside that of the same load with everything up, and whether every answer is in the journal and, once
all is back, in the database. `python bench/outages.py --rate 200 --seconds 10`
"""

import argparse
import asyncio
import contextlib
import http.server
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.postgres import postgres
from tests.processes.family import KEY, Family
from tests.processes.tenants import admin, config, fake_provider, records, tenants

from bench import machine
from fairlead.database import schema
from fairlead.database.engine import Database
from fairlead.database.place import Place

CONNECTIONS = 16
BODY = json.dumps({"model": "chat", "max_tokens": 20, "messages": [{"role": "user", "content": "hello"}]}).encode()
HEAD = (
    "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
    f"authorization: Bearer {KEY}\r\ncontent-length: {len(BODY)}\r\n\r\n"
).encode()
MORE = """
tenants: {acme: {}}
database: env://BENCH_DATABASE
pepper: env://BENCH_PEPPER
observability: {otlp: "http://127.0.0.1:%d"}
"""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One load: times in milliseconds from when a request was due, so that waiting for a turn counts."""

    asked: int
    answered: int
    p50: float
    p99: float


class Collector:
    """A fake OTLP collector: takes everything, or says nothing for as long as it is held."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        collector = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                collector.open.wait()
                with contextlib.suppress(OSError):
                    self.send_response(200)
                    self.send_header("content-length", "0")
                    self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.open.set()
        self._server.shutdown()


async def _client(port: int, due: "asyncio.Queue[float | None]", times: list[float]) -> None:
    """One connection: each request that is due, as soon as the one before it was answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (at := await due.get()) is not None:
        writer.write(HEAD + BODY)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        if head.startswith(b"HTTP/1.1 200"):
            times.append(time.monotonic() - at)
    writer.close()


async def load(port: int, rate: float, seconds: float) -> Seen:
    """Requests at a fixed rate, whatever becomes of them."""
    due: asyncio.Queue[float | None] = asyncio.Queue()
    times: list[float] = []
    clients = [asyncio.create_task(_client(port, due, times)) for _ in range(CONNECTIONS)]
    begun = time.monotonic()
    count = int(rate * seconds)
    for number in range(count):
        at = begun + number / rate
        await asyncio.sleep(max(at - time.monotonic(), 0))
        due.put_nowait(at)
    for _ in clients:
        due.put_nowait(None)
    await asyncio.gather(*clients)
    times.sort()
    p50, p99 = (times[len(times) * percent // 100] * 1e3 for percent in (50, 99))
    return Seen(asked=count, answered=len(times), p50=p50, p99=p99)


@contextlib.contextmanager
def broken(stop: Callable[[], object], mend: Callable[[], object]) -> Iterator[None]:
    stop()
    try:
        yield
    finally:
        mend()


def run(rate: float, seconds: float) -> bool:
    """Prints a row per outage; whether nothing was lost."""
    collector = Collector()
    with tempfile.TemporaryDirectory() as name, postgres() as database, fake_provider() as provider:
        folder = Path(name)
        os.environ["BENCH_DATABASE"] = url = database.new_database()
        schema.migrate(Database(Place(data=folder, url=url)))
        os.environ["BENCH_PEPPER"] = "pepper-of-the-bench-with-32-characters"
        text = config(provider, more=MORE % collector.port)
        with tenants(folder, text) as family:
            port = int(family.url.rpartition(":")[2])
            control = _control(family)
            outages: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
                "nothing": (int, int),
                "PostgreSQL stopped": (database.stop, database.start),
                "OTLP collector hangs": (collector.open.clear, collector.open.set),
                "nobody reads the log": (family.reading.clear, family.reading.set),
                "control process frozen": (
                    lambda: os.kill(control, signal.SIGSTOP),
                    lambda: os.kill(control, signal.SIGCONT),
                ),
                "nothing, again": (int, int),
            }
            asyncio.run(load(port, rate, seconds / 2))
            answered = int(rate * seconds / 2)
            print(f"{rate:g} requests/s, {seconds:g} s each; {machine.describe()}")
            print(f"{'broken':26} {'answered':>9} {'p50 ms':>8} {'p99 ms':>8}")
            for what, (stop, mend) in outages.items():
                with broken(stop, mend):
                    seen = asyncio.run(load(port, rate, seconds))
                answered += seen.answered
                print(f"{what:26} {seen.answered:4}/{seen.asked:4} {seen.p50:8.2f} {seen.p99:8.2f}", flush=True)
            return _all_there(family, folder, answered)


def _control(family: Family) -> int:
    """The pid of the control process."""
    return int(family.event("config_published")["pid"])


def _all_there(family: Family, folder: Path, answered: int) -> bool:
    """Whether the journals, and once it is back the database, have as many requests as were answered."""
    kept = sum(record.ended == "finished" for record in records(folder))
    end = time.monotonic() + 60
    while (told := admin(family, "usage?by=model")["total"]["requests"]) != answered and time.monotonic() < end:
        time.sleep(0.5)
    print(f"answered {answered}, in the journals {kept}, in the database {told}")
    return bool(answered == kept == told)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    sys.exit(0 if run(given.rate, given.seconds) else 1)
