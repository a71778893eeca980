"""The leak check: whole answers and hung-up streams must leave memory, open files and in-flight counts as they were.

After a warm-up it plays the same batch twice and judges the growth over the second. `python bench/soak.py --short`
exits with 1 on a leak. It knows the admin port's /healthz and nothing of the gateway's inside.
"""

import argparse
import http.client
import json
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import load, machine
from bench.settings import chat_body
from bench.stage import MissingToolError, Stage, staged

CONNECTIONS = 32
QUIET_LOOKS = 4
"""So often in a row nothing may be in flight before the worker counts as at rest: its figures come with a delay."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is played in all; half of it is warm-up. `growth_mb` is the memory that the second half may add."""

    requests: int
    aborts: int
    growth_mb: float


PLANS = {
    "tiny": Plan(requests=2_000, aborts=200, growth_mb=2.0),
    "short": Plan(requests=5_000, aborts=500, growth_mb=2.5),
    "full": Plan(requests=200_000, aborts=20_000, growth_mb=6.0),
}


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The worker at rest."""

    rss_mb: float
    open_files: int
    in_flight: int
    provider_open: int


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    before: State
    after: State
    requests: int
    aborts: int
    leaks: list[str]
    """One sentence per leak; empty: none."""


def soak(stage: Stage, plan: Plan) -> Verdict:
    """Plays the plan on the stage's gateway and compares its state at rest."""
    _batch(stage, plan)
    before = _at_rest(stage)
    requests, aborts = _batch(stage, plan)
    after = _at_rest(stage)
    return Verdict(
        before=before, after=after, requests=requests, aborts=aborts, leaks=judge(before, after, plan.growth_mb)
    )


def judge(before: State, after: State, growth_mb: float) -> list[str]:
    """What stayed behind, in words."""
    leaks = []
    if after.rss_mb - before.rss_mb > growth_mb:
        leaks.append(f"memory grew from {before.rss_mb:.1f} to {after.rss_mb:.1f} MB")
    if after.open_files - before.open_files > CONNECTIONS:
        leaks.append(f"open files grew from {before.open_files} to {after.open_files}")
    if after.in_flight:
        leaks.append(f"{after.in_flight} requests are still counted as in flight")
    if after.provider_open:
        leaks.append(f"{after.provider_open} streams of clients that hung up are still open at the provider")
    return leaks


def _batch(stage: Stage, plan: Plan) -> tuple[int, int]:
    """Half of the plan: whole answers first, then streams that hang up after three chunks."""
    body = stage.folder / "body-1024.json"
    body.write_bytes(chat_body(1024))
    served = aborted = 0
    while served < plan.requests // 2:
        served += load.requests(stage.subject, body, CONNECTIONS, 1).units
    while aborted < plan.aborts // 2:
        aborted += load.streams(stage.subject, "paced", streams=50, cancel=3).seen["cancelled"]
    return served, aborted


def _at_rest(stage: Stage, seconds: float = 10.0) -> State:
    """The state once nothing is in flight any more, or after `seconds`."""
    assert stage.subject.pid is not None
    worker = machine.listener(stage.subject.pid, stage.subject.port)
    last = time.monotonic() + seconds
    quiet = 0
    while True:
        state = State(
            rss_mb=machine.memory(worker).rss_mb,
            open_files=machine.open_files(worker),
            in_flight=_sum(_get(stage.subject.admin, "/healthz"), "in_flight"),
            provider_open=int(_get(stage.paced_port, "/stats")["open"]),
        )
        quiet = 0 if state.in_flight or state.provider_open else quiet + 1
        if quiet == QUIET_LOOKS or time.monotonic() > last:
            return state
        time.sleep(0.3)


def _get(port: int, path: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())


def _sum(tree: Any, name: str) -> int:
    """The sum of all numbers called `name` under the workers of a health answer."""
    if isinstance(tree, list):
        return sum(_sum(each, name) for each in tree)
    if not isinstance(tree, dict):
        return 0
    if isinstance(tree.get("workers"), list | dict):
        return _sum(tree["workers"], name)
    return int(tree[name]) if name in tree else sum(_sum(each, name) for each in tree.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--short", action="store_const", dest="plan", const="short", help="5 000 requests (default)")
    choice.add_argument("--full", action="store_const", dest="plan", const="full", help="200 000 requests")
    choice.add_argument("--tiny", action="store_const", dest="plan", const="tiny", help="2 000 requests")
    plan = parser.parse_args().plan or "short"
    try:
        with staged("fairlead") as stage:
            verdict = soak(stage, PLANS[plan])
    except MissingToolError as missing:
        print(missing, file=sys.stderr)
        return 2
    print(json.dumps(msgspec.to_builtins(verdict), indent=2))
    return 1 if verdict.leaks else 0


if __name__ == "__main__":
    raise SystemExit(main())
