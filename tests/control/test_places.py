"""What a projection keeps of how far it is, and forgets with the journals that are gone."""

from pathlib import Path

import pytest

from fairlead.control.places import Places
from fairlead.control.projector import ProjectionError
from fairlead.journal.bookmark import Bookmark
from fairlead.journal.reader import Batch, Reader


def test_journals_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    for name in ("a.journal", "b.journal"):
        (tmp_path / name).touch()
    places = Places(tmp_path / "kept", Reader(tmp_path))
    places.reached(Batch("a.journal", 0, 7, ()))
    (tmp_path / "a.journal").unlink()
    places.reached(Batch("b.journal", 0, 9, ()))
    assert Places(tmp_path / "kept", Reader(tmp_path)).positions == {"b.journal": 9}


def test_a_place_that_cannot_be_kept_is_a_trouble_of_the_projection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "a.journal").touch()
    places = Places(tmp_path / "kept", Reader(tmp_path))
    monkeypatch.setattr(Bookmark, "write", full)
    with pytest.raises(ProjectionError, match="No space left on device"):
        places.reached(Batch("a.journal", 0, 7, ()))
