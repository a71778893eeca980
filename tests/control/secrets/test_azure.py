"""Azure Key Vault: azure-identity's managed identity against a FAKE of the identity endpoint and of Key Vault."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.control.secrets.cloud_fakes import FakeAzure, cloud

from fairlead.config import vaults
from fairlead.control.secrets.azure import Azure
from fairlead.control.secrets.store import StoreError

CANARY = "sk-canary-at-azure"


@asynccontextmanager
async def azure(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[FakeAzure, Azure]]:
    fake = FakeAzure()
    fake.secrets["openai"] = CANARY
    with cloud(fake):
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{fake.origin}/identity")
        monkeypatch.setenv("IDENTITY_HEADER", "identity-header-of-the-test")
        store = Azure(vaults.Azure(endpoint=fake.origin))
        try:
            yield fake, store
        finally:
            await store.close()


async def test_a_secret_is_read_with_the_managed_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    async with azure(monkeypatch) as (fake, store):
        assert await store.read("acme/openai") == CANARY
        assert await store.read("acme/openai") == CANARY
        assert fake.tokens == 1


async def test_what_azure_refuses_is_told_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async with azure(monkeypatch) as (fake, store):
        with pytest.raises(StoreError, match="does not have it") as missing:
            await store.read("acme/none")
        assert missing.value.trouble == "missing"
        fake.deny = True
        with pytest.raises(StoreError, match="Key Vault Secrets User") as denied:
            await store.read("acme/openai")
        assert denied.value.trouble == "denied"
        assert CANARY not in str(denied.value)


async def test_without_azure_identity_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    store = Azure(vaults.Azure())
    with pytest.raises(StoreError, match=r"pip install '\.\[azure\]'"):
        await store.read("acme/openai")
