"""GCP Secret Manager: google-auth against a FAKE of Google's token endpoint and REST interface."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from joserfc.jwk import RSAKey
from tests.control.secrets.cloud_fakes import FakeGcp, cloud

from fairlead.config import vaults
from fairlead.control.secrets.gcp import Gcp
from fairlead.control.secrets.store import StoreError

CANARY = "sk-canary-at-google"
NAME = "projects/acme/secrets/openai"


@asynccontextmanager
async def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[FakeGcp, Gcp]]:
    fake = FakeGcp()
    fake.secrets[f"{NAME}/versions/latest"] = CANARY
    fake.secrets[f"{NAME}/versions/1"] = "the first"
    with cloud(fake):
        account = {
            "type": "service_account",
            "client_email": "gateway@acme.iam.gserviceaccount.com",
            "private_key": RSAKey.generate_key(2048).as_pem(private=True).decode(),
            "token_uri": f"{fake.origin}/token",
        }
        (tmp_path / "account.json").write_text(json.dumps(account))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
        store = Gcp(vaults.Gcp(endpoint=fake.origin))
        try:
            yield fake, store
        finally:
            await store.close()


async def test_the_newest_version_is_read_with_one_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with google(tmp_path, monkeypatch) as (fake, store):
        assert await store.read(NAME) == CANARY
        assert await store.read(f"{NAME}/versions/1") == "the first"
        assert fake.tokens == 1


async def test_what_google_refuses_is_told_without_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with google(tmp_path, monkeypatch) as (fake, store):
        with pytest.raises(StoreError, match="does not have it") as missing:
            await store.read("projects/acme/secrets/none")
        assert missing.value.trouble == "missing"
        fake.deny = True
        with pytest.raises(StoreError, match="secretAccessor") as denied:
            await store.read(NAME)
        assert denied.value.trouble == "denied"
        assert CANARY not in str(denied.value)


async def test_without_credentials_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    store = Gcp(vaults.Gcp())
    with pytest.raises(StoreError, match="set GOOGLE_APPLICATION_CREDENTIALS") as caught:
        await store.read(NAME)
    assert caught.value.trouble == "unconfigured"
    await store.close()


async def test_without_google_auth_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.auth", None)
    store = Gcp(vaults.Gcp())
    with pytest.raises(StoreError, match=r"pip install '\.\[gcp\]'"):
        await store.read(NAME)
    await store.close()
