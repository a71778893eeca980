"""What virtual keys cost: `python bench/keys.py [--keys N]` builds a database and an index of N keys and measures both.

Speed of the projection and of pages, memory of workers that look keys up, cost of each step of a check, and whether its
time tells anything of a wrong key (Welch's t between kinds of them; beyond 4.5 it would).
"""

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
from sqlalchemy import insert

from fairlead.canonical import credential
from fairlead.canonical.limits import Limit
from fairlead.canonical.tenants import VirtualKey
from fairlead.control.keys import entries
from fairlead.database import keys as rows
from fairlead.database import schema
from fairlead.database.engine import Database
from fairlead.database.place import Place
from fairlead.database.tables import key_secrets, keys, meta
from fairlead.state.keys import Entry, KeyIndex, KeyWriter, Standing

PEPPER = b"a pepper of the bench, 32 bytes!"
LIMITS = (Limit(unit="requests", algorithm="sliding_window", limit=60, per=60_000_000, burst=20),)
SAMPLES = 2000
READS = 200_000


def text_of(number: int) -> bytes:
    """The text of the n-th key: anyone can make it again."""
    return credential.mint(random.Random(number).randbytes(credential.ENTROPY)).text.encode()


def fill(database: Database, count: int) -> None:
    with database.writing() as connection:
        for start in range(0, count, 10_000):
            batch = range(start, min(start + 10_000, count))
            made = [_row(number) for number in batch]
            connection.execute(insert(keys), [row for row, _ in made])
            connection.execute(insert(key_secrets), [secret for _, secret in made])
        connection.execute(meta.update().values(version=count))


def _row(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    text = text_of(number)
    key = rows.Key(
        id=text[3:13].decode(),
        name=f"key {number}",
        tenant=f"tenant-{number % 1000}",
        tier="paid",
        limits=LIMITS,
        tags=(("team", "search"),),
        created_at=1_790_000_000.0 + number / 100,
        version=number + 1,
    )
    secret = {"mac": credential.mac(PEPPER, text), "key_id": key.id, "expires_at": None}
    return msgspec.structs.asdict(key), secret


def timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def pages(database: Database) -> dict[str, float]:
    """Milliseconds of pages of 100 from random places, filtered by tenant and not."""
    times = []
    for number in range(400):
        wanted = rows.Filter(tenant=f"tenant-{random.randrange(1000)}" if number % 2 else None)
        after = (1_790_000_000.0 + random.random() * 10_000, "zzzzzzzzzz")
        with database.reading() as connection:
            begun = time.perf_counter()
            rows.page(connection, 100, wanted=wanted, after=after)
            times.append((time.perf_counter() - begun) * 1000)
    cut = statistics.quantiles(times, n=100)
    return {"p50": round(cut[49], 2), "p99": round(cut[98], 2)}


WORKER = """
import sys, random
sys.path[:0] = [sys.argv[3], sys.argv[4]]
from pathlib import Path
from fairlead.canonical import credential
from fairlead.state.keys import KeyIndex
from bench.keys import PEPPER, READS, text_of
index = KeyIndex(Path(sys.argv[1]))
count = int(sys.argv[2])
for _ in range(READS // 4):
    assert index.find(credential.mac(PEPPER, text_of(random.randrange(count))))
print("ready", flush=True)
sys.stdin.read()
"""


def memory(folder: Path, count: int) -> dict[str, float]:
    """MiB of a process that has read random keys as a worker does; two run, so that shared pages show as such."""
    root = Path(__file__).parent.parent
    command = [sys.executable, "-c", WORKER, str(folder), str(count), str(root / "src"), str(root)]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ})
        for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    status = Path(f"/proc/{workers[0].pid}/status").read_text()
    anonymous = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))
    full = psutil.Process(workers[0].pid).memory_full_info()
    for worker in workers:
        worker.communicate()
    mib = 1024 * 1024
    return {"anonymous": round(anonymous / 1024, 1), "uss": round(full.uss / mib, 1), "rss": round(full.rss / mib, 1)}


def costs(index: KeyIndex, count: int) -> dict[str, float]:
    """Microseconds of each step of a check."""
    texts = [text_of(random.randrange(count)) for _ in range(10_000)]
    macs = [credential.mac(PEPPER, text) for text in texts]
    garbage = [text[:-1] + b"!" for text in texts]
    strange = [os.urandom(32) for _ in texts]
    steps: dict[str, tuple[Callable[[bytes], Any], list[bytes]]] = {
        "well_formed": (credential.is_well_formed, texts),
        "garbage": (credential.is_garbage, garbage),
        "mac": (lambda text: credential.mac(PEPPER, text), texts),
        "find": (index.find, macs),
        "find_nothing": (index.find, strange),
    }
    found = {}
    for name, (step, arguments) in steps.items():
        best = min(_all(step, arguments) for _ in range(5))
        found[name] = round(best / len(arguments) * 1e6, 2)
    return found


def _all(step: Callable[[bytes], Any], arguments: list[bytes]) -> float:
    begun = time.perf_counter()
    for argument in arguments:
        step(argument)
    return time.perf_counter() - begun


def leaks(index: KeyIndex, count: int) -> dict[str, float]:
    """Welch's t of the time of a check, each kind of wrong key against unknown ones, samples interleaved.

    A sample is the best of some checks of different keys of its kind. `good` shows that the measure can tell: a key
    that is in the index takes longer by its record's size, whether or not it has ended.
    """
    entropy = random.Random(0).randbytes(credential.ENTROPY)

    def near(same: int) -> bytes:
        """A well-formed key that shares its first bytes with one that is good."""
        return credential.mint(entropy[:same] + os.urandom(credential.ENTROPY - same)).text.encode()

    kinds: dict[str, Callable[[], bytes]] = {
        "unknown": lambda: near(0),
        "unknown_again": lambda: near(0),
        "id_right": lambda: near(8),
        "half_of_the_secret_right": lambda: near(24),
        "all_but_four_bytes_right": lambda: near(36),  # with fewer, the same few keys come again and are warm
        "good": lambda: text_of(random.randrange(count)),
    }
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(SAMPLES):
        for name in random.sample(list(kinds), len(kinds)):
            times[name].append(min(_checked(index, kinds[name]()) for _ in range(20)))
    return {name: round(_welch(times["unknown"], times[name]), 2) for name in kinds if name != "unknown"}


def _checked(index: KeyIndex, text: bytes) -> float:
    begun = time.perf_counter()
    if not credential.is_garbage(text):
        index.find(credential.mac(PEPPER, text))
    return time.perf_counter() - begun


def _welch(one: list[float], other: list[float]) -> float:
    spread = statistics.variance(one) / len(one) + statistics.variance(other) / len(other)
    return (statistics.fmean(one) - statistics.fmean(other)) / math.sqrt(spread) if spread else 0.0


def _single() -> Iterator[Entry]:
    yield Entry("one", ((credential.mac(PEPPER, text_of(0)), VirtualKey(id="one", limits=LIMITS)),))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--keys", type=int, default=1_000_000)
    count = parser.parse_args().keys
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        database = Database(Place(data=folder))
        schema.prepare(database)
        filled = timed(lambda: fill(database, count))
        single = KeyWriter(folder / "one")
        single.rebuild(_single(), Standing("one", 1))
        single.close()
        writer = KeyWriter(folder / "all")
        with database.reading() as connection:
            built = timed(lambda: writer.rebuild(entries(connection), Standing("all", count)))
        writer.close()
        report = {
            "keys": count,
            "filled_s": round(filled, 1),
            "index_built_s": round(built, 1),
            "index_keys_per_s": round(count / built),
            "index_mib": round((folder / "all" / "data.mdb").stat().st_size / 2**20),
            "page_of_100_ms": pages(database),
            "worker_mib_one_key": memory(folder / "one", 1),
            "worker_mib_all_keys": memory(folder / "all", count),
        }
        database.close()
        index = KeyIndex(folder / "all")
        report |= {"microseconds": costs(index, count), "welch_t": leaks(index, count)}
        index.close()
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
