"""The audit trail at a size: what an entry costs, and how long a restart, a verification and a proof take.

    python -m bench.audit [RECORDS] [FOLDER]

The records come in batches as the control process reads them; everything is on the disk that FOLDER is on. It prints
a Markdown table.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from fairlead.audit import proofs
from fairlead.audit.opening import Terms, open_trail
from fairlead.audit.verify import verify
from fairlead.canonical.routing import AttemptRecord, Latency, RequestRecord
from fairlead.canonical.usage import Usage
from fairlead.control.audit_records import AuditRecords
from fairlead.control.custodian import Custodian
from fairlead.journal.reader import Batch

BATCH = 5000
Result = TypeVar("Result")


def record(number: int) -> RequestRecord:
    """A streamed answer after one failed attempt, of one of a thousand end users."""
    first = AttemptRecord(
        deployment="azure/gpt-5", started_at=0.001, duration=0.2, outcome="rate_limited", status=429, retry_after=2.0
    )
    second = AttemptRecord(
        deployment="openai/gpt-5", started_at=0.2, duration=1.3, outcome="answered", status=200, connect=0.01
    )
    return RequestRecord(
        id=f"req_{number:024d}",
        at=1_790_000_000.0 + number / 100,
        tenant="acme",
        key="abcdefghij",
        dialect="openai_chat",
        asked="gpt-5",
        route="gpt-*",
        config="0123456789ab",
        served="openai/gpt-5",
        stream=True,
        status=200,
        attempts=(first, second),
        usage=Usage(input=1000 + number % 100, output=300, cache_read=500),
        cost="0.004125",
        price="2026-11-20",
        first_token=0.4,
        duration=1.5,
        user=f"user-{number % 1000}",
        hold="w0-123",
        charged=4125,
        overhead_us=420,
        latency=Latency(body=0.001, queue=0.02, connect=0.02, first_token=0.4, answer=0.9, gateway=0.0004),
        response_model="gpt-5-2026-08-01",
        chunks=200,
        limits=("tenant acme: 1000 requests per minute",),
    )


def timed(work: Callable[[], Result]) -> tuple[float, float, Result]:
    """Wall and CPU seconds of `work`, and what it gave."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    home = Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp(prefix="fairlead-audit-"))
    terms = Terms(folder=home / "audit", private=home / "private", origin="bench/trail")
    custodian = Custodian(lambda: terms, time.time)
    projection = AuditRecords(custodian, home)
    projection.positions()
    wall = cpu = 0.0
    for start in range(0, count, BATCH):
        batch = Batch("w.journal", start, start + BATCH, tuple(map(record, range(start, start + BATCH))))
        took = timed(lambda: projection.take(batch))  # noqa: B023
        wall, cpu = wall + took[0], cpu + took[1]
    custodian.close()
    size = sum(path.stat().st_size for path in terms.folder.iterdir())
    opened = timed(lambda: open_trail(terms, time.time))
    opened[2].close()
    verified = timed(lambda: verify(terms.folder))
    assert verified[2].finding is None, verified[2].finding
    proven = timed(lambda: proofs.inclusion(terms.folder, count // 3))
    print(f"{count} records in batches of {BATCH}, {size / 1e6:.0f} MB\n")
    print("| what | wall | CPU | |\n|---|---|---|---|")
    print(f"| append | {wall:.1f} s | {cpu:.1f} s | {1e6 * cpu / count:.1f} µs CPU a record, {count / wall:.0f} /s |")
    print(f"| open again | {opened[0]:.3f} s | {opened[1]:.3f} s | |")
    print(f"| verify all | {verified[0]:.1f} s | {verified[1]:.1f} s | {1e6 * verified[1] / count:.1f} µs an entry |")
    print(f"| a proof | {proven[0]:.3f} s | {proven[1]:.3f} s | {len(proven[2].hashes)} hashes |")
    if len(sys.argv) <= 2:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
