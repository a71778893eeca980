"""The pepper is made once, whole, for its owner alone; what is no pepper is refused."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.state.pepper import PepperError, load_pepper

ROOT = Path(__file__).parents[2]


def test_it_is_made_at_the_first_use_and_stays(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    pepper = load_pepper(data)
    assert len(pepper) == 32
    assert load_pepper(data) == pepper
    assert [file.name for file in data.iterdir()] == ["pepper"]
    assert stat.S_IMODE((data / "pepper").stat().st_mode) == 0o600
    assert load_pepper(tmp_path) != pepper


LOADS = """
import sys
from pathlib import Path
from fairlead.state.pepper import load_pepper
sys.stdin.read()
print(load_pepper(Path(sys.argv[1])).hex())
"""


def test_processes_that_come_at_once_get_the_same_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOADS, str(tmp_path / "data")]
    environ = {**os.environ, "PYTHONPATH": "src"}
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, cwd=ROOT)
        for _ in range(6)
    ]
    for child in children:  # each waits for its gate, so that they come as close together as processes can
        assert child.stdin is not None
        child.stdin.close()
    seen = set()
    for child in children:
        assert child.stdout is not None
        with child.stdout:
            seen.add(child.stdout.read())
        assert child.wait(30) == 0
    assert seen == {load_pepper(tmp_path / "data").hex().encode() + b"\n"}
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["pepper"]


def test_whoever_comes_second_takes_the_first_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process makes its pepper between our look and our link."""
    link = os.link

    def late(draft: Path, file: Path) -> None:
        file.write_bytes(b"o" * 32)
        link(draft, file)

    monkeypatch.setattr(os, "link", late)
    assert load_pepper(tmp_path) == b"o" * 32
    assert [file.name for file in tmp_path.iterdir()] == ["pepper"]


@pytest.mark.parametrize("content", [b"", b"short", bytes(33)])
def test_a_broken_file_is_not_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pepper").write_bytes(content)
    with pytest.raises(PepperError, match=r"bytes, not 32; bring it back from a backup"):
        load_pepper(tmp_path)
    assert (tmp_path / "pepper").read_bytes() == content


def test_a_place_where_it_cannot_be_kept_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PepperError, match="file/pepper cannot be used: File exists; see to its folder"):
        load_pepper(tmp_path / "file")
