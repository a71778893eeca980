"""Control and the audit trail: requests of many workers, changes of keys, a trail that cannot be written, witnesses."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from tests.control.conftest import PEPPER, TERMS

from fairlead.audit import alarm
from fairlead.audit.entry import decode
from fairlead.audit.opening import Terms
from fairlead.audit.segments import lines_of, segments_of
from fairlead.audit.subjects import Subjects, readable
from fairlead.audit.verify import verify
from fairlead.canonical.routing import RequestRecord
from fairlead.config.records import Audit
from fairlead.control.accounts import Author
from fairlead.control.audit_changes import AuditChanges
from fairlead.control.audit_post import AuditPost
from fairlead.control.audit_records import AuditRecords
from fairlead.control.auditing import Auditing
from fairlead.control.custodian import Custodian
from fairlead.control.keyring import Keyring
from fairlead.control.projector import ProjectionError, Projector
from fairlead.control.wishes import RefusedError, Wish
from fairlead.control.witnesses import Witness, witness_of
from fairlead.database import outbox
from fairlead.database.engine import Database
from fairlead.http.client import Client
from fairlead.journal import encode
from fairlead.journal.reader import Reader


def custodian_at(home: Path) -> Custodian:
    terms = Terms(folder=home / "audit", private=home / "private", origin="t/m1")
    return Custodian(lambda: terms, time.time)


def entries(home: Path) -> list[Any]:
    return [decode(line) for _, line in lines_of(home / "audit")]


def write(journals: Path, worker: int, numbers: range) -> None:
    journals.mkdir(exist_ok=True)
    with (journals / f"w{worker}.journal").open("ab") as stream:
        for number in numbers:
            stream.write(encode(RequestRecord(id=f"{worker}-{number}", at=1.0, tenant="acme", user=f"u{number % 3}")))


async def test_the_records_of_many_workers_are_there_once_in_one_order(tmp_path: Path) -> None:
    custodian = custodian_at(tmp_path)
    projector = Projector(Reader(tmp_path / "j"), AuditRecords(custodian, tmp_path / "j"))
    for turn in range(4):
        for worker in range(5):
            write(tmp_path / "j", worker, range(turn * 10, turn * 10 + 10))
        assert await projector.catch_up()
    custodian.close()
    again = custodian_at(tmp_path)
    assert await Projector(Reader(tmp_path / "j"), AuditRecords(again, tmp_path / "j")).catch_up()
    again.close()
    await projector.close()
    found = [entry.request for entry in entries(tmp_path) if entry.action == "request"]
    assert sorted(found) == sorted(f"{worker}-{number}" for worker in range(5) for number in range(40))
    assert verify(tmp_path / "audit").finding is None


async def test_an_erased_person_stays_erased_in_the_trail_after_an_alarm(tmp_path: Path) -> None:
    """What was tampered with is set aside, and the new trail takes the journals in again."""
    custodian, subjects = custodian_at(tmp_path), tmp_path / "private" / "subjects.db"
    projector = Projector(Reader(tmp_path / "j"), AuditRecords(custodian, tmp_path / "j"))
    write(tmp_path / "j", 0, range(6))
    assert await projector.catch_up()
    custodian.close()
    await projector.close()
    with contextlib.closing(Subjects(subjects)) as keys:
        keys.destroy("acme", "u1", 2_000_000)
    path = segments_of(tmp_path / "audit")[-1].path
    path.write_bytes(path.read_bytes().replace(b'"0-3"', b'"0-9"'))
    again = custodian_at(tmp_path)
    with pytest.raises(ProjectionError):
        again.check()
    standing = alarm.raised(tmp_path / "audit")
    assert standing is not None
    alarm.acknowledge(tmp_path / "audit", standing)
    projector = Projector(Reader(tmp_path / "j"), AuditRecords(again, tmp_path / "j"))
    assert await projector.catch_up()
    again.close()
    await projector.close()
    with contextlib.closing(Subjects(subjects)) as keys:
        found = [readable(entry.sealed, keys) for entry in entries(tmp_path) if entry.sealed is not None]
    assert [(one or {}).get("user") for one in found] == ["u0", None, "u2"] * 2


async def test_a_second_process_waits_for_the_trail(tmp_path: Path) -> None:
    first, second = custodian_at(tmp_path), custodian_at(tmp_path)
    first.use(lambda trail: trail.size)
    with pytest.raises(ProjectionError, match="another process"):
        second.use(lambda trail: trail.size)
    first.close()
    assert second.use(lambda trail: trail.size) == 1
    second.close()


@pytest.fixture
def keyring_with(database: Database) -> Callable[[Custodian], Keyring]:
    def made(custodian: Custodian) -> Keyring:
        def may_change() -> None:
            try:
                custodian.check()
            except ProjectionError as error:
                raise RefusedError("audit_unavailable", str(error)) from None

        return Keyring(
            database, lambda: PEPPER, terms=lambda: TERMS, clock=time.time, author=Author("admin", "m1"),
            may_change=may_change,
        )  # fmt: skip

    return made


async def test_changes_of_keys_are_in_the_trail_once(
    database: Database, keyring_with: Callable[[Custodian], Keyring], tmp_path: Path
) -> None:
    custodian = custodian_at(tmp_path)
    keyring = keyring_with(custodian)
    made = keyring.create(Wish(name="canary-name", tenant="acme", tags={"team": "canary-tag"}))
    keyring.update(made.key.id, Wish(models=("chat",)))
    keyring.rotate(made.key.id, 60.0)
    keyring.revoke(made.key.id)
    keyring.revoke(made.key.id)
    mover = AuditChanges(database, custodian, "m1")
    await mover.catch_up()
    await mover.catch_up()
    await mover.close()
    custodian.close()
    found = [(one.action, one.object, one.actor, one.tenant) for one in entries(tmp_path)[1:]]
    assert found == [(f"key.{what}", made.key.id, "admin", "acme") for what in ("create", "update", "rotate", "revoke")]
    text = b"".join(line for _, line in lines_of(tmp_path / "audit"))
    assert b"canary" not in text
    assert made.text.encode() not in text
    with database.reading() as connection:
        assert outbox.is_empty(connection, "m1")


async def test_a_change_that_was_moved_and_not_forgotten_is_not_moved_again(
    database: Database, keyring_with: Callable[[Custodian], Keyring], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the trail and the database: the trail remembers the number."""
    custodian = custodian_at(tmp_path)
    keyring_with(custodian).create(Wish(name="ci"))
    mover = AuditChanges(database, custodian, "m1")

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(outbox, "forget", dies)
        with pytest.raises(KeyboardInterrupt):
            mover._move()
    custodian.close()
    again = custodian_at(tmp_path)
    later = AuditChanges(database, again, "m1")
    await later.catch_up()
    again.close()
    for one in (mover, later):
        await one.close()
    assert [entry.action for entry in entries(tmp_path)].count("key.create") == 1


async def test_what_waits_for_another_machine_is_left_there(
    database: Database, keyring_with: Callable[[Custodian], Keyring], tmp_path: Path
) -> None:
    custodian = custodian_at(tmp_path)
    keyring_with(custodian).create(Wish(name="ci"))
    other = AuditChanges(database, custodian, "m2")
    await other.catch_up()
    assert len(entries(tmp_path)) == 1
    with database.writing() as connection:
        outbox.add(connection, b'{"entry":{"at":1,"action":"audit.erase"}}', "")
    await other.catch_up()
    assert [entry.action for entry in entries(tmp_path)] == ["audit.opened", "audit.erase"]
    await other.close()
    custodian.close()


def test_a_change_is_rolled_back_where_its_entry_cannot_be_written(
    database: Database, keyring_with: Callable[[Custodian], Keyring], tmp_path: Path
) -> None:
    custodian = custodian_at(tmp_path)
    keyring = keyring_with(custodian)
    kept = keyring.create(Wish(name="kept"))
    (tmp_path / "audit" / "probe").mkdir()  # no further file can be written under this name
    for change in (
        lambda: keyring.create(Wish(name="lost")),
        lambda: keyring.update(kept.key.id, Wish(name="changed")),
        lambda: keyring.rotate(kept.key.id, 0.0),
        lambda: keyring.revoke(kept.key.id),
    ):
        with pytest.raises(RefusedError) as refused:
            change()
        assert refused.value.code == "audit_unavailable"
    assert [(key.name, key.state) for key in keyring.page().keys] == [("kept", "active")]
    (tmp_path / "audit" / "probe").rmdir()
    assert keyring.revoke(kept.key.id).state == "revoked"
    with database.reading() as connection:
        assert not outbox.is_empty(connection, "m1")
    custodian.close()


async def test_a_disk_that_fails_loses_nothing_and_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    custodian = custodian_at(tmp_path)
    projector = Projector(Reader(tmp_path / "j"), AuditRecords(custodian, tmp_path / "j"))
    write(tmp_path / "j", 0, range(10))
    assert await projector.catch_up()
    write(tmp_path / "j", 0, range(10, 20))

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("fairlead.audit.segments.os.fdatasync", full)
        assert not await projector.catch_up()
        assert "No space left" in custodian.trouble
    assert await projector.catch_up()
    assert custodian.trouble == ""
    custodian.close()
    await projector.close()
    assert [entry.request for entry in entries(tmp_path) if entry.action == "request"] == [
        f"0-{number}" for number in range(20)
    ]
    assert verify(tmp_path / "audit").finding is None


class Bucket:
    """A labelled fake of an object store: takes a PUT and gives it back."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.away = False
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                method, target = head.split(" ")[:2]
                length = int(head.partition("content-length: ")[2].split("\r\n")[0] or 0)
                body = await reader.readexactly(length)
                if method == "put" and not self.away:
                    self.kept[target] = body
                found = self.kept.get(target)
                status = "503 No" if self.away else "200 OK" if found is not None else "404 No"
                said = found or b""
                writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(said)}\r\n\r\n".encode() + said)
        writer.close()


@pytest.fixture
async def bucket() -> AsyncIterator[Bucket]:
    found = Bucket()
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/b"
    yield found
    server.close()


async def test_a_witness_that_was_away_gets_the_newest_checkpoint(bucket: Bucket, tmp_path: Path) -> None:
    custodian = custodian_at(tmp_path)
    note = custodian.use(lambda trail: trail.latest)
    client = Client()
    witness: Witness = witness_of(bucket.url, client)
    bucket.away = True
    await witness.keep_up(note)
    assert (witness.failures, witness.size) == (1, 0)
    assert "503" in witness.trouble
    await witness.keep_up(note)
    assert witness.failures == 1, "it is not asked again at once"
    bucket.away = False
    await witness.last(note, 5.0)
    assert (witness.trouble, witness.size) == ("", 1)
    assert sorted(bucket.kept) == ["/b/t%2fm1/000000000001", "/b/t%2fm1/checkpoint"]
    assert await witness.newest("t/m1") == (note,)
    await witness.close()
    await client.close()
    custodian.close()


def loaded(home: Path, *witnesses: str) -> Any:
    settings = Audit(witnesses=witnesses, origin="t/m1")
    return SimpleNamespace(config=SimpleNamespace(audit=settings), audit_keys=(None, None), home=home)


async def test_a_url_that_knows_more_is_a_rollback(bucket: Bucket, tmp_path: Path) -> None:
    client = Client()
    post = AuditPost(folder=tmp_path / "audit", private=tmp_path / "private", machine="m1")

    async def opened(*, more: bool) -> Auditing:
        auditing = Auditing(post, Reader(tmp_path / "j"), client, lambda: None)
        auditing.configured(loaded(tmp_path, bucket.url))
        if more:
            auditing.rejected("v1", "line 3: no such key")
            auditing.refused("POST", "/admin/v1/keys", "invalid_api_key")
        await auditing.start()
        await auditing.close()
        return auditing

    await opened(more=False)
    saved = {path: path.read_bytes() for path in (tmp_path / "audit").iterdir()}
    assert (await opened(more=True)).trouble == ""
    told = [(entry.action, entry.outcome) for entry in entries(tmp_path)[1:]]
    assert told == [("config.reject", "denied"), ("admin.refused", "denied")]
    for path, content in saved.items():
        path.write_bytes(content)
    again = await opened(more=False)
    assert "a witness has a checkpoint of 3 entries" in again.trouble
    assert json.loads((tmp_path / "audit" / "alarm").read_bytes())["kind"] == "rollback"
    await client.close()


async def test_what_cannot_be_written_waits_and_what_is_too_much_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairlead.control.auditing.MOST_WAITING", 3)
    client = Client()
    post = AuditPost(folder=tmp_path / "audit", private=tmp_path / "private", machine="m1")
    auditing = Auditing(post, Reader(tmp_path / "j"), client, lambda: None)
    for _ in range(5):
        auditing.refused("POST", "/x", "not_found")
    await auditing.start()
    assert auditing.trouble
    auditing.configured(loaded(tmp_path))
    await auditing.start()
    assert [entry.action for entry in entries(tmp_path)] == [
        "audit.opened", "admin.refused", "admin.refused", "admin.refused", "audit.dropped",
    ]  # fmt: skip
    assert entries(tmp_path)[-1].detail == {"entries": 2}
    await auditing.close()
    await client.close()


async def test_what_is_told_and_dropped_during_a_write_is_the_next_one_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairlead.control.auditing.MOST_WAITING", 3)
    client = Client()
    post = AuditPost(folder=tmp_path / "audit", private=tmp_path / "private", machine="m1")
    auditing = Auditing(post, Reader(tmp_path / "j"), client, lambda: None)
    for _ in range(4):
        auditing.refused("POST", "/before", "not_found")
    auditing.configured(loaded(tmp_path))
    use = auditing.custodian.use

    def meanwhile(work: Any) -> Any:
        monkeypatch.setattr("fairlead.control.auditing.MOST_WAITING", 5)
        for _ in range(4):
            auditing.refused("POST", "/meanwhile", "not_found")
        monkeypatch.setattr(auditing.custodian, "use", use)
        return use(work)

    monkeypatch.setattr(auditing.custodian, "use", meanwhile)
    await auditing._flush()
    await auditing._flush()
    told = [(entry.detail or {}).get("path") or (entry.detail or {}).get("entries") for entry in entries(tmp_path)[1:]]
    assert told == ["/before"] * 3 + [1] + ["/meanwhile"] * 2 + [2]
    await auditing.close()
    await client.close()


def test_a_key_that_has_no_value_yet_is_waited_for(tmp_path: Path) -> None:
    post = AuditPost(folder=tmp_path / "audit", private=tmp_path / "private", machine="m1")
    auditing = Auditing(post, Reader(tmp_path / "j"), SimpleNamespace(), lambda: None)  # type: ignore[arg-type]
    settings = msgspec.structs.replace(Audit(), signing_key="vault://secret/data/audit#key")
    auditing.configured(SimpleNamespace(config=SimpleNamespace(audit=settings), audit_keys=(None, None)))  # type: ignore[arg-type]
    with pytest.raises(RefusedError, match=r"audit\.signing_key has no value yet"):
        auditing.may_change()
    assert not (tmp_path / "audit").exists()
