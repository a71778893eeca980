"""A trail that is written, closed, killed, torn and opened again."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.audit.trails import NOW, admin, batch, filled, terms_at, trail_at

from fairlead.audit import keys
from fairlead.audit.alarm import AlarmError, acknowledge
from fairlead.audit.entry import Entry, decode
from fairlead.audit.note import claimed, opened, verifier_of
from fairlead.audit.opening import LockedError, open_trail
from fairlead.audit.proofs import inclusion
from fairlead.audit.segments import lines_of, segments_of
from fairlead.audit.verify import verify
from fairlead.audit.witnesses import copy


def actions(data: Path) -> list[str]:
    return [decode(line[:-1]).action for _, line in lines_of(data / "audit")]


def test_a_new_trail_begins_with_its_name_and_key_signed(tmp_path: Path) -> None:
    with trail_at(tmp_path) as trail:
        assert (trail.size, trail.signed) == (1, 1)
        assert opened(trail.latest, trail.signer.verifier).origin == trail.origin
    report = verify(tmp_path / "audit")
    assert report.finding is None
    assert (report.size, report.keys) == (1, (trail.signer.verifier.vkey,))
    assert (tmp_path / "audit-private" / keys.CURRENT).stat().st_mode & 0o777 == 0o600


def test_entries_are_there_after_a_restart_and_the_journal_goes_on(tmp_path: Path) -> None:
    filled(tmp_path)
    with trail_at(tmp_path) as trail:
        assert trail.journals == {"w.journal": 15}
        assert (trail.size, trail.signed) == (16, 16)
        trail.append([admin(1)])
    with trail_at(tmp_path) as trail:
        assert (trail.size, trail.signed) == (17, 17)
    assert verify(tmp_path / "audit").finding is None
    assert actions(tmp_path).count("request") == 15


def test_a_thousand_entries_are_signed_at_once(tmp_path: Path) -> None:
    with trail_at(tmp_path) as trail:
        trail.append(batch(0, 998))
        assert trail.signed == 1
        trail.append(batch(998, 2))
        assert trail.signed == 1001


def test_entries_go_to_another_file_after_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlead.audit.segments.LENGTH", 100)
    filled(tmp_path, (70,) * 7)
    with trail_at(tmp_path) as trail:
        trail.append(batch(490, 10))
    assert [one.first for one in segments_of(tmp_path / "audit")] == [0, 141, 281, 421]
    assert verify(tmp_path / "audit").finding is None


def test_a_complete_file_may_be_on_another_disk_behind_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlead.audit.segments.LENGTH", 8)
    filled(tmp_path, (8, 8, 8))
    archive = tmp_path / "archive"
    archive.mkdir()
    for segment in segments_of(tmp_path / "audit")[:-1]:
        segment.path.rename(archive / segment.path.name)
        segment.path.symlink_to(archive / segment.path.name)
    assert len(list(archive.iterdir())) >= 2
    filled(tmp_path, (8,))
    report = verify(tmp_path / "audit")
    assert (report.finding, report.size) == (None, 33)
    assert inclusion(tmp_path / "audit", 3).index == 3


def test_only_one_process_has_it(tmp_path: Path) -> None:
    with trail_at(tmp_path), pytest.raises(LockedError):
        open_trail(terms_at(tmp_path), lambda: NOW)
    with trail_at(tmp_path):
        pass


@pytest.mark.parametrize("torn", [b'{"action":"requ', b"\x00" * 500, b'{"a\x00\x00\n{"b":1}\n'])
def test_a_torn_end_is_cut_off_and_said(tmp_path: Path, torn: bytes) -> None:
    filled(tmp_path)
    path = segments_of(tmp_path / "audit")[-1].path
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    with trail_at(tmp_path) as trail:
        assert trail.size == 17
    assert path.read_bytes().startswith(whole)
    assert (tmp_path / "audit" / "torn-000000000016").read_bytes() == torn
    assert actions(tmp_path)[-1] == "audit.repair"
    assert verify(tmp_path / "audit").finding is None


def test_a_batch_that_is_there_in_part_is_taken_again_as_a_whole(tmp_path: Path) -> None:
    filled(tmp_path)
    with trail_at(tmp_path) as trail:
        trail.append(batch(15, 10))
    path = segments_of(tmp_path / "audit")[-1].path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-3]) + lines[-3][:40])
    with trail_at(tmp_path) as trail:
        assert trail.journals == {"w.journal": 15}
        trail.append(batch(15, 10))
    report = verify(tmp_path / "audit")
    assert (report.finding, report.size) == (None, 16 + 1 + 10)


@pytest.mark.parametrize("spoilt", ["hashes-0", "hashes-8"])
def test_hashes_that_are_not_what_they_were_are_made_again(tmp_path: Path, spoilt: str) -> None:
    filled(tmp_path, (300, 300, 5))
    path = tmp_path / "audit" / spoilt
    path.write_bytes(b"x" * path.stat().st_size)
    with trail_at(tmp_path) as trail:
        trail.append([admin(1)])
    assert verify(tmp_path / "audit").finding is None


@pytest.mark.parametrize("at", [0, 3, 9, 15, 17])
def test_an_entry_that_is_not_what_it_was_is_an_alarm_that_names_it(tmp_path: Path, at: int) -> None:
    filled(tmp_path)
    with trail_at(tmp_path) as trail:
        trail.append([admin(1), admin(2), admin(3)])
    path = segments_of(tmp_path / "audit")[-1].path
    lines = path.read_bytes().splitlines(keepends=True)
    lines[at] = lines[at].replace(b'"at":', b'"at":7')
    spoilt = b"".join(lines)
    assert spoilt != path.read_bytes()
    path.write_bytes(spoilt)
    with pytest.raises(AlarmError, match=f"entry {at}:") as caught:
        open_trail(terms_at(tmp_path), lambda: NOW)
    assert caught.value.alarm.kind == "tampered"
    assert path.read_bytes() == spoilt, "the evidence stays"


def test_entries_that_are_gone_are_an_alarm(tmp_path: Path) -> None:
    filled(tmp_path)
    path = segments_of(tmp_path / "audit")[-1].path
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(AlarmError, match="they are gone"):
        open_trail(terms_at(tmp_path), lambda: NOW)


def test_checkpoints_that_are_gone_are_an_alarm(tmp_path: Path) -> None:
    filled(tmp_path)
    for name in ("checkpoint", "checkpoints"):
        (tmp_path / "audit" / name).unlink()
    with pytest.raises(AlarmError, match="no signed checkpoint"):
        open_trail(terms_at(tmp_path), lambda: NOW)


def test_a_broken_trail_is_set_aside_when_an_operator_says_so(tmp_path: Path) -> None:
    filled(tmp_path)
    copy(tmp_path / "witness", (tmp_path / "audit" / "checkpoint").read_text())
    path = segments_of(tmp_path / "audit")[-1].path
    path.write_bytes(path.read_bytes().replace(b'"r3"', b'"r4"'))
    terms = terms_at(tmp_path, tmp_path / "witness")
    with pytest.raises(AlarmError) as caught:
        open_trail(terms, lambda: NOW)
    acknowledge(tmp_path / "audit", caught.value.alarm)
    for _ in range(2):
        with trail_at(tmp_path, terms=terms) as trail:
            copy(tmp_path / "witness", trail.latest)
    assert actions(tmp_path) == ["audit.opened", "audit.acknowledge"]
    assert (tmp_path / f"audit-until-{NOW:.0f}").is_dir()
    opened_as, acknowledged = (decode(line) for _, line in lines_of(tmp_path / "audit"))
    assert (opened_as.detail or {})["set_aside"] == f"audit-until-{NOW:.0f}"
    assert acknowledged.actor == "cli"


def test_an_older_copy_is_a_rollback_once_a_witness_knows_better(tmp_path: Path) -> None:
    """Yesterday's backup is restored; the witness has today's checkpoint."""
    filled(tmp_path)
    backup = tmp_path / "backup"
    subprocess.run(["cp", "-a", str(tmp_path / "audit"), str(backup)], check=True)
    filled(tmp_path, (5,))
    witness = tmp_path / "witness"
    copy(witness, (tmp_path / "audit" / "checkpoint").read_text())
    terms = terms_at(tmp_path, witness)
    subprocess.run(["rm", "-r", str(tmp_path / "audit")], check=True)
    backup.rename(tmp_path / "audit")
    with pytest.raises(AlarmError, match="21 entries, and here are 16") as caught:
        open_trail(terms, lambda: NOW)
    assert caught.value.alarm.kind == "rollback"
    acknowledge(tmp_path / "audit", caught.value.alarm)
    for _ in range(2):
        with trail_at(tmp_path, terms=terms) as trail:
            assert trail.size == 17
    assert actions(tmp_path)[-1] == "audit.acknowledge"
    assert verify(tmp_path / "audit").finding is None


def test_another_history_of_the_same_size_is_a_fork(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "audit-private").symlink_to(tmp_path / "audit-private")
    with trail_at(tmp_path / "other") as other:
        other.append([admin(number) for number in range(15)])
        other.sign()
        copy(tmp_path / "witness", other.latest)
    with pytest.raises(AlarmError, match="another checkpoint") as caught:
        open_trail(terms_at(tmp_path, tmp_path / "witness"), lambda: NOW)
    assert caught.value.alarm.kind == "fork"


def test_what_somebody_else_wrote_to_a_witness_is_nothing(tmp_path: Path) -> None:
    filled(tmp_path)
    filled(tmp_path / "stranger", (90,))
    copy(tmp_path / "witness", (tmp_path / "stranger" / "audit" / "checkpoint").read_text())
    (tmp_path / "witness" / "fairlead.test%2Fm1" / "000000000099").write_text("rubbish")
    with trail_at(tmp_path, tmp_path / "witness") as trail:
        assert trail.size == 16


def test_a_change_of_key_is_signed_by_the_old_one(tmp_path: Path) -> None:
    filled(tmp_path)
    old = (tmp_path / "audit-private" / keys.CURRENT).read_text()
    keys.rotate(tmp_path / "audit-private", (tmp_path / "audit" / "checkpoint").read_text())
    assert (tmp_path / "audit-private" / keys.OLD).read_text() == old
    for _ in range(2):
        filled(tmp_path, (5,))
    report = verify(tmp_path / "audit")
    assert report.finding is None
    assert len(report.keys) == 2
    assert actions(tmp_path).count("audit.key") == 1
    assert (
        next(one.actor for _, line in lines_of(tmp_path / "audit") if (one := decode(line)).action == "audit.key")
        == "cli"
    )
    for vkey in report.keys:
        assert verify(tmp_path / "audit", vkey=vkey).finding is None


def test_a_key_that_waits_for_the_next_start_is_not_made_again(tmp_path: Path) -> None:
    """A second one would overwrite the only copy of the key that the trail is signed with."""
    private, latest = tmp_path / "audit-private", tmp_path / "audit" / "checkpoint"
    filled(tmp_path)
    keys.rotate(private, latest.read_text())
    kept = {path.name: path.read_text() for path in private.glob("*.pem")}
    with pytest.raises(keys.NoRotationError, match="waits for the next start"):
        keys.rotate(private, latest.read_text())
    assert {path.name: path.read_text() for path in private.glob("*.pem")} == kept
    filled(tmp_path, (5,))
    keys.rotate(private, latest.read_text())
    filled(tmp_path, (5,))
    report = verify(tmp_path / "audit")
    assert (report.finding, len(report.keys)) == (None, 3)


def test_a_key_that_is_kept_elsewhere_is_not_changed_here(tmp_path: Path) -> None:
    with trail_at(tmp_path, terms=msgspec.structs.replace(terms_at(tmp_path), seed=bytes(32))) as trail:
        latest = trail.latest
    with pytest.raises(keys.NoRotationError, match=r"audit\.signing_key"):
        keys.rotate(tmp_path / "audit-private", latest)
    assert not list((tmp_path / "audit-private").glob("*.pem"))


def test_a_key_that_the_old_one_has_not_signed_is_an_alarm(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "audit-private" / keys.CURRENT).unlink()
    with pytest.raises(AlarmError, match="another key") as caught:
        open_trail(terms_at(tmp_path), lambda: NOW)
    assert caught.value.alarm.kind == "key"


def test_a_key_of_another_trail_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    filled(tmp_path / "other")
    other = verify(tmp_path / "other" / "audit").keys[0]
    finding = verify(tmp_path / "audit", vkey=other).finding
    assert finding is not None
    assert "not of the key" in finding.message
    assert verifier_of(other).name == "fairlead.test/m1"


def test_what_came_from_the_database_is_known_until_it_is_gone_there(tmp_path: Path) -> None:
    with trail_at(tmp_path) as trail:
        trail.append([Entry(at=1, action="key.create", outbox=number) for number in (3, 4, 5)])
        trail.delivered([3])
        trail.sign()
        trail.append([Entry(at=1, action="key.create", outbox=7)])
    with trail_at(tmp_path) as trail:
        assert trail.outbox == {4, 5, 7}
    (tmp_path / "audit" / "positions").write_bytes(b"rubbish")
    with trail_at(tmp_path) as trail:
        assert trail.outbox >= {4, 5, 7}


KILLED = """
import sys
from pathlib import Path
from tests.audit.trails import batch, trail_at
with trail_at(Path(sys.argv[1])) as trail:
    while True:
        start = trail.journals.get("w.journal", 0)
        trail.append(batch(start, 7))
        print(trail.size, flush=True)
"""


def test_a_process_that_is_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Killed at whatever it was doing, again and again; the journal's own count is the measure."""
    for _ in range(8):
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environ
        )
        assert child.stdout is not None
        told = [int(child.stdout.readline()) for _ in range(40)]
        child.kill()
        child.wait()
        child.stdout.close()
        with trail_at(tmp_path) as trail:
            assert trail.size >= told[-1]
            entries = [decode(line[:-1]) for _, line in lines_of(tmp_path / "audit")]
            requests = [entry.request for entry in entries if entry.action == "request"]
            assert requests == [f"r{number}" for number in range(trail.journals["w.journal"])]
    assert verify(tmp_path / "audit").finding is None
    assert claimed((tmp_path / "audit" / "checkpoint").read_text()).size == verify(tmp_path / "audit").size
