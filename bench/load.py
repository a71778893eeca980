"""Load on a target, and what it cost: wrk for whole answers, our probe for streams.

It runs one load at a time on the load core and reads the target's CPU time before and after.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bench import machine
from bench.settings import KEY
from bench.stage import LOAD_CORE, Target, pinned

QUIET = 0.05
"""The share of a core that others may use, on any core, in a round that counts without a second look."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One round of one load. `cost_us` is CPU microseconds per unit: a request, or a chunk of text."""

    units: int
    seconds: float
    cost_us: float | None
    """Of the process that carries the traffic."""
    beside_us: float | None
    """Of the processes beside it: control brings each record into the request log, the audit trail and the metrics."""
    waited_share: float
    """Share of the time in which the target was ready to run but other work had the core."""
    others_share: float
    """Cores that others used meanwhile. They share caches, and often the core itself, with what is measured."""
    seen: dict[str, Any]


class LoadError(Exception):
    """The load did not go through cleanly, so its figures would mean nothing."""


def requests(target: Target, body: Path, connections: int, seconds: float) -> Sample:
    """Whole answers, as many as go through in `seconds`."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    command += ["-s", str(machine.ROOT / "bench/chat.lua"), target.places["canned"].url]
    before = machine.usage(target.pid, target.worker)
    output = _run(command, {**os.environ, "BENCH_BODY": str(body), "BENCH_KEY": KEY})
    marked = [line for line in output.splitlines() if line.startswith("RESULT ")]
    if not marked:
        raise LoadError(f"wrk against {target.name} gave no result:\n{output[-2000:]}")
    return _sample(target, before, json.loads(marked[-1][7:]), "requests")


def streams(target: Target, kind: str, **options: float) -> Sample:
    """Streams of our probe; the options are its own (`streams`, `rounds`, `repeat`, `ramp`, `pace`, `cancel`)."""
    place = target.places[kind]
    command = [sys.executable, str(machine.ROOT / "bench/probe.py")]
    command += [f"--url={place.url}", f"--model={place.model}", f"--key={KEY}"]
    command += [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    before = machine.usage(target.pid, target.worker)
    seen = json.loads(_run(command, None).splitlines()[-1])
    return _sample(target, before, seen, "chunks")


class Patience:
    """Takes a round again when others disturbed it, until its seconds are used up."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    def measure(self, once: Callable[[], Sample]) -> Sample:
        """The first quiet sample, or the quietest that the seconds allowed."""
        best = once()
        while best.others_share > QUIET and self._left > 0:
            again = once()
            self._left -= again.seconds
            best = min(best, again, key=lambda sample: sample.others_share)
        return best


def _sample(target: Target, before: machine.Usage, seen: dict[str, Any], unit: str) -> Sample:
    if seen["failed"] or not seen[unit]:
        raise LoadError(f"{seen['failed']} failures against {target.name}: {seen.get('complaint', '')}")
    after = machine.usage(target.pid, target.worker)
    waited = (after.waited_s - before.waited_s) / seen["seconds"]
    others = max(0.0, after.others_s - before.others_s) / seen["seconds"]
    return Sample(
        units=seen[unit],
        seconds=seen["seconds"],
        cost_us=(after.cpu_s - before.cpu_s) / seen[unit] * 1e6 if target.pid else None,
        beside_us=(after.beside_s - before.beside_s) / seen[unit] * 1e6 if target.worker else None,
        waited_share=round(waited, 3),
        others_share=round(others, 3),
        seen=seen,
    )


def _run(command: list[str], env: dict[str, str] | None) -> str:
    done = subprocess.run(pinned(LOAD_CORE, command), capture_output=True, text=True, env=env, check=False, timeout=120)
    if done.returncode:
        raise LoadError(f"{command[0]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout
