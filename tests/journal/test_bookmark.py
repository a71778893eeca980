"""What a reader keeps of itself survives its death, whole or as it was before."""

from pathlib import Path

from fairlead.journal.bookmark import Bookmark


def test_what_was_written_last_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "positions"
    Bookmark(path, dict[str, int]).write({"a.journal": 1})
    Bookmark(path, dict[str, int]).write({"a.journal": 7, "b.journal": 2})
    assert Bookmark(path, dict[str, int]).read() == {"a.journal": 7, "b.journal": 2}
    assert [file.name for file in path.parent.iterdir()] == ["positions"]


def test_without_one_or_with_a_torn_one_there_is_none(tmp_path: Path) -> None:
    mark = Bookmark(tmp_path / "positions", dict[str, int])
    assert mark.read() is None
    (tmp_path / "positions").write_bytes(b"\x81\xa9torn")
    assert mark.read() is None
