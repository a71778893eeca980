"""How fast records come into the database, and how fast a million of them is looked at: `python -m bench.history`.

Synthetic records, like those of a gateway with 200 keys, 5 000 users and three deployments. With `--postgres` the
server of the tests is used. Prints Markdown.
"""

import argparse
import gc
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import text
from tests.postgres import postgres

from fairlead.canonical.routing import AttemptRecord, Latency, RequestRecord
from fairlead.canonical.usage import Usage
from fairlead.control.request_log import RequestLog
from fairlead.control.usage_report import BY, report, span_of, waste_report
from fairlead.database import pages, requests, schema
from fairlead.database.engine import Database, Patience
from fairlead.database.pages import Filter
from fairlead.database.place import Place
from fairlead.journal.frames import encode
from fairlead.journal.reader import Reader

START = 1_790_000_000 // 86_400 * 86_400.0
DEPLOYMENTS = ("openai/gpt-4o-mini", "azure/gpt-4o-mini", "anthropic/claude-sonnet-4")
REPEATS = 5

FILTERS: dict[str, Filter] = {
    "nothing": Filter(),
    "a tenant (5 %)": Filter(tenant="t3"),
    "a key (0.5 %)": Filter(key="k00000003"),
    "a model (all)": Filter(model="chat"),
    "a deployment (33 %)": Filter(deployment=DEPLOYMENTS[1]),
    "ended=cut (0.5 %)": Filter(ended="cut"),
    "status=429 (1 %)": Filter(status=429),
    "code (1 %)": Filter(code="rate_limited"),
    "a user (0.02 %)": Filter(user="u977"),
    "an id": Filter(id="req_a1b2c3ff"),
    "a tag (11 %)": Filter(tag="team=x3"),
    "one day": Filter(since=START + 86_400, until=START + 2 * 86_400),
    "a tenant and a user of another": Filter(tenant="t3", user="u977"),
    "a tenant and a key of another (nothing)": Filter(tenant="t3", key="k00000004"),
    "a deployment and a tenant that never meet": Filter(deployment="mistral/large", tenant="big"),
    "a tag, a deployment, a model, a day": Filter(
        tag="team=x3", deployment=DEPLOYMENTS[2], model="chat", since=START, until=START + 86_400
    ),
    "deployment and code (nothing, both common)": Filter(deployment=DEPLOYMENTS[0], code="rate_limited"),
    "a value that nobody has": Filter(tenant="nobody", ended="finished"),
}


def synthetic(count: int, days: int) -> Iterator[RequestRecord]:
    """Spread over `days`; a third of them meet the worst case: `big` never uses `mistral/large`, others always do."""
    rng = random.Random(7)
    step = days * 86_400 / count
    for number in range(count):
        key = rng.randrange(200)
        refused = rng.random() < 0.01
        served = "" if refused else rng.choice(DEPLOYMENTS)
        tenant = f"t{key % 20}"
        if number % 3 == 0:
            tenant, served = ("big", DEPLOYMENTS[0]) if number % 2 else ("many", "mistral/large")
        yield RequestRecord(
            id=f"req_a1b2c3{number:x}",
            at=START + number * step,
            tenant=tenant,
            key=f"k{key:08d}",
            dialect="openai_chat",
            asked="chat",
            route="chat",
            config="8a1c2f",
            served=served,
            stream=number % 2 == 0,
            status=429 if refused else 200,
            code="rate_limited" if refused else "",
            ended="refused" if refused else "cut" if number % 200 == 0 else "finished",
            attempts=_attempts(served),
            usage=None if refused else Usage(input=rng.randrange(5000), output=rng.randrange(900)),
            cost=None if refused else f"0.00{rng.randrange(10**6):06d}",
            price="fairlead 2026-11-04",
            first_token=0.31,
            duration=0.93,
            user=f"u{key * 25 + rng.randrange(25)}",
            tags=(("team", f"x{key % 9}"),),
            hold="m1-a-1",
            charged=0 if refused else rng.randrange(1, 9000),
            overhead_us=300,
            latency=Latency(body=0.001, first_token=0.3, answer=0.6, gateway=0.0003),
            limits=("60 requests per 1m of tenant 'acme'",),
        )


def _attempts(served: str) -> tuple[AttemptRecord, ...]:
    if not served:
        return ()
    return (AttemptRecord(deployment=served, started_at=0.001, duration=0.9, outcome="answered", status=200),)


def ingest(folder: Path, database: Database, count: int, days: int) -> None:
    """Records per second of CPU of this process, reading and decoding included."""
    with (folder / "bench.journal").open("wb") as stream:
        for record in synthetic(count, days):
            stream.write(encode(record))
    log, reader = RequestLog(database, "m1"), Reader(folder)
    gc.collect()
    gc.freeze()
    wall, cpu = time.perf_counter(), time.process_time()
    for batch in reader.beyond(log.positions()):
        log.take(batch)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"ingestion: {count} records of {days} days, {count / cpu:.0f}/s of CPU, {count / wall:.0f}/s of wall time\n")


def measured(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Milliseconds: the median and the longest."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = work()
        times.append((time.perf_counter() - start) * 1000)
    return median(times), max(times), result


def look(database: Database, days: int) -> None:
    print("| list of 100 filtered by | median ms | longest ms | rows | more |\n|---|---|---|---|---|")
    for name, wanted in FILTERS.items():
        middle, most, page = measured(lambda wanted=wanted: _page(database, wanted))  # type: ignore[misc]
        print(f"| {name} | {middle:.1f} | {most:.1f} | {len(page.lines)} | {'yes' if page.after else 'no'} |")
    span = span_of(START, START + days * 86_400, None)
    print("\n| usage of all days | median ms | longest ms | rows |\n|---|---|---|---|")
    for by in BY:
        middle, most, found = measured(lambda by=by: _read(database, lambda c: report(c, by, span)))  # type: ignore[misc]
        print(f"| by {by} | {middle:.1f} | {most:.1f} | {len(found.rows)} |")
    middle, most, found = measured(lambda: _read(database, lambda c: waste_report(c, span)))
    print(f"| waste | {middle:.1f} | {most:.1f} | {len(found.rows)} |")
    middle, most, _ = measured(lambda: _read(database, lambda c: requests.named(c, "req_a1b2c3ff")))
    print(f"| one request by its id | {middle:.1f} | {most:.1f} | 1 |\n")


def _page(database: Database, wanted: Filter) -> pages.Page:
    found: pages.Page = _read(database, lambda c: pages.page(c, wanted, limit=100, clock=time.monotonic))
    return found


def _read(database: Database, work: Callable[[Any], Any]) -> Any:
    with database.reading() as connection:
        return work(connection)


@contextmanager
def _place(folder: Path, *, embedded: bool) -> Iterator[Place]:
    if embedded:
        yield Place(data=folder)
        return
    with postgres() as server:
        yield Place(data=folder, url=server.new_database())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=28, help="the time over which they are spread")
    parser.add_argument("--postgres", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, _place(Path(name), embedded=not args.postgres) as place:
        print(f"## {'PostgreSQL' if args.postgres else 'SQLite'}\n")
        database = Database(place, Patience(statement=600.0, transaction=600.0))
        schema.migrate(database)
        ingest(Path(name), database, args.records, args.days)
        if args.postgres:
            with database.writing() as connection:
                connection.execute(text("ANALYZE"))  # autovacuum does so within a minute
        look(Database(place, Patience(statement=2.0, transaction=2.0)), args.days)


if __name__ == "__main__":
    main()
