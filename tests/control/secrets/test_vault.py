"""Vault's REST interface, as OpenBao speaks it: reading, logging in, renewing, and everything that goes wrong."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from tests.control.secrets.cloud_fakes import FakeTokenReview, cloud
from tests.control.secrets.servers import ROOT_TOKEN, Bao, bao, frozen_bao

from fairlead.config import vaults
from fairlead.config.secrets import Secret
from fairlead.control.secrets.store import Machine, StoreError
from fairlead.control.secrets.vault import Vault

CANARY = "sk-canary-in-the-vault"


@pytest.fixture(scope="module")
def server() -> Iterator[Bao]:
    with bao() as running:
        running.put("llm", openai=CANARY, number=5, empty="")
        yield running


@asynccontextmanager
async def opened(environ: dict[str, str] | None = None, **settings: Any) -> AsyncIterator[Vault]:
    store = Vault(vaults.Vault(**settings), Machine(environ=environ or {}))
    try:
        yield store
    finally:
        await store.close()


async def trouble(store: Vault, rest: str = "secret/data/llm#openai") -> StoreError:
    with pytest.raises(StoreError) as caught:
        await store.read(rest)
    assert CANARY not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("prefix", ["VAULT", "BAO"])
async def test_the_usual_environment_variables_are_enough(server: Bao, prefix: str) -> None:
    environ = {f"{prefix}_ADDR": server.address, f"{prefix}_TOKEN": ROOT_TOKEN}
    async with opened(environ) as store:
        assert await store.read("secret/data/llm#openai") == CANARY


@pytest.mark.parametrize(
    ("rest", "kind", "words"),
    [
        ("secret/data/nothing#x", "missing", "does not have it"),
        ("secret/data/llm#anthropic", "missing", "no field 'anthropic'"),
        ("secret/data/llm#number", "unusable", "'number' of secret/data/llm is not text"),
        ("sys/data/health#x", "missing", "does not have it"),
    ],
)
async def test_what_is_not_there_is_named(server: Bao, rest: str, kind: str, words: str) -> None:
    async with opened(address=server.address, token=Secret(ROOT_TOKEN)) as store:
        error = await trouble(store, rest)
        assert error.trouble == kind
        assert words in error.reason


async def test_a_deleted_version_is_not_a_missing_secret(server: Bao) -> None:
    async with opened(address=server.address, token=Secret(ROOT_TOKEN)) as store:
        server.put("gone", key="v1")
        assert await store.read("secret/data/gone#key") == "v1"
        server.api("DELETE", "secret/data/gone")
        assert (
            "the newest version of secret/data/gone is deleted" in (await trouble(store, "secret/data/gone#key")).reason
        )
        server.put("gone", key="v2")
        assert await store.read("secret/data/gone#key") == "v2"


async def test_a_token_without_the_right_is_told_what_it_lacks(server: Bao) -> None:
    powerless = server.api("POST", "auth/token/create", {"policies": ["default"]})["auth"]["client_token"]
    async with opened(address=server.address, token=Secret(powerless)) as store:
        error = await trouble(store)
        assert error.trouble == "denied"
        assert "its policy must let our token read secret/data/llm" in error.reason


async def test_a_namespace_is_a_vault_of_its_own(server: Bao) -> None:
    server.api("POST", "sys/namespaces/team")
    server.api("POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "2"}}, namespace="team")
    server.api("POST", "kv/data/llm", {"data": {"openai": "of the team"}}, namespace="team")
    async with opened(address=server.address, token=Secret(ROOT_TOKEN), namespace="team") as store:
        assert await store.read("kv/data/llm#openai") == "of the team"
    async with opened(address=server.address, token=Secret(ROOT_TOKEN)) as store:
        assert (await trouble(store, "kv/data/llm#openai")).trouble == "missing"


def approle(server: Bao, name: str, **more: object) -> tuple[str, str]:
    """A role that may read; its role id and a secret id."""
    server.token()
    if "approle/" not in server.api("GET", "sys/auth")["data"]:
        server.api("POST", "sys/auth/approle", {"type": "approle"})
    server.api("POST", f"auth/approle/role/{name}", {"token_policies": ["reader"], **more})
    role = server.api("GET", f"auth/approle/role/{name}/role-id")["data"]["role_id"]
    return role, server.api("POST", f"auth/approle/role/{name}/secret-id", {})["data"]["secret_id"]


async def test_an_approle_logs_in_and_its_files_are_read_anew(server: Bao, tmp_path: Path) -> None:
    role, secret = approle(server, "gateway")
    (tmp_path / "secret-id").write_text("wrong")
    settings: dict[str, Any] = {
        "auth": "approle",
        "role_id": Secret(role),
        "secret_id": Secret(f"file://{tmp_path}/secret-id"),
    }
    async with opened(address=server.address, **settings) as store:
        error = await trouble(store)
        assert error.trouble == "denied"
        assert "refuses the approle login (status 400); check secrets.vault" in error.reason
        (tmp_path / "secret-id").write_text(secret + "\n")
        assert await store.read("secret/data/llm#openai") == CANARY


def certificate(folder: Path) -> str:
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=fake"
    subprocess.run(
        [*command.split(), "-keyout", "key.pem", "-out", "ca.pem"], cwd=folder, check=True, capture_output=True
    )
    return (folder / "ca.pem").read_text()


async def test_a_kubernetes_service_account_logs_in(server: Bao, tmp_path: Path) -> None:
    """OpenBao asks the cluster about the token; the cluster here is a fake."""
    key = RSAKey.generate_key(2048)
    account = {"namespace": "llm", "serviceaccount": {"name": "gateway", "uid": "u-1"}}
    claims = {"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:llm:gateway", "kubernetes.io": account}
    token = jwt.encode({"alg": "RS256"}, {**claims, "exp": 4102444800, "iat": 1700000000}, key)
    fake = FakeTokenReview()
    fake.secrets["token"] = token
    (tmp_path / "jwt").write_text(token)
    with cloud(fake):
        server.token()
        server.api("POST", "sys/auth/cluster", {"type": "kubernetes"})
        config = {"kubernetes_host": fake.origin, "disable_local_ca_jwt": True, "token_reviewer_jwt": token}
        config["kubernetes_ca_cert"] = certificate(tmp_path)  # wanted, though the fake cluster speaks plain HTTP
        server.api("POST", "auth/cluster/config", {**config, "disable_iss_validation": True})
        role = {"bound_service_account_names": ["gateway"], "bound_service_account_namespaces": ["llm"]}
        server.api("POST", "auth/cluster/role/gateway", {**role, "token_policies": ["reader"]})
        settings: dict[str, Any] = {"auth": "kubernetes", "mount": "cluster", "jwt": Secret(f"file://{tmp_path}/jwt")}
        async with opened(address=server.address, role="gateway", **settings) as store:
            assert await store.read("secret/data/llm#openai") == CANARY
        fake.secrets["token"] = "another"
        async with opened(address=server.address, role="gateway", **settings) as store:
            assert (await trouble(store)).trouble == "denied"
    assert fake.requests


async def test_a_short_token_is_renewed_until_nobody_needs_it(server: Bao) -> None:
    token = server.token(ttl="2s", renewable=True)
    async with opened(address=server.address, token=Secret(token)) as store:
        end = time.monotonic() + 4.5
        while time.monotonic() < end:
            assert await store.read("secret/data/llm#openai") == CANARY
            await asyncio.sleep(0.1)


async def test_a_token_that_cannot_be_renewed_any_more_is_replaced_by_a_login(server: Bao) -> None:
    role, secret = approle(server, "short", token_ttl="2s", token_max_ttl="3s")
    settings: dict[str, Any] = {"auth": "approle", "role_id": Secret(role), "secret_id": Secret(secret)}
    async with opened(address=server.address, **settings) as store:
        end = time.monotonic() + 5.0
        while time.monotonic() < end:
            assert await store.read("secret/data/llm#openai") == CANARY
            await asyncio.sleep(0.1)


async def test_a_revoked_token_is_replaced_by_a_login(server: Bao) -> None:
    role, secret = approle(server, "revoked")
    settings: dict[str, Any] = {"auth": "approle", "role_id": Secret(role), "secret_id": Secret(secret)}
    async with opened(address=server.address, **settings) as store:
        assert await store.read("secret/data/llm#openai") == CANARY
        assert store._token is not None
        server.api("POST", "auth/token/revoke", {"token": store._token.value})
        assert await store.read("secret/data/llm#openai") == CANARY


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"token": Secret("x")}, "set secrets.vault.address or VAULT_ADDR"),
        ({"address": "http://127.0.0.1:9"}, "set secrets.vault.token or VAULT_TOKEN"),
        ({"address": "http://127.0.0.1:9", "token": Secret("env://NOWHERE")}, "the environment variable NOWHERE"),
        ({"address": "http://127.0.0.1:9", "auth": "approle"}, "needs secrets.vault.role_id"),
        ({"address": "http://127.0.0.1:9", "auth": "kubernetes"}, "needs secrets.vault.role"),
        ({"address": "http://127.0.0.1:9", "auth": "kubernetes", "role": "r"}, "serviceaccount/token cannot be read"),
        (
            {"address": "https://127.0.0.1:9", "token": Secret("x"), "ca": "/nowhere.pem"},
            "certificates in '/nowhere.pem'",
        ),
    ],
)
async def test_what_is_not_set_is_named(settings: dict[str, Any], words: str) -> None:
    async with opened(**settings) as store:
        assert words in (await trouble(store)).reason


async def test_a_sealed_vault_says_so_and_a_killed_one_does_not_answer() -> None:
    with frozen_bao() as (server, program):
        server.put("llm", openai=CANARY)
        async with opened(address=server.address, token=Secret(ROOT_TOKEN)) as store:
            assert await store.read("secret/data/llm#openai") == CANARY
            server.api("PUT", "sys/seal")
            error = await trouble(store)
            assert (error.trouble, "is sealed or on standby; unseal it" in error.reason) == ("unreachable", True)
            program.process.kill()
            program.process.wait()
            error = await trouble(store)
            assert error.trouble == "unreachable"
            assert f"the vault at {server.address} does not answer" in error.reason


async def test_a_vault_that_was_set_up_anew_is_logged_in_to_again(server: Bao) -> None:
    """After a restart in dev mode every token but the root's is gone; the login is not."""
    role, secret = approle(server, "again")
    settings: dict[str, Any] = {"auth": "approle", "role_id": Secret(role), "secret_id": Secret(secret)}
    async with opened(address=server.address, **settings) as store:
        await store.read("secret/data/llm#openai")
        server.api("PUT", "auth/token/revoke-orphan", {"token": store._token.value if store._token else ""})
        results = await asyncio.gather(*(store.read("secret/data/llm#openai") for _ in range(20)))
        assert results == [CANARY] * 20
