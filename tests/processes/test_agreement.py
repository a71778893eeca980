"""Everybody who counts comes to the same: clients, the provider, the journals, the database, the metrics, the trail.

After a run with faults, and with workers and the control process killed in the middle of it.
"""

import json
import os
import signal
import sqlite3
import urllib.request
from collections import Counter
from decimal import Decimal
from functools import partial
from http.client import HTTPException
from pathlib import Path
from random import Random
from typing import Any

from tests.forms import FULL
from tests.processes.family import Family, fetch
from tests.processes.tenants import Clients, admin, config, fake_provider, records, tenants, worker_pids

from fairlead.canonical.routing import RequestRecord

KILLS = 1000 if FULL else 12
MORE = "tenants: {acme: {}}\nobservability: {request_lines: off}\n"


def in_the_log(data: Path) -> Counter[str]:
    """The ids in the request log, read behind the gateway's back."""
    with sqlite3.connect(f"file:{data / 'fairlead.db'}?mode=ro", uri=True) as connection:
        return Counter(one for (one,) in connection.execute("SELECT id FROM requests"))


def in_the_trail(data: Path) -> Counter[str]:
    """The ids of requests in the audit trail's entries."""
    lines = [line for path in (data / "audit").glob("entries-*.jsonl") for line in path.read_text().splitlines()]
    entries = [json.loads(line) for line in lines]
    return Counter(entry["request"] for entry in entries if entry["action"] == "request")


def metrics(family: Family) -> dict[str, float]:
    """Every series, or nothing while the control process is being started again."""
    try:
        text = fetch(f"{family.admin}/metrics")[2].decode()
    except (OSError, HTTPException):
        return {}
    pairs = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def summed(series: dict[str, float], metric: str) -> float:
    return sum(value for name, value in series.items() if name.partition("{")[0] == metric)


def has_all(family: Family, data: Path, count: int) -> bool:
    """Whether log, trail and metrics have so many requests."""
    return (
        sum(in_the_log(data).values()) == count
        and sum(in_the_trail(data).values()) == count
        and summed(metrics(family), "fairlead_requests_total") == count
    )


def dollars(kept: list[RequestRecord]) -> Decimal:
    return sum((Decimal(record.cost) for record in kept if record.cost), Decimal(0))


def provider_log(port: int) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/__fake/log", timeout=20) as answer:
        found: list[dict[str, Any]] = json.loads(answer.read())
    return found


def test_after_a_run_with_faults_everybody_counts_the_same(tmp_path: Path) -> None:
    faults = "--faults=429=0.1,500=0.1,503=0.05"
    with fake_provider(faults, "--seed=11") as port, tenants(tmp_path, config(port, workers=2, more=MORE)) as family:
        for number in range(60):
            family.chat(max_tokens=20, stream=number % 3 == 0)
            if number % 10 == 0:
                family.chat(model="nothing-like-it")
        family.until(lambda: has_all(family, tmp_path, 66), "not all are in", 30.0)
        kept, series, seen = records(tmp_path), metrics(family), provider_log(port)
        told = admin(family, "usage?by=model&since=1d")["total"]
    assert len(kept) == 66
    attempts = sum(len(record.attempts) for record in kept)
    assert attempts == len(seen) == summed(series, "fairlead_attempts_total") == told["attempts"]
    used = [record.usage for record in kept if record.usage]
    assert told["requests"] == 66
    assert (told["input"], told["output"]) == (sum(one.input for one in used), sum(one.output for one in used))
    assert summed(series, "fairlead_tokens_total") == told["input"] + told["output"]
    assert Decimal(told["cost"]) == dollars(kept) > 0
    assert Decimal(str(summed(series, "fairlead_cost_dollars_total"))).quantize(Decimal(10) ** -9) == dollars(kept)
    assert Counter(record.id for record in kept) == in_the_log(tmp_path) == in_the_trail(tmp_path)


def test_s10_killed_again_and_again_each_answer_is_there_once(tmp_path: Path) -> None:
    """Workers and the control process by turns, by chance, while clients are being answered."""
    chance = Random(5)
    with fake_provider() as port, tenants(tmp_path, config(port, workers=3, more=MORE)) as family:
        clients = Clients(family, 3)
        for number in range(KILLS):
            family.until(partial(_have_more, clients, clients.answered + 2), "nobody is answered", 60.0)
            os.kill(_victim(family, chance, number), signal.SIGKILL)
        clients.stop()
        kept = records(tmp_path)
        family.until(lambda: has_all(family, tmp_path, len(records(tmp_path))), "not all are in", 120.0)
        kept = records(tmp_path)
    ids = Counter(record.id for record in kept)
    assert set(ids.values()) == {1}
    assert set(clients.ids) <= set(ids)
    assert ids == in_the_log(tmp_path) == in_the_trail(tmp_path)
    assert len(clients.ids) == len(set(clients.ids)) > 2 * KILLS


def _have_more(clients: Clients, count: int) -> bool:
    return clients.answered > count


def _victim(family: Family, chance: Random, number: int) -> int:
    """Every third time the control process, else one of the workers that there are."""
    if number % 3 == 2:
        return int([line for line in family.lines if line["event"] == "config_published"][-1]["pid"])
    while True:
        try:
            return chance.choice(worker_pids(family))
        except (OSError, HTTPException, IndexError):
            continue  # the control process, which tells them, is being started again
