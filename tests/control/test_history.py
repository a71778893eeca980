"""`/admin/v1/requests` and `/admin/v1/usage` as operators call them, on both databases. Over real sockets."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from sqlalchemy import text
from tests.control.http_call import Called, call

from fairlead.canonical.routing import AttemptRecord, Latency, RequestRecord, Skipped, Verdict
from fairlead.canonical.usage import Usage
from fairlead.control.admin import Admin, refuse
from fairlead.control.history import History
from fairlead.control.request_log import RequestLog
from fairlead.database.engine import Database, Patience
from fairlead.database.place import DatabaseError
from fairlead.http.server import Limits, Server
from fairlead.journal.reader import Batch

NOON = 1_790_000_000.0 // 86_400 * 86_400 + 43_200
NOW = NOON + 7200.0
Api = Callable[[str], Awaitable[Called]]

FAILED = AttemptRecord(
    deployment="openai/m", started_at=0.1, duration=2.0, outcome="timeout", usage=Usage(input=50), cost="0.0005"
)
WENT_WRONG = RequestRecord(
    id="req/1",
    at=NOON,
    tenant="acme",
    key="k1",
    asked="Chat",
    route="chat",
    served="azure/m",
    status=200,
    attempts=(
        FAILED,
        AttemptRecord(deployment="openai/m", started_at=2.2, duration=0.2, outcome="server_error", status=502),
        AttemptRecord(deployment="azure/m", started_at=2.5, duration=0.5, outcome="answered", status=200),
    ),
    skipped=(Skipped(deployment="eu/m", reason="it rests after 3 failures"),),
    usage=Usage(input=50, output=7),
    cost="0.000123456789",
    price="fairlead 2026-11-04",
    charged=700,
    duration=3.0,
    latency=Latency(connect=0.1, first_token=2.5, gateway=0.4),
    limits=("60 requests per 1m of tenant 'acme'",),
    verdicts=(Verdict(guardrail="pii", stage="input", action="redact", reason="2 names"),),
    user="Ann",
    tags=(("team", "a"),),
)


def record(number: int, **more: Any) -> RequestRecord:
    facts = {"id": f"r{number}", "at": NOON + number, "tenant": "globex", "key": "k2", "asked": "m", "served": "x/m"}
    return RequestRecord(**{**facts, **more})


def store(database: Database, *records: RequestRecord) -> None:
    log = RequestLog(database, "m1")
    start = log.positions().get("a", 0)
    log.take(Batch("a", start, start + len(records), records))


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Api]:
    history = History(database.place, lambda: NOW, lambda: 0.0)
    server = Server(Admin(history.entries(), "admin", lambda: 0.0), Limits(body=65536), refuse=refuse)
    port = await server.listen("127.0.0.1", 0)

    async def ask(path: str) -> Called:
        return await call(port, "GET", f"/admin/v1/{path}", headers={"authorization": "Bearer admin"})

    yield ask
    await server.drain(0)
    await history.close()


async def test_requests_are_listed_newest_first_page_by_page(api: Api, database: Database) -> None:
    store(database, *[record(n) for n in range(5)])
    ids: list[str] = []
    cursor = ""
    for _ in range(3):
        page = (await api(f"requests?limit=2{cursor}")).json
        ids += [line["id"] for line in page["requests"]]
        cursor = f"&cursor={page['next']}"
        store(database, record(9 + len(ids)))  # what comes meanwhile does not shift the pages
    assert ids == ["r4", "r3", "r2", "r1", "r0"]
    assert page["next"] is None


async def test_every_filter_can_be_asked_for(api: Api, database: Database) -> None:
    store(database, WENT_WRONG, record(1, ended="refused", status=429, code="rate_limited"), record(2))
    for query in (
        "id=req%2F1", "tenant=acme", "key=k1", "model=Chat", "deployment=azure%2Fm", "user=Ann", "tag=team%3Da",
        "until=2026-09-21T12:00:01Z", f"until={NOON + 1}", "tenant=acme&ended=finished&status=200&code=",
    ):  # fmt: skip
        assert [line["id"] for line in (await api(f"requests?{query}")).json["requests"]] == ["req/1"], query
    for query in ("ended=refused", "status=429", "code=rate_limited", f"since={NOON + 1}&until={NOON + 2}"):
        assert [line["id"] for line in (await api(f"requests?{query}")).json["requests"]] == ["r1"], query
    for query in ("tenant=acm%25", "tenant=acm_", "user=%25", "id=req%251", "tag=team%3D%25", "since=1h"):
        assert (await api(f"requests?{query}")).json == {"requests": [], "next": None}, query
    (line,) = (await api("requests?tenant=acme")).json["requests"]
    assert (line["attempts"], line["input"], line["cost"], line["end_user"]) == (3, 50, "0.000123456789", "Ann")


REFUSED = {
    "limit=0": "limit",
    "limit=1001": "limit",
    "limit=1000000000": "limit",
    "limit=9999999999999999999": "limit",
    "limit=-1": "limit",
    "limit=x": "limit",
    "cursor=zz": "cursor",
    "cursor=5b2d312c315d": "cursor",
    "cursor=": "cursor",
    "sort=cost": "sort",
    "order=asc;drop": "order",
    "ended=finishd": "ended",
    "status=abc": "status",
    "status=2": "status",
    "tag=team": "tag",
    "since=yesterday": "since",
    "until=1e300": "until",
    "since=nan": "since",
    "since=1h&until=2h": "until",
    f"user={'u' * 600}": "user",
    f"id={'1,' * 10_000}": None,
    "tenant=a&tenant=b": None,
    "tenant=%FF": None,
}


@pytest.mark.parametrize("query", REFUSED)
async def test_a_query_that_cannot_be_answered_is_told_which_part_is_to_blame(api: Api, query: str) -> None:
    called = await api(f"requests?{query}")
    assert called.status == (422 if len(query) < 4000 else called.status)
    if called.status == 422:
        error = called.json["error"]
        assert (error["code"], error["param"]) == ("invalid_request_error", REFUSED[query])
    else:
        assert 400 <= called.status < 500


async def test_one_request_tells_every_deployment_and_why(api: Api, database: Database) -> None:
    store(database, msgspec.structs.replace(WENT_WRONG, at=NOON - 50.0), WENT_WRONG)
    told = (await api(f"requests/{quote('req/1', safe='')}")).json
    considered = [(one["deployment"], one["used"], one["why"], len(one["attempts"])) for one in told["considered"]]
    assert considered == [
        ("openai/m", False, "its last attempt failed: server_error (502)", 2),
        ("azure/m", True, "it answered", 1),
        ("eu/m", False, "it rests after 3 failures", 0),
    ]
    assert [a["number"] for one in told["considered"] for a in one["attempts"]] == [1, 2, 3]
    assert told["others"] == 1
    assert (told["latency"]["first_token"], sum(told["latency"].values())) == (2.5, 3.0)
    assert told["money"] == {
        "cost": "0.000123456789", "price": "fairlead 2026-11-04", "charged": "0.0007", "estimated": False,
    }  # fmt: skip
    assert told["usage"]["output"] == 7
    assert told["limits"] == ["60 requests per 1m of tenant 'acme'"]
    assert told["record"]["at"] == NOON
    assert told["record"]["verdicts"] == [
        {"guardrail": "pii", "stage": "input", "action": "redact", "reason": "2 names"}
    ]
    assert set(told["record"]) == set(RequestRecord.__struct_fields__)


async def test_a_request_that_is_not_there_is_not_found(api: Api) -> None:
    called = await api("requests/nobody")
    assert (called.status, called.json["error"]["code"]) == (404, "not_found")
    assert "'nobody'" in called.json["error"]["message"]


async def test_usage_is_told_by_everything_that_it_can_be_told_by(api: Api, database: Database) -> None:
    store(
        database, WENT_WRONG, record(1, ended="refused", served="", attempts=()), record(2, cost="0.5", usage=Usage())
    )
    since = "since=2026-09-21"
    expected = {
        "tenant": ["globex", "acme"],
        "key": ["k2", "k1"],
        "model": ["m", "Chat", ""],
        "deployment": ["x/m", "azure/m", ""],
        "day": ["2026-09-21"],
        "tag": ["team=a"],
        "user": ["Ann"],
    }
    for by, names in expected.items():
        told = (await api(f"usage?by={by}&{since}")).json
        assert [row["name"] for row in told["rows"]] == names, by
        assert (told["by"], told["total"]["cost"], told["total"]["requests"]) == (by, "0.500123456789", 3)
    told = (await api(f"usage?{since}")).json
    acme = told["rows"][1]
    assert (acme["requests"], acme["attempts"], acme["fallbacks"], acme["charged"]) == (1, 3, 1, "0.0007")
    assert (told["total"]["refused"], told["total"]["input"], told["since"]) == (1, 50, NOON - 43_200)
    only = (await api(f"usage?by=model&tenant=acme&{since}")).json
    assert ([row["name"] for row in only["rows"]], only["total"]["cost"]) == (["Chat"], "0.000123456789")
    assert (await api("usage?since=1h")).json["rows"] == []


async def test_waste_is_told_by_its_cause(api: Api, database: Database) -> None:
    gone = record(3, ended="client_gone", usage=Usage(input=5), cost="0.25", served="x/m")
    unknown = record(4, ended="cut", usage=Usage(input=5), served="x/m")
    store(database, WENT_WRONG, gone, unknown, record(5, ended="client_gone"))
    told = (await api("usage?by=waste&since=1d")).json
    assert [(row["cause"], row["deployment"], row["cost"], row["unpriced"]) for row in told["rows"]] == [
        ("client_gone", "x/m", "0.25", 0),
        ("timeout", "openai/m", "0.0005", 0),
        ("cut", "x/m", "0", 1),
    ]
    assert (told["total"]["cost"], told["total"]["attempts"], told["total"]["unpriced"]) == ("0.2505", 3, 1)


async def test_what_nobody_charges_for_is_not_without_a_price(api: Api, database: Database) -> None:
    own = record(3, ended="client_gone", usage=Usage(input=5), price="self_hosted", served="box/llama")
    store(database, own)
    for by in ("deployment", "waste"):
        (row,) = (await api(f"usage?by={by}&since=1d")).json["rows"]
        assert (row["cost"], row["unpriced"]) == ("0", 0)


@pytest.mark.parametrize(
    ("query", "param"), [("by=colour", "by"), ("since=x", "since"), ("until=8d", "until"), ("limit=5", "limit")]
)
async def test_usage_names_what_it_does_not_understand(api: Api, query: str, param: str) -> None:
    called = await api(f"usage?{query}")
    assert (called.status, called.json["error"]["param"]) == (422, param)


SLOW = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(60)",
}


def test_what_takes_too_long_is_ended_and_said_so(database: Database) -> None:
    hasty = Database(database.place, Patience(statement=0.05, transaction=0.05))
    try:
        with pytest.raises(DatabaseError, match="took too long; ask for less"), hasty.reading() as connection:
            connection.execute(text(SLOW[connection.dialect.name]))
        with hasty.reading() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
    finally:
        hasty.close()
