"""What the keyring keeps, asks again and tells, over stores that a test steers."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from fairlead.config import vaults
from fairlead.control.secrets import safe as module
from fairlead.control.secrets.safe import Safe
from fairlead.control.secrets.store import Machine, StoreError
from fairlead.control.secrets.table import Row

CANARY = "sk-canary-on-the-ring"
ONE, TWO = "vault://secret/data/a#one", "vault://secret/data/a#two"
DOWN = StoreError("unreachable", "the vault does not answer")
GONE = StoreError("missing", "it is not there")


class Steered:
    """A store that gives what a test says: a value or an exception by reference, or waits for `go`."""

    def __init__(self) -> None:
        self.gives: dict[str, str | Exception] = {}
        self.asked: list[str] = []
        self.closed = 0
        self.go: asyncio.Event | None = None

    async def read(self, rest: str) -> str:
        self.asked.append(rest)
        if self.go is not None:
            await self.go.wait()
        given = self.gives[f"vault://{rest}"]
        if isinstance(given, Exception):
            raise given
        return given

    async def close(self) -> None:
        self.closed += 1


class Ring:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "ASK_AGAIN", 0.1)
        monkeypatch.setattr(module, "FIRST_RETRY", 0.01)
        self.store = Steered()
        self.changes = 0
        self.opened = 0
        row = Row(lambda settings: settings.vault, self._open)
        self.keyring = Safe(Machine(environ={}), self._count, stores={"vault": row})

    def _open(self, settings: vaults.Secrets, machine: Machine) -> Steered:
        self.opened += 1
        return self.store

    def _count(self) -> None:
        self.changes += 1

    def follow(self, *references: str, refresh: float = 300.0, vault: vaults.Vault | None = None) -> bool:
        return self.keyring.follow(vaults.Secrets(refresh=refresh, vault=vault or vaults.Vault()), references)

    @property
    def values(self) -> dict[str, str]:
        return dict(self.keyring.fetched.values)

    @property
    def reasons(self) -> dict[str, str]:
        return dict(self.keyring.fetched.reasons)


Opened = Callable[[], Awaitable[Ring]]


@asynccontextmanager
async def running(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ring]:
    ring = Ring(monkeypatch)
    task = asyncio.create_task(ring.keyring.run())
    try:
        yield ring
    finally:
        task.cancel()
        await ring.keyring.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_first_round_waits_for_every_store_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as ring:
        ring.store.gives = {ONE: CANARY}
        ring.store.go = asyncio.Event()
        assert ring.follow(ONE)
        await ring.keyring.gather(0.05)
        assert ring.reasons == {ONE: "its store has not answered within 0.05 s"}
        ring.store.go.set()
        await until(lambda: ring.values == {ONE: CANARY})
        assert ring.reasons == {}
        assert ring.changes >= 1
        assert not ring.follow(ONE)
        assert ring.follow(ONE, TWO)


async def test_the_last_good_value_is_kept_while_the_store_is_down(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(monkeypatch) as ring:
        ring.store.gives = {ONE: CANARY, TWO: "two"}
        ring.follow(ONE, TWO, refresh=0.02)
        await ring.keyring.gather(1)
        ring.store.gives = {ONE: DOWN, TWO: DOWN}
        await until(lambda: len(ring.reasons) == 2)
        asked = len(ring.store.asked)
        await until(lambda: len(ring.store.asked) > asked + 4)
        assert ring.values == {ONE: CANARY, TWO: "two"}
        assert [told.state for told in ring.keyring.report()] == ["stale", "stale"]
        ring.store.gives = {ONE: "newer", TWO: "two"}
        await until(lambda: ring.values[ONE] == "newer" and not ring.reasons)
    events = [record.message for record in caplog.records]
    assert events.count("secret_store_down") == 1
    assert events.count("secret_store_up") == 1
    assert events.count("secret_changed") == 1
    assert CANARY not in str([vars(record) for record in caplog.records])


@pytest.mark.parametrize("bad", ["", "  \n", "two\nlines", "nul\0", GONE])
async def test_what_is_no_value_never_replaces_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, bad: str | Exception
) -> None:
    async with running(monkeypatch) as ring:
        ring.store.gives = {ONE: CANARY, TWO: bad}
        ring.follow(ONE, TWO, refresh=0.02)
        await ring.keyring.gather(1)
        assert ring.values == {ONE: CANARY}
        assert [told.state for told in ring.keyring.report()] == ["current", "missing"]
        ring.store.gives[ONE] = bad
        await until(lambda: ONE in ring.reasons)
        assert ring.values == {ONE: CANARY}
        asked = len(ring.store.asked)
        await until(lambda: len(ring.store.asked) > asked + 4)
    events = [record.message for record in caplog.records]
    assert events.count("secret_missing") == 2
    assert "secret_store_down" not in events


async def test_a_store_that_crashes_with_the_value_in_its_words_tells_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with running(monkeypatch) as ring:
        ring.store.gives = {ONE: RuntimeError(f"boom {CANARY}")}
        ring.follow(ONE)
        await ring.keyring.gather(1)
        assert ring.reasons == {ONE: "reading it failed: RuntimeError"}
    assert CANARY not in caplog.text
    assert CANARY not in str([vars(record) for record in caplog.records])


async def test_a_refresh_on_demand_is_soon_and_not_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as ring:
        ring.store.gives = {ONE: CANARY}
        ring.follow(ONE)
        await ring.keyring.gather(1)
        ring.store.gives = {ONE: "newer"}
        for _ in range(1000):
            ring.keyring.refresh(ONE)
        ring.keyring.refresh("vault://never/data/heard#of")
        assert len(ring.store.asked) == 1
        await until(lambda: ring.values == {ONE: "newer"})
        assert len(ring.store.asked) == 2


async def test_what_nobody_refers_to_is_forgotten_and_new_settings_open_the_store_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(monkeypatch) as ring:
        ring.store.gives = {ONE: CANARY, TWO: "two"}
        ring.follow(ONE, TWO)
        await ring.keyring.gather(1)
        ring.follow(TWO)
        assert ring.values == {TWO: "two"}
        ring.store.gives = {TWO: "of another vault"}
        ring.follow(TWO, vault=vaults.Vault(address="https://other"))
        await until(lambda: ring.values == {TWO: "of another vault"})
        assert (ring.opened, ring.store.closed) == (2, 1)


async def test_what_was_known_before_a_restart_holds_until_the_store_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as ring:
        ring.keyring.restore({ONE: CANARY})
        ring.store.gives = {ONE: DOWN}
        assert ring.follow(ONE)
        await ring.keyring.gather(1)
        assert ring.values == {ONE: CANARY}
        ring.store.gives = {ONE: "newer"}
        await until(lambda: ring.values == {ONE: "newer"})


def test_nothing_prints_a_value() -> None:
    from fairlead.config.secrets import Fetched
    from fairlead.control.secrets.vault import Token

    assert CANARY not in repr(Fetched({ONE: CANARY})) + repr(Token(value=CANARY)) + repr(Machine(environ={"X": CANARY}))
