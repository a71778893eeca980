"""`/admin/v1/keys` as operators call it, on both databases, with the index behind it. Over real sockets."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.control.conftest import PEPPER, TERMS
from tests.control.http_call import Called, call
from tests.key_reader import KeyReader, key_reader

from fairlead.canonical.credential import is_well_formed, mac
from fairlead.control import keys as following
from fairlead.control.accounts import Author
from fairlead.control.admin import Admin, refuse
from fairlead.control.desk import Desk
from fairlead.control.key_entries import KeyEntries
from fairlead.control.keyring import Keyring
from fairlead.control.keys import Follower
from fairlead.database.engine import Database
from fairlead.http.server import Limits, Server
from fairlead.state.board import Board
from fairlead.state.keys import KeyWriter

PATH = "/admin/v1/keys"
AUTHORIZED = {"authorization": "Bearer admin"}
Api = Callable[..., Awaitable[Called]]


@pytest.fixture
async def api(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """Calls the admin port of a control process that looks at the database only when it is told to."""
    monkeypatch.setattr(following, "LOOK_EVERY", 3600.0)
    index = KeyWriter(tmp_path / "index")
    follower = Follower(database, index, Board(1))
    desk = Desk("admin")
    keyring = Keyring(database, lambda: PEPPER, terms=lambda: TERMS, clock=time.time, author=Author("admin"))
    entries = KeyEntries(keyring, desk, follower.nudge).entries()
    await follower.catch_up()
    following_it = asyncio.create_task(follower.run())
    server = Server(Admin(entries, "admin", lambda: 0.0), Limits(body=65536), refuse=refuse)
    port = await server.listen("127.0.0.1", 0)

    async def ask(method: str, path: str = "", body: Any = None) -> Called:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return await call(port, method, PATH + path, body=content, headers=AUTHORIZED)

    yield ask
    await server.drain(0)
    following_it.cancel()
    await asyncio.gather(following_it, return_exceptions=True)
    await follower.close()
    desk.close()
    index.close()


@pytest.fixture
def reader(api: Api, tmp_path: Path) -> Iterator[KeyReader]:
    with key_reader(tmp_path / "index") as found:
        yield found


async def made(api: Api, **fields: Any) -> dict[str, Any]:
    called = await api("POST", "", {"name": "ci", **fields})
    assert called.status == 201
    return dict(called.json)


async def test_a_key_is_shown_once_and_found_by_workers_at_once(api: Api, reader: KeyReader) -> None:
    created = await made(api, tenant="acme", tags={"team": "search"})
    text = created.pop("key")
    assert is_well_formed(text.encode())
    shown = (await api("GET", f"/{created['id']}")).json
    assert shown == created
    listed = await api("GET")
    assert listed.json == {"keys": [created], "next": None}
    assert text.split("_")[2] not in listed.body.decode()
    await eventually(lambda: reader.find(mac(PEPPER, text.encode())) is not None)


async def eventually(condition: Callable[[], bool]) -> None:
    """A change that was answered is on its way to the index; it is there without another look at the clock."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_key_lives_and_ends(api: Api, reader: KeyReader) -> None:
    first = await made(api)
    path = f"/{first['id']}"
    assert (await api("PATCH", path, {"models": ["chat"]})).json["models"] == ["chat"]
    second = (await api("POST", f"{path}/rotate", {"overlap": "1h"})).json
    assert (second["id"], second["models"]) == (first["id"], ["chat"])
    macs = [mac(PEPPER, one["key"].encode()) for one in (first, second)]
    await eventually(lambda: all(reader.find(one) for one in macs))
    revoked = await api("DELETE", path)
    assert (revoked.status, revoked.json["state"]) == (200, "revoked")
    assert (await api("POST", f"{path}/revoke")).json == revoked.json
    await eventually(lambda: not any(reader.find(one) for one in macs))
    for method, rest, body in (("PATCH", path, {"name": "x"}), ("POST", f"{path}/rotate", {})):
        assert error_of(await api(method, rest, body)) == (409, "conflict", None)


async def test_an_overlap_of_nothing_ends_the_secret_so_far(api: Api, reader: KeyReader) -> None:
    first = await made(api)
    second = (await api("POST", f"/{first['id']}/rotate", {"overlap": "0s"})).json
    await eventually(lambda: reader.find(mac(PEPPER, second["key"].encode())) is not None)
    old = reader.find(mac(PEPPER, first["key"].encode()))
    assert old is not None
    assert old.expires_at is not None
    assert old.expires_at >= second["created_at"]


async def test_lists_are_filtered_and_paged(api: Api) -> None:
    for number in range(5):
        await made(api, name=f"n{number}", tenant="acme" if number % 2 else "globex")
    names, cursor = [], ""
    while True:
        page = (await api("GET", f"?limit=2{cursor}")).json
        names += [key["name"] for key in page["keys"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert names == ["n4", "n3", "n2", "n1", "n0"]
    assert [key["name"] for key in (await api("GET", "?tenant=acme")).json["keys"]] == ["n3", "n1"]
    assert [key["name"] for key in (await api("GET", "?name=n2")).json["keys"]] == ["n2"]


def error_of(called: Called) -> tuple[int, str, Any]:
    error = called.json["error"]
    return called.status, error["code"], error["param"]


REFUSED: list[tuple[str, str, Any, tuple[int, str, Any]]] = [
    ("POST", "", {}, (422, "invalid_request_error", "name")),
    ("POST", "", {"name": 5}, (422, "invalid_request_error", "name")),
    ("POST", "", {"name": "x", "tenant": "unknown"}, (422, "invalid_request_error", "tenant")),
    ("POST", "", {"name": "x", "tags": {"a": 1}}, (422, "invalid_request_error", "tags[...]")),
    ("POST", "", b"{", (400, "invalid_json", None)),
    ("POST", "", b"\xff\xfe", (400, "invalid_json", None)),
    ("POST", "", [], (422, "invalid_request_error", None)),
    ("POST", "", {"name": "x", "metadata": {"a": "x" * 70000}}, (413, "invalid_request", None)),
    ("GET", "/abcdefghij", None, (404, "not_found", None)),
    ("GET", "/%27%20OR%201=1", None, (404, "not_found", None)),
    ("PATCH", "/abcdefghij", {"name": "x"}, (404, "not_found", None)),
    ("DELETE", "/abcdefghij", None, (404, "not_found", None)),
    ("POST", "/abcdefghij/rotate", None, (404, "not_found", None)),
    ("POST", "/abcdefghij/revoke", {"at": 5}, (422, "invalid_request_error", "at")),
    ("POST", "/abcdefghij/rotate", {"overlap": "soon"}, (422, "invalid_request_error", "overlap")),
    ("POST", "/abcdefghij/rotate", {"overlap": 5}, (422, "invalid_request_error", "overlap")),
    ("POST", "/abcdefghij/rotate", {"overlap": "4mo"}, (422, "invalid_request_error", "overlap")),
    ("PUT", "/abcdefghij", None, (405, "method_not_allowed", None)),
    ("GET", "/abcdefghij/rotate", None, (405, "method_not_allowed", None)),
    ("GET", "?limit=0", None, (422, "invalid_request_error", "limit")),
    ("GET", "?limit=-1", None, (422, "invalid_request_error", "limit")),
    ("GET", "?limit=1e3", None, (422, "invalid_request_error", "limit")),
    ("GET", "?limit=1000000000000", None, (422, "invalid_request_error", "limit")),
    ("GET", "?cursor=xyz", None, (422, "invalid_request_error", "cursor")),
    ("GET", "?sort=mac", None, (422, "invalid_request_error", "sort")),
    ("GET", "?tenant=%00", None, (422, "invalid_request_error", "tenant")),
    ("GET", "?name='%20OR%201=1--&limit=5", None, (200, "", None)),
]


async def test_what_cannot_be_is_refused_by_name(api: Api) -> None:
    kept = await made(api, tenant="acme")
    for method, path, body, expected in REFUSED:
        called = await api(method, path, body)
        if expected[0] == 200:
            assert called.json["keys"] == []
        else:
            assert (error_of(called), method, path) == (expected, method, path)
    del kept["key"]
    assert (await api("GET")).json["keys"] == [kept]


async def test_nothing_can_be_written_but_what_a_key_may_be_given(api: Api) -> None:
    """Mass assignment: every field that a key has or could be thought to have."""
    kept = await made(api)
    forbidden = {*kept, "mac", "role", "admin", "spend", "budget", "allowed_routes", "version", "tenant_id"} - {
        "name", "tenant", "tier", "limits", "models", "routes", "cidrs", "tags", "metadata", "expires_at",
    }  # fmt: skip
    assert {"id", "key", "state", "created_at", "revoked_at"} <= forbidden
    for field in sorted(forbidden):
        for method, path in (("POST", ""), ("PATCH", f"/{kept['id']}")):
            called = await api(method, path, {"name": "changed", field: kept.get(field)})
            assert error_of(called) == (422, "invalid_request_error", field)
    del kept["key"]
    assert (await api("GET")).json["keys"] == [kept]
