"""How many requests a second one core simulates, and how much memory that takes: `python -m bench.simulator`.

The demo's configuration under its faults, and one with tenants, end users, limits and a budget. Seconds are of CPU.
Memory is the most that Python had allocated for the simulation, and of the process. Prints Markdown.
"""

import argparse
import gc
import resource
import tempfile
import time
import tracemalloc
from pathlib import Path
from statistics import median

import msgspec

from bench.machine import commit, describe
from fairlead.canonical.limits import DAY, DOLLAR, SECOND, Limit
from fairlead.canonical.tenants import Scoped, Tenant
from fairlead.config.load import load
from fairlead.fakes.demo import CLIENT_KEY, demo_config
from fairlead.simulator.faults import parse
from fairlead.simulator.life import run
from fairlead.simulator.scenario import Load, Scenario
from fairlead.simulator.setting import Setting
from fairlead.simulator.simulate import nothing_measured, simulate, trial_of

FAULTS = {
    "openai": parse("429=0.25,503=0.10,500=0.05"),
    "anthropic": parse("529=0.15,429=0.10"),
    "self-hosted": parse("503=0.05"),
}
"""Those of the demo's fake providers."""
REPEATS = 5


def demo(requests: int) -> Setting:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "fairlead.yaml"
        file.write_text(demo_config({"openai": 1, "anthropic": 2, "self_hosted": 3}))
        loaded = load(str(file), {}, shortest_key=len(CLIENT_KEY))
    if loaded.snapshot is None:
        raise RuntimeError(f"the demo's configuration has problems: {loaded.problems}")
    return Setting(snapshot=loaded.snapshot, requests=requests, faults=FAULTS)


def limited(requests: int) -> Setting:
    """Ten tenants with limits on requests and tokens and a budget each, and one on each of 1 000 end users."""
    plain = demo(requests)
    limits = (
        Limit(unit="requests", algorithm="sliding_window", limit=400, per=60 * SECOND),
        Limit(unit="tokens", algorithm="token_bucket", limit=1_000_000, per=60 * SECOND),
        Limit(unit="money", algorithm="calendar", limit=20 * DOLLAR, per=DAY),
    )
    each_user = Scoped(
        scope="user", match="*", limits=(Limit(unit="requests", algorithm="gcra", limit=60, per=60 * SECOND, burst=10),)
    )
    names = [f"tenant{number}" for number in range(10)]
    snapshot = msgspec.structs.replace(
        plain.snapshot, tenants={name: Tenant(name=name, limits=limits) for name in names}, scoped=(each_user,)
    )
    scenario = Scenario(traffic=dict.fromkeys(names, Load(user=1000, max_tokens=2000)))
    return msgspec.structs.replace(plain, snapshot=snapshot, scenario=scenario)


CONFIGURATIONS = {"the demo": demo, "limits and budgets": limited}


def rates(setting: Setting) -> list[float]:
    """Simulated requests per second of CPU, several times."""
    found = []
    for _ in range(REPEATS):
        trial, arriving = trial_of(setting, nothing_measured)
        gc.collect()
        begun = time.process_time()
        run(trial, arriving, setting.requests)
        found.append(setting.requests / (time.process_time() - begun))
    return found


def memory(setting: Setting) -> int:
    """Bytes that Python had allocated at the most, beyond what was there before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        simulate(setting)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000, help="in a measurement of speed")
    parser.add_argument("--largest", type=int, default=1_000_000, help="the largest measurement of memory")
    args = parser.parse_args()
    machine = describe()
    print(f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, commit {commit()}.\n")
    print(f"| {args.requests} requests of | requests/s of CPU, median | all {REPEATS} |\n|---|---:|---|")
    for name, made in CONFIGURATIONS.items():
        found = rates(made(args.requests))
        print(f"| {name} | {median(found):.0f} | {', '.join(f'{one:.0f}' for one in found)} |")
    print("\n| requests of the demo | Python's peak, MB | the process's peak so far, MB |\n|---:|---:|---:|")
    simulate(demo(1000))  # modules that are loaded late
    for requests in (10_000, 100_000, 1_000_000):
        if requests <= args.largest:
            peak = memory(demo(requests)) / 1e6
            resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
            print(f"| {requests} | {peak:.2f} | {resident:.0f} |")


if __name__ == "__main__":
    main()
