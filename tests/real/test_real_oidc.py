"""A real OpenID Connect provider (oidc-provider-mock, on Authlib): discovery, its keys, and tokens that it issued."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
import openai
import pytest
from tests.gateway.gateway_harness import PROVIDER_KEY, gateway
from tests.real.processes import ROOT, fakes, need, running
from tests.real.processes import gateway as gateway_process

from fairlead.canonical.tenants import Claims, Issuer, Tenant
from fairlead.control.issuers import Issuers

pytestmark = pytest.mark.real
CLIENT = "fairlead"
HELLO: Any = [{"role": "user", "content": "hello"}]
CONFIG = """
providers: {{fake: {{kind: openai, base_url: "http://127.0.0.1:{port}/v1", api_key: {key}}}}}
routes: [{{model: chat, deployments: [fake/m]}}]
tenants: {{acme: {{}}}}
issuers: [{{issuer: "{provider}", audience: fairlead, claims: {{tenant: org.tenant}}}}]
"""
BACK = "http://127.0.0.1/back"


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with providing(free_port()) as url:
        yield url


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def providing(port: int) -> Iterator[str]:
    """A provider with a key of its own, and its URL. Its user alice works for acme."""
    program = need(ROOT / ".servers" / "bin" / "oidc-provider-mock")
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


@contextmanager
def serving(provider: str, tmp_path: Path) -> Iterator[str]:
    """The base URL of a running gateway whose only callers are the provider's."""
    with fakes("--openai=127.0.0.1:0", "--key", PROVIDER_KEY) as ports:
        config = CONFIG.format(port=ports["openai"], key=PROVIDER_KEY, provider=provider)
        with gateway_process(tmp_path, config) as started:
            yield started.base_url


def said(base_url: str, presented: str) -> str:
    """What a caller with this token is told: `ok`, or why not."""
    with openai.OpenAI(base_url=base_url, api_key=presented, max_retries=0, timeout=30) as client:
        try:
            client.chat.completions.create(model="chat", messages=HELLO)
        except openai.AuthenticationError as error:
            return error.message
        return "ok"


def test_the_running_gateway_takes_a_real_providers_tokens_from_its_first_request(
    provider: str, tmp_path: Path
) -> None:
    alice, mallory = (issued(provider, name).decode() for name in ("alice", "mallory"))
    with serving(provider, tmp_path) as base_url:
        assert said(base_url, alice) == "ok"
        assert "has no name in 'org.tenant'" in said(base_url, mallory)


def test_the_running_gateway_finds_a_real_providers_new_keys_when_it_meets_them(tmp_path: Path) -> None:
    """A worker tells control, which asks the provider at most every 10 s."""
    port = free_port()
    with ExitStack() as programs:
        first = ExitStack()
        programs.push(first)
        provider = first.enter_context(providing(port))
        old = issued(provider, "alice").decode()
        base_url = programs.enter_context(serving(provider, tmp_path))
        assert said(base_url, old) == "ok"
        first.close()
        programs.enter_context(providing(port))
        new = issued(provider, "alice").decode()
        deadline = time.monotonic() + 30
        while said(base_url, new) != "ok":
            assert time.monotonic() < deadline
            time.sleep(0.8)  # an address that fails oftener has to wait
        assert "is not accepted here" in said(base_url, old)
