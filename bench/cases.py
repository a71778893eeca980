"""The cases: what is measured, in which rounds. Each returns samples; nothing here judges them.

Rounds alternate between the targets (A B A B), so that a drift of the machine falls on all of them alike.
"""

import subprocess
import time
from collections.abc import Callable
from functools import partial

import msgspec

from bench import load, machine
from bench.settings import chat_body
from bench.stage import LOAD_CORE, Stage, Target, fairlead_command, fairlead_env, pinned, staged

Samples = dict[str, list[load.Sample]]


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How long a run measures."""

    rounds: int
    seconds: float
    """Of one round of whole answers."""
    ladder: tuple[int, ...]
    ladder_rounds: int
    firsts: int
    """Streams of one round that measures the time to the first text."""
    stream_rounds: int
    stream_repeats: int
    soak: str
    patience: float
    """Seconds that each case may spend on rounds taken again because the host disturbed them."""


SIZES = {
    "quick": Size(
        rounds=2,
        seconds=1,
        ladder=(1,),
        ladder_rounds=1,
        firsts=200,
        stream_rounds=1,
        stream_repeats=1,
        soak="tiny",
        patience=0,
    ),
    "default": Size(
        rounds=6,
        seconds=2,
        ladder=(1, 16, 64, 256),
        ladder_rounds=2,
        firsts=400,
        stream_rounds=3,
        stream_repeats=2,
        soak="short",
        patience=10,
    ),
    "full": Size(
        rounds=9,
        seconds=8,
        ladder=(1, 16, 64, 256),
        ladder_rounds=5,
        firsts=2000,
        stream_rounds=5,
        stream_repeats=6,
        soak="full",
        patience=120,
    ),
}


def whole_answers(stage: Stage, size: Size) -> dict[str, Samples]:
    """1 kB and 20 kB prompts at 64 connections, against nginx: CPU per request."""
    found: dict[str, Samples] = {}
    patience = load.Patience(size.patience)
    for _ in range(size.rounds):
        for name, length in (("chat 1 kB", 1024), ("chat 20 kB", 20480)):
            body = stage.folder / f"body-{length}.json"
            body.write_bytes(chat_body(length))
            for target in (stage.nginx, stage.subject):
                sample = patience.measure(partial(load.requests, target, body, 64, size.seconds))
                found.setdefault(name, {}).setdefault(target.name, []).append(sample)
    return found


def ladder(stage: Stage, size: Size) -> dict[str, Samples]:
    """Latency and throughput at each number of connections, beside the provider itself and nginx."""
    body = stage.folder / "body-1024.json"
    body.write_bytes(chat_body(1024))
    found: dict[str, Samples] = {}
    patience = load.Patience(size.patience)
    for _ in range(size.ladder_rounds):
        for connections in size.ladder:
            for target in (stage.direct, stage.nginx, stage.subject):
                seconds = min(size.seconds, 1 if size.rounds < 9 else 2)
                sample = patience.measure(partial(load.requests, target, body, connections, seconds))
                found.setdefault(f"{connections}", {}).setdefault(target.name, []).append(sample)
    return found


def first_text(stage: Stage, size: Size) -> Samples:
    """Time to the first text of a stream, one connection."""
    return _alternate(
        size,
        (stage.direct, stage.nginx, stage.subject),
        lambda target: load.streams(target, "brisk", streams=1, rounds=size.firsts, pace=0.001),
    )


def paced_streams(stage: Stage, size: Size) -> Samples:
    """512 streams at once, 64 chunks each, 20 ms apart."""
    return _alternate(
        size,
        (stage.direct, stage.nginx, stage.subject),
        lambda target: load.streams(target, "paced", streams=512, rounds=size.stream_repeats, ramp=1.28),
    )


def translated_streams(stage: Stage, size: Size) -> Samples:
    """256 streams from a provider of the other dialect, beside as many of the same dialect."""
    kinds = [kind for kind in ("paced", "translated") if kind in stage.subject.places]
    found: Samples = {}
    patience = load.Patience(size.patience)
    options = {"streams": 256, "rounds": size.stream_repeats, "ramp": 1.28}
    for _ in range(size.stream_rounds):
        for kind in kinds:
            sample = patience.measure(partial(load.streams, stage.subject, kind, **options))
            found.setdefault(kind, []).append(sample)
    return found


def help_seconds() -> list[float]:
    """Wall time of `fairlead --help`, five times."""
    taken = []
    for _ in range(5):
        begun = time.perf_counter()
        command = pinned(LOAD_CORE, fairlead_command("--help"))
        subprocess.run(command, env=fairlead_env(), check=True, capture_output=True)
        taken.append(time.perf_counter() - begun)
    return taken


def ready_seconds() -> list[float]:
    """Wall time from the start to the first 200 on /readyz, three times."""
    taken = []
    for _ in range(3):
        with staged("fairlead") as stage:
            taken.append(stage.ready_s)
    return taken


def idle_memory(stage: Stage) -> dict[str, machine.Memory]:
    """The worker, and the whole process tree."""
    assert stage.subject.pid is not None
    worker = machine.memory(machine.listener(stage.subject.pid, stage.subject.port))
    parts = [machine.memory(pid) for pid in machine.tree(stage.subject.pid)]
    total = machine.Memory(rss_mb=sum(part.rss_mb for part in parts), pss_mb=sum(part.pss_mb for part in parts))
    return {"worker": worker, "all processes": total}


def _alternate(size: Size, targets: tuple[Target, ...], measure: Callable[[Target], load.Sample]) -> Samples:
    found: Samples = {}
    patience = load.Patience(size.patience)
    for _ in range(size.stream_rounds):
        for target in targets:
            found.setdefault(target.name, []).append(patience.measure(partial(measure, target)))
    return found
