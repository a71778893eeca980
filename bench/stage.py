"""The cast of one run: the provider (nginx, and a paced one), nginx as plain proxy, and the subject under test.

It starts each as a process of its own on its core and tells where each is reached. It must not know what is measured.
"""

import contextlib
import http.client
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from bench import machine
from bench.settings import FAIRLEAD, KEY, PROVIDER, PROXY, canned_answer

LOAD_CORE, SUBJECT_CORE = 0, 1
SOURCE = "BENCH_SRC"
"""The variable that names another `src` folder to run the gateway from: a work tree of an older commit."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a kind of request goes, and the model that it asks for."""

    url: str
    model: str


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Something that answers chats. `pid` is the root of its processes; None for the provider itself.

    `worker` is the one of them that carries the traffic, where others do other work.
    """

    name: str
    places: dict[str, Place]
    pid: int | None = None
    worker: int | None = None
    port: int = 0
    admin: int = 0


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """All that a case may use. `direct` is the provider with nothing between."""

    direct: Target
    nginx: Target
    subject: Target
    paced_port: int
    ready_s: float
    folder: Path


class MissingToolError(Exception):
    """A program that the bench needs is not on this machine."""


def require_tools() -> None:
    """Says how to install what is missing."""
    missing = [tool for tool in ("nginx", "wrk", "taskset") if not shutil.which(tool)]
    if missing:
        raise MissingToolError(
            f"{', '.join(missing)} not found; on Debian or Ubuntu: apt-get install nginx-light wrk util-linux"
        )


@contextlib.contextmanager
def staged(subject: str) -> Iterator[Stage]:
    """The running cast. `subject` is `fairlead`, `nginx` (a second proxy) or a command with {port} and {provider}."""
    require_tools()
    canned, paced, plain, streaming, port, admin, twin = _free_ports(7)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fairlead-bench-")))
        hire = _Hire(folder, stack)
        hire.nginx("provider", LOAD_CORE, PROVIDER, port=canned, answer=canned_answer())
        hire.process("paced", LOAD_CORE, [sys.executable, str(machine.ROOT / "bench/paced.py"), f"--port={paced}"])
        ports = {"canned": canned, "paced": paced, "port": plain, "streaming": streaming}
        proxy = hire.nginx("proxy", SUBJECT_CORE, PROXY, **ports)
        for each in (canned, paced, plain, streaming):
            _wait_for_port(each)
        if subject == "fairlead":
            target, ready = fairlead(hire, canned=canned, paced=paced, port=port, admin=admin)
        elif subject == "nginx":
            pid = hire.nginx("twin", SUBJECT_CORE, PROXY, **(ports | {"port": port, "streaming": twin}))
            target, ready = _proxied("nginx-twin", port, twin, pid), _wait_for_port(port)
        else:
            command = shlex.split(subject.format(port=port, provider=f"http://127.0.0.1:{canned}/v1"))
            pid = hire.process("subject", SUBJECT_CORE, command)
            target, ready = _proxied("subject", port, port, pid), _wait_for_port(port)
        yield Stage(
            direct=_proxied("direct", canned, paced, None),
            nginx=_proxied("nginx", plain, streaming, proxy),
            subject=target,
            paced_port=paced,
            ready_s=ready,
            folder=folder,
        )


def fairlead(hire: "_Hire", *, canned: int, paced: int, port: int, admin: int) -> tuple[Target, float]:
    """Starts the gateway with one worker; returns it with the seconds until its first 200 on /readyz."""
    config = hire.folder / f"fairlead-{port}.yaml"
    text = FAIRLEAD.format(canned=canned, paced=paced, port=port, admin=admin, data=hire.folder / f"data-{port}")
    config.write_text(text)
    begun = time.perf_counter()
    pid = hire.process("fairlead", SUBJECT_CORE, fairlead_command("serve", "--config", str(config)), fairlead_env())
    _wait_for_ready(port, hire.alive)
    ready = time.perf_counter() - begun
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    models = {"canned": "chat", "paced": "paced", "brisk": "brisk", "translated": "translated"}
    places = {kind: Place(url=url, model=model) for kind, model in models.items()}
    worker = machine.listener(pid, port)
    return Target(name="fairlead", places=places, pid=pid, worker=worker, port=port, admin=admin), ready


def fairlead_command(*words: str) -> list[str]:
    return [sys.executable, "-m", "fairlead", *words]


def fairlead_env() -> dict[str, str]:
    """The environment of the gateway: our source tree, and the secrets that its configuration refers to."""
    secrets = {"BENCH_PROVIDER_KEY": "provider-secret-of-the-bench", "BENCH_CLIENT_KEY": KEY}
    return {**os.environ, **secrets, "PYTHONPATH": os.environ.get(SOURCE, str(machine.ROOT / "src"))}


def pinned(core: int, command: list[str]) -> list[str]:
    """The command on one core; unpinned where the machine has a single one."""
    return ["taskset", "-c", str(core), *command] if (os.cpu_count() or 1) > core and core >= 0 else command


class _Hire:
    """Starts processes into a folder and ends them with the stack."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def process(self, name: str, core: int, command: list[str], env: Mapping[str, str] | None = None) -> int:
        log = self._stack.enter_context((self.folder / f"{name}.log").open("ab"))
        child = subprocess.Popen(pinned(core, command), stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env)
        self._running.append((name, child))
        self._stack.callback(_end, child)
        return child.pid

    def nginx(self, name: str, core: int, template: str, **values: object) -> int:
        folder = self.folder / name
        folder.mkdir()
        config = folder / "nginx.conf"
        text = template
        for key, value in {"folder": folder, **values}.items():
            text = text.replace(f"@{key}@", str(value))
        config.write_text(text)
        return self.process(name, core, ["nginx", "-e", str(folder / "error.log"), "-c", str(config)])

    def alive(self) -> None:
        """Raises with the log of a process that has ended."""
        for name, child in self._running:
            if child.poll() is not None:
                log = (self.folder / f"{name}.log").read_text(errors="replace")
                raise RuntimeError(f"{name} ended with {child.returncode}:\n{log[-3000:]}")


def _proxied(name: str, plain: int, streaming: int, pid: int | None) -> Target:
    path = "v1/chat/completions"
    places = {
        "canned": Place(url=f"http://127.0.0.1:{plain}/{path}", model="chat"),
        "paced": Place(url=f"http://127.0.0.1:{streaming}/64x20/{path}", model="paced"),
        "brisk": Place(url=f"http://127.0.0.1:{streaming}/2x1/{path}", model="brisk"),
    }
    return Target(name=name, places=places, pid=pid, port=plain)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]


def _wait_for_port(port: int, seconds: float = 10.0) -> float:
    begun = time.perf_counter()
    while time.perf_counter() < begun + seconds:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return time.perf_counter() - begun
        time.sleep(0.005)
    raise RuntimeError(f"nothing listens on port {port} after {seconds} s")


def _wait_for_ready(port: int, alive: object, seconds: float = 20.0) -> None:
    begun = time.perf_counter()
    while time.perf_counter() < begun + seconds:
        assert callable(alive)
        alive()
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.005)
    raise RuntimeError(f"the gateway was not ready after {seconds} s")


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(timeout=5)
    except subprocess.TimeoutExpired:
        for pid in reversed(machine.tree(child.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        child.wait()
