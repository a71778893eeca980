"""What telling of requests costs the control process: adding a record up, writing its line, answering `/metrics`.

CPU time, not wall time: it is the same on a busy machine. Run: PYTHONPATH=src:. python bench/telling.py
"""

import logging
import os
import time
from collections.abc import Callable

from tests.telemetry.a_record import record

from fairlead.cli.logs import log_to_stderr
from fairlead.control.request_lines import line
from fairlead.telemetry.exposition import Exposition
from fairlead.telemetry.families import RECORDED
from fairlead.telemetry.lines import fields
from fairlead.telemetry.metrics import MOST_SERIES, Totals

RECORDS = 5_000
"""Fewer than the log's queue holds."""
ROUNDS = 5


def best(work: Callable[[], object]) -> float:
    """Seconds of CPU of the quickest of some rounds."""
    found = []
    for _ in range(ROUNDS):
        begin = time.thread_time()
        work()
        found.append(time.thread_time() - begin)
    return min(found)


def full() -> Totals:
    """As many series of every metric as there may be."""
    totals = Totals()
    for name, family in RECORDED.items():
        for number in range(MOST_SERIES):
            labels = [f"label-value-{number}"] * len(family.labels)
            if family.kind == "counter":
                totals.count(name, *labels)
            else:
                totals.observe(name, 0.1, *labels)
    return totals


def main() -> None:
    records = [record(stream=True, chunks=20)] * RECORDS
    totals = Totals()
    exposition = Exposition(full(), dict)
    text = exposition.text("")[1]
    print(f"adding up a record      {best(lambda: totals.take(records)) / RECORDS * 1e6:8.1f} us")
    print(f"/metrics, all series    {best(lambda: exposition.text('')) * 1e3:8.1f} ms, {len(text) / 1e6:.1f} MB")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    log_to_stderr()
    log = logging.getLogger("bench")

    def lines() -> None:
        for one in records:
            log.handle(line(fields(one)))
        logging.getLogger().handlers[0].flush()  # so that none is dropped

    print(f"a request's line        {best(lines) / RECORDS * 1e6:8.1f} us")


if __name__ == "__main__":
    main()
