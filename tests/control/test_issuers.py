"""The keys of issuers: fetched by discovery, refreshed, asked for in need, and kept while an issuer is down.

The issuer here is a fake on loopback that answers what a test tells it to; a real one is in tests/real.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from tests.control.fake_issuer import FakeIssuer, fake
from tests.gateway.gateway_harness import until
from tests.gateway.token_maker import ec, public, rsa

from fairlead.canonical.routing import Snapshot
from fairlead.canonical.tenants import Issuer
from fairlead.control import issuers as module
from fairlead.control.issuers import DISCOVERY, LARGEST, Issuers, UnusableError, fetch
from fairlead.http.client import Client

QUICK = 0.02


@asynccontextmanager
async def watching(client: Client, *issuers: Issuer, every: float = QUICK) -> AsyncIterator[tuple[Issuers, list[int]]]:
    changes: list[int] = []
    kept = Issuers(client, lambda: changes.append(1), at_most_every=every)
    kept.watch(issuers)
    try:
        yield kept, changes
    finally:
        kept.close()


def keys(kept: Issuers, issuer: Issuer) -> list[str]:
    (filled,) = kept.filled(Snapshot(version="v", routes=(), issuers=(issuer,))).issuers
    return [key["kid"] for key in json.loads(filled.jwks or '{"keys": []}')["keys"]]


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "fairlead.control"]


async def failure(client: Client, issuer: Issuer) -> str:
    with pytest.raises(UnusableError) as error:
        await fetch(client, issuer)
    return str(error.value)


async def test_keys_are_found_by_discovery() -> None:
    async with fake() as (made, client):
        found = await fetch(client, made.issuer)
        assert [key.kid for key in found.keys] == ["rsa"]
        assert made.asked == [DISCOVERY, "/keys"]


async def test_a_url_for_the_keys_needs_no_discovery_and_may_have_a_query() -> None:
    async with fake() as (made, client):
        made.answers["/other?p=policy"] = (200, public(ec()).encode())
        issuer = Issuer(issuer="https://named.example", audience=("a",), jwks_url=f"{made.url}/other?p=policy")
        assert [key.kid for key in (await fetch(client, issuer)).keys] == ["ec"]
        assert made.asked == ["/other?p=policy"]


@pytest.mark.parametrize("tail", ["", "/", "/realms/a", "/realms/a/"])
async def test_the_discovery_document_must_be_the_issuers_to_the_letter(tail: str) -> None:
    async with fake() as (made, client):
        issuer = Issuer(issuer=made.url + tail, audience=("a",))
        place = issuer.issuer.removeprefix(made.url).rstrip("/") + DISCOVERY
        for named in (issuer.issuer + "x", issuer.issuer + "/", "https://evil.example"):
            made.answers[place] = (200, json.dumps({"issuer": named, "jwks_uri": f"{made.url}/keys"}).encode())
            assert "is of the issuer" in await failure(client, issuer)
        made.answers[place] = (200, json.dumps({"issuer": issuer.issuer, "jwks_uri": f"{made.url}/keys"}).encode())
        assert (await fetch(client, issuer)).keys


@pytest.mark.parametrize(
    "uri", ["http://issuer.example/keys", "http://169.254.169.254/keys", "ftp://h/k", "file:///etc/passwd", "/keys", "",
            "https://user:pw@h/keys", "https://h/k#f", "https://h /k", "http://127.0.0.1@169.254.169.254/"],
)  # fmt: skip
async def test_a_discovery_document_leads_only_where_answers_can_be_trusted(uri: str) -> None:
    async with fake() as (made, client):
        made.answers[DISCOVERY] = (200, json.dumps({"issuer": made.url, "jwks_uri": uri}).encode())
        assert "names a jwks_uri that is not taken" in await failure(client, made.issuer)


@pytest.mark.parametrize("uri", ["https://localhost/keys", "https://127.0.0.1:8443/keys", "http://[::1]/keys"])
async def test_a_distant_issuer_cannot_point_at_this_machine(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def get(_: Client, url: str) -> bytes:
        asked.append(url)
        return json.dumps({"issuer": "https://issuer.example", "jwks_uri": uri}).encode()

    monkeypatch.setattr(module, "_get", get)
    async with fake() as (_, client):
        issuer = Issuer(issuer="https://issuer.example", audience=("a",))
        assert "names a jwks_uri on this machine" in await failure(client, issuer)
    assert asked == ["https://issuer.example/.well-known/openid-configuration"]


def answering(status: int, body: bytes, more: bytes = b"") -> Callable[[FakeIssuer], None]:
    def script(made: FakeIssuer) -> None:
        made.answers["/keys"], made.more = (status, body), more

    return script


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (answering(500, b""), "answers 500"),
        (answering(404, b""), "answers 404"),
        (answering(302, b"", b"location: http://127.0.0.1:1/\r\n"), "answers 302; redirects are not followed"),
        (answering(200, b"<html>"), "it is not a JSON Web Key Set"),
        (answering(200, b""), "it is not a JSON Web Key Set"),
        (answering(200, b'{"keys": []}'), "has no key that can be used: it is empty"),
        (answering(200, public({"kty": "oct", "k": "AA"}).encode()), "has no key that can be used: keys[0]"),
        (answering(200, b" " * (LARGEST + 1)), "too large"),
    ],
)  # fmt: skip
async def test_what_is_no_use_is_told(script: Callable[[FakeIssuer], None], says: str) -> None:
    async with fake() as (made, client):
        issuer = Issuer(issuer=made.url, audience=("a",), jwks_url=f"{made.url}/keys")
        script(made)
        assert says in await failure(client, issuer)
        assert made.asked == ["/keys"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"issuer": 1, "jwks_uri": 2}', b"<html>", b"[" * 9999])
async def test_a_discovery_document_that_is_none_is_told(body: bytes) -> None:
    async with fake() as (made, client):
        made.answers[DISCOVERY] = (200, body)
        assert "is no discovery document" in await failure(client, made.issuer)


async def test_a_snapshot_gets_the_keys_once_they_are_there() -> None:
    async with fake() as (made, client), watching(client, made.issuer) as (kept, changes):
        assert keys(kept, made.issuer) == []
        await kept.tried(5.0)
        assert keys(kept, made.issuer) == ["rsa"]
        assert changes == [1]


async def test_keys_are_fetched_anew_and_only_a_change_is_told() -> None:
    async with fake() as (made, client):
        issuer = Issuer(issuer=made.url, audience=("a",), refresh=QUICK)
        async with watching(client, issuer) as (kept, changes):
            await until(lambda: made.fetched >= 3)
            assert changes == [1]
            made.publish(rsa("next"), rsa())
            await until(lambda: len(changes) == 2)
            assert keys(kept, issuer) == ["next", "rsa"]


async def test_keys_that_a_worker_misses_are_fetched_before_their_time() -> None:
    async with fake() as (made, client), watching(client, made.issuer) as (kept, changes):
        await kept.tried(5.0)
        made.publish(rsa("next"))
        kept.wanted("https://another.example")
        kept.wanted(made.url)
        await until(lambda: len(changes) == 2)
        assert keys(kept, made.issuer) == ["next"]


async def test_a_flood_of_unknown_keys_costs_the_issuer_one_fetch_at_a_time() -> None:
    async with fake() as (made, client), watching(client, made.issuer, every=0.2) as (kept, _):
        await kept.tried(5.0)
        began = asyncio.get_running_loop().time()
        while made.fetched < 3:
            kept.wanted(made.url)
            await asyncio.sleep(0.001)
        assert asyncio.get_running_loop().time() - began >= 0.35


async def test_the_last_good_keys_stay_while_an_issuer_is_down_with_one_line_per_change(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with fake() as (made, client):
        issuer = Issuer(issuer=made.url, audience=("a",), refresh=QUICK)
        async with watching(client, issuer) as (kept, changes):
            await kept.tried(5.0)
            good = made.answers["/keys"]
            made.answers["/keys"] = (503, b"")
            before = made.fetched
            await until(lambda: made.fetched > before + 3)
            assert keys(kept, issuer) == ["rsa"]
            made.answers["/keys"] = good
            before = made.fetched
            await until(lambda: made.fetched > before + 3)
            assert changes == [1]
    assert events(caplog) == ["issuer_keys", "issuer_unavailable", "issuer_available"]


async def test_an_issuer_that_was_never_there_is_logged_once_and_found_when_it_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with fake() as (made, client):
        made.server.close()
        await made.server.wait_closed()
        async with watching(client, made.issuer) as (kept, changes):
            await kept.tried(5.0)
            assert keys(kept, made.issuer) == []
            await made.start(made.port)
            await until(lambda: changes)
            assert keys(kept, made.issuer) == ["rsa"]
    assert events(caplog) == ["issuer_unavailable", "issuer_available", "issuer_keys"]


async def test_an_issuer_that_hangs_holds_up_nothing_else() -> None:
    async with fake() as (slow, client), fake() as (made, _):
        slow.stalls = True
        async with watching(client, slow.issuer, made.issuer) as (kept, _):
            await until(lambda: keys(kept, made.issuer))
            await kept.tried(0.01)
            assert keys(kept, slow.issuer) == []


async def test_a_new_configuration_keeps_the_keys_of_the_issuers_that_stay() -> None:
    async with fake() as (made, client), watching(client, made.issuer) as (kept, changes):
        await kept.tried(5.0)
        changed = Issuer(issuer=made.url, audience=("another",))
        kept.watch((changed,))
        assert keys(kept, changed) == ["rsa"]
        kept.watch(())
        assert keys(kept, changed) == []
        assert changes == [1]


async def test_an_issuer_that_is_gone_is_asked_no_more() -> None:
    async with fake() as (made, client):
        issuer = Issuer(issuer=made.url, audience=("a",), refresh=QUICK)
        async with watching(client, issuer) as (kept, _):
            (watched,) = kept._watched.values()
            await kept.tried(5.0)
            kept.watch(())
            assert watched.task is not None
            await asyncio.wait([watched.task])
            assert watched.task.cancelled()


async def test_what_nobody_foresaw_does_not_end_an_issuers_refresh(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def breaks(_: bytes) -> None:
        raise KeyError("kid")

    async with fake() as (made, client), watching(client, made.issuer) as (kept, _):
        await until(lambda: keys(kept, made.issuer) == ["rsa"])
        with monkeypatch.context() as patch:
            patch.setattr("fairlead.control.issuers.issuer_keys.read", breaks)
            kept.wanted(made.issuer.issuer)
            await until(lambda: "issuer_unavailable" in events(caplog))
        await until(lambda: "issuer_available" in events(caplog))
        assert keys(kept, made.issuer) == ["rsa"]
