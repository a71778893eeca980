"""What the past costs: CPU time of one request's record and of its way into the journal, without any traffic.

Room promised, the record made as the books make it, encoded, written once per turn of the loop, and forced to the disk
as the settings say; the time of the thread that forces it and of the kernel counts in. `1 per turn` is a gateway with
one request at a time, `16 per turn` one that is busy.
`python bench/recording.py` prints the figures; `bench/run.py` takes them into its report.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import uvloop

from fairlead.canonical.routing import AttemptRecord, Journaling, Latency, RequestRecord
from fairlead.canonical.usage import Usage
from fairlead.journal import Journal

ROUNDS = 7
SECONDS = 0.7
AT_ONCE = (1, 16)
"""Requests that close in one turn of the loop."""
SYNCS = {"forced every 50 ms": 0.05, "forced before each answer": 0.0}
USAGE = Usage(input=187, output=96, cache_read=64)


def record(number: int) -> RequestRecord:
    """What an ordinary request leaves: one attempt, known usage and cost."""
    return RequestRecord(
        id=f"req_0123456789ab{number:x}",
        at=1_790_000_000.25,
        tenant="acme",
        key="key_1a2b3c4d",
        dialect="openai_chat",
        asked="chat",
        route="chat",
        config="4f1d2c3b5a69",
        served="openai/gpt-4o-mini",
        status=200,
        attempts=(
            AttemptRecord(
                deployment="openai/gpt-4o-mini", started_at=0.0001, duration=0.51, outcome="answered", status=200,
                connect=0.0002, usage=USAGE, cost="0.0000816",
            ),
        ),
        usage=USAGE,
        cost="0.0000816",
        price="2026-11-01",
        first_token=0.5102,
        duration=0.5104,
        user="ann",
        tags=(("team", "search"),),
        hold="m1-1a2b-18c2-1",
        charged=82,
        overhead_us=180,
        latency=Latency(queue=0.00002, connect=0.0002, first_token=0.51, gateway=0.00018),
        response_model="gpt-4o-mini-2024-07-18",
        limits=("100 requests per minute of tenant 'acme'",),
    )  # fmt: skip


async def _round(journal: Journal, at_once: int) -> float:
    """CPU microseconds per request, over a while."""
    done, until = 0, time.perf_counter() + SECONDS
    cpu = time.process_time()
    while time.perf_counter() < until:
        for _ in range(at_once):
            if not journal.promise():
                raise RuntimeError(journal.trouble)
            journal.append(record(done))
            done += 1
        await asyncio.sleep(0)
    return (time.process_time() - cpu) / done * 1e6


async def _measured(sync: float, at_once: int) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder), "requests", asyncio.get_running_loop(), settings=Journaling(sync=sync))
        await _round(journal, at_once)
        found = [await _round(journal, at_once) for _ in range(ROUNDS)]
        journal.close()
    return found


def measured() -> dict[str, list[float]]:
    """CPU microseconds per request, by how it is forced and how many close at once."""
    return {
        f"{name}, {at_once} per turn": uvloop.run(_measured(sync, at_once))
        for name, sync in SYNCS.items()
        for at_once in AT_ONCE
    }


def main() -> int:
    for name, values in measured().items():
        print(f"journal + record, {name}: {statistics.median(values):.1f} us CPU per request (least {min(values):.1f})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
