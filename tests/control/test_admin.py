"""The admin port: who is let in, what is found, and how refusals read. Over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.control.http_call import Called, call

from fairlead.control.admin import Admin, Answer, Call, Entry, refuse
from fairlead.control.wishes import RefusedError
from fairlead.database.place import DatabaseError
from fairlead.http.server import Limits, Server

KEY = "an-admin-key"
AUTHORIZED = {"authorization": f"Bearer {KEY}"}


async def _echo(call_: Call) -> Answer:
    return Answer(
        {"ids": call_.ids, "body": (await call_.body()).decode(), "query": call_.query(frozenset({"a", "b"}))}
    )


async def _fails(call_: Call) -> Answer:
    raise {"db": DatabaseError("the database x cannot be used"), "no": RefusedError("conflict", "so it is", "name")}[
        call_.ids[0]
    ]


ENTRIES = (
    Entry(method="GET", path="/livez", run=_echo, open=True),
    Entry(method="GET", path="/things", run=_echo),
    Entry(method="POST", path="/things", run=_echo),
    Entry(method="DELETE", path="/things/{}", run=_echo),
    Entry(method="GET", path="/fails/{}", run=_fails),
)
Port = Callable[..., Awaitable[Called]]


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
async def ports(clock: list[float]) -> AsyncIterator[Callable[[str | None], Awaitable[int]]]:
    servers: list[Server] = []

    async def start(key: str | None) -> int:
        server = Server(Admin(ENTRIES, key, lambda: clock[0]), Limits(body=1000), refuse=refuse)
        servers.append(server)
        return await server.listen("127.0.0.1", 0)

    yield start
    for server in servers:
        await server.drain(0)


@pytest.fixture
async def port(ports: Callable[[str | None], Awaitable[int]]) -> int:
    return await ports(KEY)


def error_of(called: Called) -> tuple[int, str, Any]:
    assert called.headers["content-type"] == "application/json"
    assert set(json.loads(called.body)) == {"error"}
    error = json.loads(called.body)["error"]
    assert set(error) == {"message", "code", "param"}
    return called.status, error["code"], error["param"]


async def test_an_entry_gets_ids_body_and_query(port: int) -> None:
    called = await call(port, "GET", "/things?a=1&b=%20x", headers=AUTHORIZED)
    assert (called.status, called.json) == (200, {"ids": [], "body": "", "query": {"a": "1", "b": " x"}})
    assert called.headers["cache-control"] == "no-store"
    called = await call(port, "DELETE", "/things/a%2Fb", body=b"x", headers=AUTHORIZED)
    assert called.json["ids"] == ["a%2Fb"]
    called = await call(port, "HEAD", "/things", headers=AUTHORIZED)
    assert (called.status, called.body) == (200, b"")


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", KEY, f"bearer {KEY}", f"Bearer {KEY}x", "Bearer an-admin-ke"]
)
async def test_without_the_key_there_is_nothing_but_life(port: int, authorization: str | None) -> None:
    headers = {"authorization": authorization} if authorization is not None else {}
    answers = [await call(port, "GET", path, headers=headers) for path in ("/things", "/nothing")]
    answers.append(await call(port, "PUT", "/things", headers=headers))
    assert {error_of(called) for called in answers} == {(401, "invalid_api_key", None)}
    assert len({called.body for called in answers}) == 1, "it tells nothing of what there is"
    assert (await call(port, "GET", "/livez", headers=headers)).status == 200


async def test_what_is_not_there_and_what_cannot_be_done(port: int) -> None:
    for path in ("/", "/thing", "/things/", "/things/1/2", "//things", "/THINGS", "/things%2f"):
        called = await call(port, "GET", path, headers=AUTHORIZED)
        assert error_of(called)[:2] == (404, "not_found") if path != "/things/" else called.status == 405
    called = await call(port, "PATCH", "/things", headers=AUTHORIZED)
    assert error_of(called) == (405, "method_not_allowed", None)
    assert called.headers["allow"] == "GET, HEAD, POST"


async def test_refusals_have_one_shape(port: int) -> None:
    assert error_of(await call(port, "GET", "/fails/no", headers=AUTHORIZED)) == (409, "conflict", "name")
    assert error_of(await call(port, "GET", "/fails/db", headers=AUTHORIZED)) == (503, "database_unavailable", None)
    assert error_of(await call(port, "POST", "/things", body=b"x" * 1001, headers=AUTHORIZED)) == (
        413,
        "invalid_request",
        None,
    )
    for query in ("c=1", "a=1&a=2", "a", "a=%ff", "a=" + "x" * 3000):
        called = await call(port, "GET", f"/things?{query}", headers=AUTHORIZED)
        assert error_of(called)[:2] == (422, "invalid_request_error")


async def test_guessing_is_slowed_for_the_right_key_too(port: int, clock: list[float]) -> None:
    for number in range(10):
        assert error_of(await call(port, "GET", "/things", headers={"authorization": f"Bearer {number}"}))[0] == 401
    for headers in ({"authorization": "Bearer 11"}, AUTHORIZED):
        called = await call(port, "GET", "/things", headers=headers)
        assert error_of(called) == (429, "too_many_attempts", None)
        assert called.headers["retry-after"] == "60"
    assert (await call(port, "GET", "/livez")).status == 200
    clock[0] += 60
    assert (await call(port, "GET", "/things", headers=AUTHORIZED)).status == 200


async def test_a_missing_key_is_no_guess(port: int) -> None:
    for _ in range(15):
        assert error_of(await call(port, "GET", "/things"))[:2] == (401, "invalid_api_key")
    assert (await call(port, "GET", "/things", headers=AUTHORIZED)).status == 200


async def test_an_address_that_is_locked_out_is_told_once(port: int, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(12):
        await call(port, "GET", "/things", headers={"authorization": "Bearer guess"})
    (told,) = [one for one in caplog.records if one.message == "admin_locked"]
    assert (told.__dict__["peer"], told.__dict__["seconds"]) == ("127.0.0.1", 60)


async def test_a_page_of_another_site_may_not_call(ports: Callable[[str | None], Awaitable[int]]) -> None:
    for key in (KEY, None):
        port = await ports(key)
        for origin in ("https://evil.example", "null", f"http://127.0.0.1:{port + 1}", "http://[broken"):
            called = await call(port, "POST", "/things", headers={**AUTHORIZED, "origin": origin})
            assert error_of(called) == (403, "cross_origin", None)
        same = {**AUTHORIZED, "origin": f"http://127.0.0.1:{port}"}
        assert (await call(port, "POST", "/things", headers=same)).status == 200


async def test_a_port_without_a_key_answers_to_names_of_this_machine_only(
    ports: Callable[[str | None], Awaitable[int]],
) -> None:
    port = await ports(None)
    for host in ("127.0.0.1", "localhost", f"localhost:{port}", "[::1]:4001"):
        assert (await call(port, "GET", "/things", headers={"host": host})).status == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "10.0.0.1:4001", "[2001:db8::1]"):
        assert error_of(await call(port, "GET", "/things", headers={"host": host})) == (403, "cross_origin", None)


async def test_calls_at_once_do_not_wait_for_each_other(port: int) -> None:
    answers = await asyncio.gather(*(call(port, "GET", "/things?a=1", headers=AUTHORIZED) for _ in range(20)))
    assert {called.status for called in answers} == {200}
