"""Which credentials a snapshot goes out with, over verdicts that a test gives."""

import asyncio
import logging
from collections.abc import Callable

import msgspec
import pytest

from fairlead.canonical.routing import Choice, Deployment, Route, Snapshot
from fairlead.control import rotation as module
from fairlead.control.probe import Verdict
from fairlead.control.rotation import Rotation

OLD, NEW = "sk-canary-old", "sk-canary-new"


def snapshot(secret: str | None, *, base_url: str = "https://a/v1", more: str = "") -> Snapshot:
    deployment = Deployment(
        name="p/m", provider="p", model="m", dialect="openai_chat", base_url=base_url, credential="p"
    )
    routes = (Route(model="chat" + more, choices=(Choice(deployment=deployment),)),)
    return Snapshot(version="v", routes=routes, secrets={} if secret is None else {"p": secret})


class Bench:
    """A rotation with a probe that answers from a script, and a clock that stands still."""

    def __init__(self, *verdicts: Verdict) -> None:
        self.verdicts = list(verdicts)
        self.probed: list[str] = []
        self.decided = asyncio.Event()
        self.now = 0.0
        self.rotation = Rotation(self._probe, self.decided.set, lambda: self.now)

    async def _probe(self, deployment: Deployment, secret: str) -> tuple[Verdict, str]:
        self.probed.append(secret)
        return self.verdicts.pop(0) if self.verdicts else "unsure", "status 200"

    def admitted(self, new: Snapshot, serving: Snapshot | None) -> str | None:
        return self.rotation.admit(new, serving).secrets.get("p")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_a_first_value_needs_no_proof() -> None:
    bench = Bench()
    assert bench.admitted(snapshot(NEW), None) == NEW
    assert bench.admitted(snapshot(NEW), snapshot(None)) == NEW
    assert bench.probed == []


async def test_a_new_value_takes_over_once_the_provider_takes_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench("accepted")
    held = bench.rotation.admit(snapshot(NEW), snapshot(OLD))
    assert held.secrets == {"p": OLD}
    assert held.version != "v"
    await bench.decided.wait()
    admitted = bench.rotation.admit(snapshot(NEW), snapshot(OLD))
    assert admitted.secrets == {"p": NEW}
    bench.rotation.published(admitted, snapshot(OLD), 7)
    bench.rotation.retire(6)
    assert [r.message for r in caplog.records][-1] == "credential_rotated"
    bench.rotation.retire(7)
    assert [r.message for r in caplog.records] == ["credential_probed", "credential_rotated", "credential_retired"]
    assert bench.probed == [NEW]
    assert "canary" not in str([vars(record) for record in caplog.records])


async def test_a_refused_value_is_told_once_and_the_old_one_stays(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench("refused", "refused")
    for _ in range(5):
        assert bench.admitted(snapshot(NEW), snapshot(OLD)) == OLD
        await until(lambda: bench.probed)
    await until(lambda: [r.message for r in caplog.records] == ["credential_refused"])
    assert bench.admitted(snapshot("another"), snapshot(OLD)) == OLD
    await until(lambda: [r.message for r in caplog.records] == ["credential_refused"] * 2)
    assert "canary" not in str([vars(record) for record in caplog.records])


async def test_a_provider_that_says_nothing_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY", 0.001)
    bench = Bench("unsure", "unsure", "accepted")
    assert bench.admitted(snapshot(NEW), snapshot(OLD)) == OLD
    await bench.decided.wait()
    assert bench.probed == [NEW] * 3
    assert bench.admitted(snapshot(NEW), snapshot(OLD)) == NEW


async def test_a_value_that_replaces_a_refused_one_is_used_at_once() -> None:
    bench = Bench("refused")
    bench.rotation.refused("p", OLD)
    assert bench.admitted(snapshot(NEW), snapshot(OLD)) == NEW
    assert bench.probed == []


async def test_a_workers_word_counts_for_the_value_it_was_said_of_and_not_for_ever() -> None:
    bench = Bench()
    bench.rotation.refused("p", "another")
    assert bench.admitted(snapshot(NEW), snapshot(OLD)) == OLD
    bench.rotation.refused("p", OLD)
    bench.now = 601.0
    assert bench.admitted(snapshot(NEW), snapshot(OLD)) == OLD
    await bench.rotation.close()


async def test_while_the_old_one_retires_a_workers_word_may_be_about_it() -> None:
    bench = Bench()
    bench.rotation.published(snapshot(NEW), snapshot(OLD), 2)
    bench.rotation.refused("p", NEW)
    assert bench.admitted(snapshot("third"), snapshot(NEW)) == NEW
    await bench.rotation.close()


async def test_a_trial_ends_when_the_old_value_comes_back() -> None:
    bench = Bench()
    assert bench.admitted(snapshot(NEW), snapshot(OLD)) == OLD
    assert bench.rotation.has_trial("p")
    assert bench.admitted(snapshot(OLD), snapshot(OLD)) == OLD
    assert not bench.rotation.has_trial("p")


async def test_a_value_that_went_away_leaves_the_last_good_one() -> None:
    assert Bench().admitted(snapshot(None), snapshot(OLD)) == OLD


async def test_a_new_address_gets_the_new_value_and_never_the_old_one() -> None:
    """Else a changed base URL would be sent the secret of another."""
    bench = Bench()
    assert bench.admitted(snapshot(NEW, base_url="https://b/v1"), snapshot(OLD)) == NEW
    assert bench.admitted(snapshot(None, base_url="https://b/v1"), snapshot(OLD)) is None
    assert bench.admitted(snapshot(NEW, more="-2"), snapshot(OLD)) == OLD
    await bench.rotation.close()


async def test_a_held_credential_holds_nothing_else_up() -> None:
    bench = Bench()
    changed = snapshot(NEW, more="-2")
    admitted = bench.rotation.admit(changed, snapshot(OLD))
    assert admitted.routes == changed.routes
    assert msgspec.structs.replace(admitted, version="", secrets={}) == msgspec.structs.replace(
        changed, version="", secrets={}
    )
    await bench.rotation.close()
