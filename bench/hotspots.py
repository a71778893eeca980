"""Holds one load on the gateway while a profiler of your choice looks at the worker.

    python bench/hotspots.py --case chat --seconds 20 -- py-spy record -d 10 -r 500 -p {pid} -o worker.svg

`{pid}` becomes the worker's process. Without a command it prints the pid and only holds the load.
It must not bring a profiler into the product: the worker runs as it always does.
"""

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import load, machine
from bench.settings import chat_body
from bench.stage import MissingToolError, Stage, staged


def loads(stage: Stage) -> dict[str, Callable[[], load.Sample]]:
    """One round of each load, by the name of its case."""
    bodies = {name: stage.folder / f"{name}.json" for name in ("chat", "long")}
    for name, size in (("chat", 1024), ("long", 20480)):
        bodies[name].write_bytes(chat_body(size))
    paced = {"streams": 256, "ramp": 1.28, "rounds": 2}
    return {
        "chat": partial(load.requests, stage.subject, bodies["chat"], 64, 2),
        "long": partial(load.requests, stage.subject, bodies["long"], 64, 2),
        "stream": partial(load.streams, stage.subject, "paced", **paced),
        "translated": partial(load.streams, stage.subject, "translated", **paced),
    }


def hold(measure: Callable[[], load.Sample], until: float) -> None:
    """Round after round, each with its cost, until the time has come."""
    while time.monotonic() < until:
        sample = measure()
        print(f"{sample.units / sample.seconds:,.0f} /s, {sample.cost_us or 0:.1f} us each", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=("chat", "long", "stream", "translated"), default="chat")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("command", nargs="*", help="the profiler, after --; {pid} is the worker")
    args = parser.parse_args()
    try:
        with staged("fairlead") as stage:
            assert stage.subject.pid is not None
            worker = machine.listener(stage.subject.pid, stage.subject.port)
            measure = loads(stage)[args.case]
            measure()
            until = time.monotonic() + args.seconds
            holding = threading.Thread(target=hold, args=(measure, until))
            holding.start()
            print(f"worker {worker}", file=sys.stderr)
            done = (
                subprocess.run([word.format(pid=worker) for word in args.command], check=False)
                if args.command
                else None
            )
            holding.join()
    except (MissingToolError, load.LoadError) as failure:
        print(f"hotspots: {failure}", file=sys.stderr)
        return 2
    return done.returncode if done else 0


if __name__ == "__main__":
    raise SystemExit(main())
