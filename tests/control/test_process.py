"""The control process and a provider that refuses its credential: what a worker's word does."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.control.secrets.servers import ROOT_TOKEN, Bao, bao

from fairlead.config.load import load
from fairlead.config.secrets import Fetched
from fairlead.control.audit_post import AuditPost
from fairlead.control.configuring import ConfigPost
from fairlead.control.process import Control, Post
from fairlead.control.secrets import safe
from fairlead.control.secrets.store import Machine
from fairlead.control.tenancy_post import TenancyPost
from fairlead.database.place import Place
from fairlead.fakes.provider import serve
from fairlead.state.board import Board
from fairlead.state.channel import Notice
from fairlead.state.keepsake import Keepsake

OLD, NEW = "sk-canary-old-key", "sk-canary-new-key"


@pytest.fixture(scope="module")
def vault() -> Iterator[Bao]:
    with bao() as running:
        yield running


@pytest.fixture
async def control(vault: Bao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Control]:
    """A control process in this one, an hour before its next look at the vault."""
    monkeypatch.setattr(safe, "ASK_AGAIN", 0.1)
    vault.put("llm", openai=OLD)
    async with serve("openai", key=NEW) as provider:
        file = tmp_path / "fairlead.yaml"
        file.write_text(
            f'secrets: {{refresh: 1h, vault: {{address: "{vault.address}"}}}}\n'
            f'providers: {{fake: {{kind: openai, base_url: "{provider.base_url}",'
            ' api_key: "vault://secret/data/llm#openai"}}\n'
            "routes: [{model: chat, deployments: [fake/m]}]\n"
        )
        environ = {"VAULT_TOKEN": ROOT_TOKEN}
        compile_again = partial(load, str(file), environ)
        first = compile_again().snapshot
        assert first is not None
        lifeline, end = os.pipe()
        post = Post(
            host="127.0.0.1",
            port=0,
            socket=tmp_path / "socket",
            lifeline=lifeline,
            projections=tmp_path / "projections",
            config=ConfigPost(
                watched=(file,),
                first=first,
                compile=lambda fetched: compile_again(fetched=fetched),
                machine=Machine(environ=environ),
                keepsake=Keepsake(65536),
            ),
            tenancy=TenancyPost(
                place=Place(data=tmp_path),
                index=tmp_path / "keys",
                limits=tmp_path / "limits",
                journals=tmp_path / "journal",
                machine="m1",
            ),
            audit=AuditPost(folder=tmp_path / "audit", private=tmp_path / "audit-private", machine="m1"),
        )
        running = Control(post, Board(1))
        task = asyncio.create_task(running.run())
        try:
            yield running
        finally:
            os.close(end)
            await task
            os.close(lifeline)


async def until(control: Control, key: str) -> None:
    async with asyncio.timeout(10):
        while control.config.serving.secrets != {"fake": key}:
            await asyncio.sleep(0.01)


async def test_a_key_that_replaces_a_refused_one_is_fetched_and_used_at_once(control: Control, vault: Bao) -> None:
    await until(control, OLD)
    vault.put("llm", openai=NEW)
    for _ in range(100):
        control.heed(Notice("credential", "fake"))
        control.heed(Notice("credential", "nobody"))
    await until(control, NEW)


def test_compiling_is_given_what_stores_gave(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text('admin: {key: "k8s://a/b#c"}')
    assert load(str(tmp_path / "f.yaml"), {}, fetched=Fetched({"k8s://a/b#c": "v" * 20})).admin_key == "v" * 20
