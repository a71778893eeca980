"""Callers with tokens on the whole way: issuer, control's fetching, the worker's proof, the provider, the record."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.control.fake_issuer import FakeIssuer, fake
from tests.gateway.gateway_harness import KEY, Gateway, Response, gateway
from tests.gateway.token_maker import claims, ec, rsa, token

from fairlead.canonical.tenants import Claims, Issuer, Tenant
from fairlead.control.issuers import Issuers

PATHS = pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"], ids=["openai", "anthropic"])


@asynccontextmanager
async def served(tmp_path: Path, made: FakeIssuer, **settings: Any) -> AsyncIterator[Gateway]:
    """A gateway whose control fetches keys from `made`, wired as the processes wire it."""
    async with gateway(tmp_path) as gate:
        issuer = Issuer(issuer=made.url, audience=("fairlead",), **settings)
        bare = msgspec.structs.replace(gate.world.snapshot, issuers=(issuer,), tenants={"acme": Tenant(name="acme")})
        kept = Issuers(gate.world.client, lambda: gate.world.adopt(kept.filled(bare)), at_most_every=0.02)
        gate.world.callers.wanted = kept.wanted
        gate.world.adopt(bare)
        kept.watch((issuer,))
        await kept.tried(5.0)
        try:
            yield gate
        finally:
            kept.close()


def valid(made: FakeIssuer, **more: Any) -> bytes:
    """A token that holds now; NOW of other tests is not now."""
    return token(claims(**{"iss": made.url, "iat": None, "exp": 2**40, **more}))


async def asked(gate: Gateway, presented: bytes, **more: Any) -> Response:
    return await gate.chat(headers={"authorization": f"Bearer {presented.decode()}"}, **more)


@PATHS
async def test_a_token_is_served_and_recorded_as_its_caller(tmp_path: Path, path: str) -> None:
    async with fake() as (made, _), served(tmp_path, made, claims=Claims(tenant="org")) as gate:
        answer = await asked(gate, valid(made, org="acme"), path=path)
        assert answer.status == 200
        record = gate.records()[0]
        assert (record.tenant, record.key) == ("acme", f"jwt:127.0.0.1:{made.port}:alice")


@PATHS
async def test_a_token_that_does_not_hold_is_a_401_in_the_callers_dialect(tmp_path: Path, path: str) -> None:
    async with fake() as (made, _), served(tmp_path, made) as gate:
        for wrong in (valid(made, aud="other"), valid(made)[:-9], token(claims(iss=made.url))):
            answer = await asked(gate, wrong, path=path)
            assert answer.status == 401
            assert answer.error["type"] == "authentication_error"
            assert wrong not in answer.body
        assert not gate.providers[0].seen


async def test_tokens_come_through_every_carrier_and_keys_stay_keys(tmp_path: Path) -> None:
    async with fake() as (made, _), served(tmp_path, made) as gate:
        for carrier in ("x-api-key", "api-key", "x-goog-api-key"):
            headers = {"authorization": "", carrier: valid(made).decode()}
            assert (await gate.chat(headers=headers)).status == 200
        assert (await gate.chat()).status == 200
        assert gate.records()[-1].key == "k1"
        assert (await gate.chat(headers={"x-api-key": valid(made).decode()})).status == 400


async def test_a_tokens_models_hold(tmp_path: Path) -> None:
    async with fake() as (made, _), served(tmp_path, made, claims=Claims(models="scope")) as gate:
        assert (await asked(gate, valid(made, scope="chat other"))).status == 200
        assert (await asked(gate, valid(made, scope="other"))).status == 403
        assert (await asked(gate, valid(made))).status == 401


async def test_x5_keys_change_under_traffic_and_nobody_with_a_good_token_is_refused_for_long(tmp_path: Path) -> None:
    """The issuer publishes the next key with the old, signs with the next one, and retires the old."""
    async with fake() as (made, _), served(tmp_path, made) as gate:
        old = valid(made)
        made.publish(rsa(), rsa("next"))
        new = token(claims(iss=made.url, iat=None, exp=2**40), key=rsa("next"))
        statuses = [(await asked(gate, old)).status for _ in range(3)]
        async with asyncio.timeout(5):
            while (await asked(gate, new)).status != 200:
                statuses.append((await asked(gate, old)).status)
        assert set(statuses) == {200}
        made.publish(rsa("next"), ec())
        assert (await asked(gate, token(claims(iss=made.url, exp=2**40), key=rsa("unknown")))).status == 401
        async with asyncio.timeout(5):
            while (await asked(gate, old)).status != 401:
                assert (await asked(gate, new)).status == 200
        assert (await gate.chat(headers={"authorization": f"Bearer {KEY}"})).status == 200


async def test_an_issuer_that_is_down_from_the_start_refuses_its_callers_only(tmp_path: Path) -> None:
    async with fake() as (made, _):
        made.answers.clear()
        async with served(tmp_path, made) as gate:
            assert (await asked(gate, valid(made))).status == 401
            assert (await gate.chat()).status == 200
