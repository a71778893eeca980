"""What a trail must not believe: a witness that it has overtaken, positions that were changed, an end that is none."""

import shutil
from pathlib import Path

import pytest
from tests.audit.trails import admin, batch, copied, filled, trail_at

from fairlead.audit import witnesses
from fairlead.audit.alarm import AlarmError
from fairlead.audit.verify import verify


def test_a_rollback_that_a_witness_was_not_there_to_see_is_a_fork_when_it_is_back(tmp_path: Path) -> None:
    """The trail goes on past what the witness has, and signs more: what it has signed before tells all the same."""
    data, witness = tmp_path / "data", tmp_path / "witness"
    with trail_at(data) as trail:
        trail.append(batch(0, 10))
        trail.sign()
    yesterday = copied(data, tmp_path / "yesterday")
    with trail_at(data) as trail:
        trail.append(batch(10, 10))
        trail.sign()
        witnesses.copy(witness, trail.latest)
    shutil.rmtree(data)
    shutil.copytree(yesterday, data)
    with trail_at(data) as trail:
        trail.append(batch(10, 30))
        trail.sign()
        witnesses.copy(witness, trail.latest)
    with pytest.raises(AlarmError, match="another checkpoint of 21 entries") as caught, trail_at(data, witness):
        pass
    assert caught.value.alarm.kind == "fork"


def test_positions_that_somebody_has_changed_are_not_believed(tmp_path: Path) -> None:
    """A changed digit would leave a part of the journal out."""
    filled(tmp_path, (5, 5))
    file = tmp_path / "audit" / "positions"
    said = file.read_bytes()
    assert b'"w.journal":10' in said
    file.write_bytes(said.replace(b'"w.journal":10', b'"w.journal":18'))
    with trail_at(tmp_path) as trail:
        assert trail.journals == {"w.journal": 10}


def test_positions_that_were_signed_spare_the_entries_before_them(tmp_path: Path) -> None:
    """What the journals have is told by the file, though the entries' own word is gone from it."""
    with trail_at(tmp_path) as trail:
        trail.append(batch(0, 5))
        trail.journals["other.journal"] = 7
        trail.sign()
    with trail_at(tmp_path) as trail:
        assert trail.journals == {"w.journal": 5, "other.journal": 7}


def test_a_line_with_zeros_that_others_follow_is_no_torn_end(tmp_path: Path) -> None:
    with trail_at(tmp_path) as trail:
        trail.append(batch(0, 5))
        trail.sign()
        trail.append([admin(1), admin(2), admin(3)])
    (file,) = (tmp_path / "audit").glob("entries-*")
    file.write_bytes(file.read_bytes().replace(b'"k2"', b'"\x002"'))
    found = verify(tmp_path / "audit")
    assert found.finding is not None
    assert found.finding.first == 7
