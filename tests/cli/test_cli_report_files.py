"""Where a report is written: the suffix decides, and what cannot be is said before anything is simulated."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.reports.sample_reports import HOSTILE, ONE, SWEEP, TWO

from fairlead.cli import report_files
from fairlead.cli.report_files import check, write
from fairlead.cli.stores import UnusableError

BEGINS = {".html": b"<!doctype html>", ".json": b"{", ".png": b"\x89PNG\r\n", ".svg": b"<?xml", ".HTML": b"<!doctype"}


@pytest.mark.parametrize("suffix", sorted(BEGINS))
def test_the_suffix_says_what_is_written(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"out{suffix}"
    write(TWO, str(file))
    assert file.read_bytes().startswith(BEGINS[suffix])


def test_json_is_the_report(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    write(ONE, str(file))
    found: dict[str, Any] = json.loads(file.read_bytes())
    assert found["runs"][0]["summary"]["latency_ms"]["p50"] == {"value": 1000.0, "low": 999.0, "high": 1001.0}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("out.pdf", "it is one of .html, .json, .png, .svg"),
        ("out", "it is one of .html, .json, .png, .svg"),
        ("missing/out.html", "there is no folder"),
        ("folder.html", "is a folder; name a file"),
    ],
)
def test_a_path_that_cannot_be_is_said_before_and_after(name: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "folder.html").mkdir()
    path = str(tmp_path / name)
    with pytest.raises(UnusableError, match=told):
        check(path)
    with pytest.raises(UnusableError, match=told):
        write(ONE, path)


def test_what_the_system_refuses_is_said(tmp_path: Path) -> None:
    (tmp_path / "loop.html").symlink_to(tmp_path / "loop.html")
    with pytest.raises(UnusableError, match=r"cannot be written: Too many levels of symbolic links"):
        write(ONE, str(tmp_path / "loop.html"))


def test_a_picture_without_the_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_files, "find_spec", lambda _: None)
    with pytest.raises(UnusableError, match=r"the extra 'plots' is missing.*pip install '\.\[plots\]'"):
        check(str(tmp_path / "out.png"))
    check(str(tmp_path / "out.html"))


def test_equal_reports_give_equal_pictures_whatever_their_names_hold(tmp_path: Path) -> None:
    pictures = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for picture in pictures:
        write(HOSTILE, str(picture))
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
    ElementTree.fromstring(pictures[0].read_text())


def test_a_picture_has_the_reports_charts(tmp_path: Path) -> None:
    write(SWEEP, str(tmp_path / "sweep.svg"))
    drawn = (tmp_path / "sweep.svg").read_text()
    assert drawn.count("<!-- Success rate -->") == 1
    assert "<!-- Load: attempts per second -->" not in drawn
