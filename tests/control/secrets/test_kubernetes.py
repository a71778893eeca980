"""Secrets of a Kubernetes cluster, as kmock plays one."""

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.control.secrets.servers import ask, kubernetes

from fairlead.config import vaults
from fairlead.config.secrets import Secret
from fairlead.control.secrets.kubernetes import Kubernetes
from fairlead.control.secrets.store import Machine, StoreError

CANARY = "sk-canary-in-the-cluster"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with kubernetes() as address:
        data = {"openai": base64.b64encode(CANARY.encode()).decode(), "broken": "%%%"}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", "namespace": "llm"}, "data": data}
        status, _ = ask("POST", f"{address}/api/v1/namespaces/llm/secrets", body)
        assert status < 300
        yield address


@asynccontextmanager
async def opened(server: str, token: Secret) -> AsyncIterator[Kubernetes]:
    store = Kubernetes(vaults.Kubernetes(server=server, token=token), Machine(environ={}))
    try:
        yield store
    finally:
        await store.close()


async def test_a_key_of_a_secret_is_read(server: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("service-account-token")
    async with opened(server, Secret(f"file://{tmp_path}/token")) as store:
        assert await store.read("llm/keys#openai") == CANARY


@pytest.mark.parametrize(
    ("rest", "kind", "words"),
    [
        ("llm/keys#anthropic", "missing", "the secret llm/keys has no field 'anthropic'"),
        ("llm/none#openai", "missing", "create the secret llm/none"),
        ("llm/keys#broken", "unusable", "not text in base64"),
    ],
)
async def test_what_is_not_there_is_named(server: str, rest: str, kind: str, words: str) -> None:
    async with opened(server, Secret("token")) as store:
        with pytest.raises(StoreError) as caught:
            await store.read(rest)
        assert caught.value.trouble == kind
        assert words in caught.value.reason


async def test_outside_a_pod_the_way_out_is_told() -> None:
    store = Kubernetes(vaults.Kubernetes(token=Secret("x")), Machine(environ={}))
    with pytest.raises(StoreError, match=r"needs secrets\.kubernetes\.server"):
        await store.read("llm/keys#openai")


async def test_in_a_pod_the_service_account_is_the_way_in() -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
    store = Kubernetes(vaults.Kubernetes(), Machine(environ=environ, read_file=lambda _: "pods-token"))
    assert store._opened().place == "the Kubernetes API at https://10.0.0.1:6443"
    with pytest.raises(StoreError, match=r"serviceaccount/ca\.crt") as caught:
        await store.read("llm/keys#openai")
    assert caught.value.trouble == "unreachable"
    await store.close()
