"""A real OpenID Connect provider (oidc-provider-mock, on Authlib): discovery, its keys, and tokens that it issued."""

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
import pytest
from tests.gateway.gateway_harness import gateway
from tests.real.processes import ROOT, need, running

from fairlead.canonical.tenants import Claims, Issuer, Tenant
from fairlead.control.issuers import Issuers

pytestmark = pytest.mark.real
CLIENT = "fairlead"
BACK = "http://127.0.0.1/back"


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """The provider's URL. Its user alice works for acme."""
    program = need(ROOT / ".servers" / "bin" / "oidc-provider-mock")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    alice = json.dumps({"sub": "alice", "org": {"tenant": "acme"}, "groups": ["ml", "web"], "email": "alice@acme.com"})
    with running([program, "--port", str(port), "--user-claims", alice]) as started:
        started.wait_for(lambda line: True if "Uvicorn running on" in line else None)
        yield f"http://127.0.0.1:{port}"


def post(url: str, form: dict[str, str]) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    headers = {"content-type": "application/x-www-form-urlencoded", "connection": "close"}
    connection.request("POST", f"{parts.path}?{parts.query}", urlencode(form), headers)
    return connection.getresponse()


def issued(provider: str, subject: str, client: str = CLIENT) -> bytes:
    """An ID token, by the authorization code flow."""
    asked = {"client_id": client, "redirect_uri": BACK, "response_type": "code", "scope": "openid email"}
    with post(f"{provider}/oauth2/authorize?{urlencode(asked)}", {"sub": subject}) as answer:
        (code,) = parse_qs(urlsplit(answer.getheader("location", "")).query)["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
    with post(f"{provider}/oauth2/token?", {**form, "client_id": client, "client_secret": "any"}) as answer:
        body: dict[str, Any] = json.load(answer)
    return str(body["id_token"]).encode()


async def test_a_token_that_a_real_provider_issued_is_a_caller(provider: str, tmp_path: Path) -> None:
    named = Claims(tenant="org.tenant", tags=("groups",), user="email")
    issuer = Issuer(issuer=provider, audience=(CLIENT,), claims=named)
    async with gateway(tmp_path) as gate:
        bare = msgspec.structs.replace(gate.world.snapshot, issuers=(issuer,), tenants={"acme": Tenant(name="acme")})
        kept = Issuers(gate.world.client, lambda: None)
        kept.watch((issuer,))
        try:
            await kept.tried(10.0)
            gate.world.adopt(kept.filled(bare))
        finally:
            kept.close()

        async def status(presented: bytes) -> int:
            return (await gate.chat(headers={"authorization": f"Bearer {presented.decode()}"})).status

        good = issued(provider, "alice")
        assert await status(good) == 200
        record = gate.records()[-1]
        assert (record.tenant, record.key) == ("acme", f"jwt:{urlsplit(provider).netloc}:alice")
        assert record.user == "alice@acme.com"
        assert record.tags == (("groups", "ml"), ("groups", "web"))
        assert await status(good[:-6]) == 401
        assert await status(issued(provider, "alice", "another-client")) == 401
        assert await status(issued(provider, "mallory")) == 401
