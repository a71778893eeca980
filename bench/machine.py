"""What the kernel says about processes and the machine: CPU time, memory, open files, versions.

It knows /proc and nothing of what the processes do.
"""

import contextlib
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from statistics import median

import msgspec

TICKS = os.sysconf("SC_CLK_TCK")
ROOT = Path(__file__).resolve().parents[1]


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Resident and proportional memory, in MB of 10^6 bytes."""

    rss_mb: float
    pss_mb: float


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a process tree has used so far, and what kept it from running, in seconds.

    `waited_s`: it was ready, but other work of this machine had the core. `others_s`: what all cores did for anybody
    but this bench, other guests of the host included.
    """

    cpu_s: float
    beside_s: float
    """What the tree's other processes used, which carry no traffic."""
    waited_s: float
    others_s: float


def tree(root: int) -> list[int]:
    """The process and all its descendants, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(sorted(children.get(pid, [])))
    return found


def usage(root: int | None, worker: int | None = None) -> Usage:
    """utime + stime of every live process of the tree, threads included; without a tree, only what others did.

    `worker` is the one of them that carries the traffic; None: all of them.
    """
    pids = tree(root) if root is not None else []
    used = {pid: cpu_seconds(pid) for pid in pids}
    cpu = sum(used.values())
    beside = cpu - used.get(worker, 0.0) if worker is not None else 0.0
    return Usage(cpu_s=cpu - beside, beside_s=beside, waited_s=sum(map(_waited, pids)), others_s=_others())


def cpu_seconds(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS if fields else 0.0


def memory(pid: int) -> Memory:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = dict(re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE))
    return Memory(rss_mb=int(kib["Rss"]) * 1024 / 1e6, pss_mb=int(kib["Pss"]) * 1024 / 1e6)


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def listener(root: int, port: int) -> int:
    """The process of the tree that accepts on `port`: the worker. The youngest, where several share the socket."""
    table = Path(f"/proc/{root}/net/tcp").read_text().splitlines()[1:]
    rows = [line.split() for line in table]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")}
    holders = [pid for pid in tree(root) if sockets & _links(pid)]
    if not holders:
        raise RuntimeError(f"no process below {root} listens on port {port}")
    return holders[-1]


@contextlib.contextmanager
def ahead(root: int) -> Iterator[None]:
    """Runs the tree ahead of other work where the kernel lets us (as root), its own members sharing fairly.

    Others that run already keep the core for their slice of a few milliseconds.
    """
    before = os.getpriority(os.PRIO_PROCESS, root)
    _renice(root, -20, -20)
    try:
        yield
    finally:
        _renice(root, before, 0)


@contextlib.contextmanager
def at_once(root: int) -> Iterator[None]:
    """Has the tree run the moment it can, others waiting at once; only for loads that leave the cores mostly idle.

    Under a load that fills a core, realtime slices of 100 ms would make our own processes wait for each other.
    """
    with contextlib.suppress(PermissionError):
        _each_thread(root, lambda thread: os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(1)))
    try:
        yield
    finally:
        _each_thread(root, lambda thread: os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0)))


def slowdown(core: int, other: int) -> float:
    """How much slower `core` works while `other` is busy: about 1, or up to 2 where both are one core in truth."""
    allowed = os.sched_getaffinity(0)
    if not {core, other} <= allowed:
        return 1.0
    os.sched_setaffinity(0, {core})
    try:
        alone = min(_spins())
        with subprocess.Popen(["taskset", "-c", str(other), sys.executable, "-c", "while True: pass"]) as busy:
            time.sleep(0.2)
            beside = median(_spins())
            busy.kill()
    finally:
        os.sched_setaffinity(0, allowed)
    return beside / alone


def _spins() -> list[float]:
    """CPU seconds of a fixed piece of work, several times."""
    taken = []
    for _ in range(40):
        begun = time.process_time()
        sum(number * number for number in range(40_000))
        taken.append(time.process_time() - begun)
    return taken


def describe() -> dict[str, str]:
    """The machine and the versions, for the head of a result."""
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory_kib = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    packages = {name: _version(name) for name in ("uvloop", "httptools", "msgspec")}
    return {
        "cpu": cpu.group(1) if cpu else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{int(memory_kib.group(1)) / 1e6:.0f} GB" if memory_kib else "unknown",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "nginx": _first_line("nginx", "-v").removeprefix("nginx version: nginx/"),
        "wrk": _first_line("wrk", "-v").removeprefix("wrk ").split(" ")[0],
        **packages,
    }


def commit() -> str:
    """The short commit, with `-dirty` where the product's own files differ from it."""
    name = _git("rev-parse", "--short=10", "HEAD") or "unknown"
    return name + ("-dirty" if _git("status", "--porcelain", "--", "src") else "")


def _others() -> float:
    """Seconds of all cores that were busy or stolen, less those of this process and everything below it."""
    user, nice, system, _, _, irq, softirq, stolen = _core_ticks()
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    ours = sum(map(cpu_seconds, tree(os.getpid()))) + ended.ru_utime + ended.ru_stime
    return (user + nice + system + irq + softirq + stolen) / TICKS - ours


def _core_ticks() -> list[int]:
    return [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]


def _renice(root: int, niceness: int, group: int) -> None:
    """The niceness of each thread, and that of the session's scheduling group where the kernel groups by session."""
    with contextlib.suppress(PermissionError):
        _each_thread(root, lambda thread: os.setpriority(os.PRIO_PROCESS, thread, niceness))
        with contextlib.suppress(FileNotFoundError):
            Path(f"/proc/{root}/autogroup").write_text(str(group))


def _each_thread(root: int, change: Callable[[int], None]) -> None:
    for pid in tree(root):
        for thread in _threads(pid):
            with contextlib.suppress(ProcessLookupError):
                change(thread)


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except FileNotFoundError:
        return []


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name: state is 0, parent 1, utime 11, stime 12."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _waited(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _links(pid: int) -> set[str]:
    folder = Path(f"/proc/{pid}/fd")
    found = set()
    for entry in folder.iterdir():
        try:
            found.add(os.readlink(entry))
        except OSError:
            continue
    return found


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def _first_line(*command: str) -> str:
    if not shutil.which(command[0]):
        return "absent"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().split("\n")[0]


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=False)
    return done.stdout.strip()
