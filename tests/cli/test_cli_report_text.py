"""A report in a terminal: within its width, readable without colour, and nothing that a name could do to it."""

import io
import re
import sys

import msgspec
import pytest
from tests.reports.sample_reports import (
    COMPARED,
    EMPTY,
    HOSTILE,
    ONE,
    REFUSED,
    REPLAYED,
    SUGGESTED,
    SWEEP,
    TWO,
    report,
    sender,
)

from fairlead.cli.report_text import print_report, text
from fairlead.simulator.report import Report

ALL = [ONE, TWO, REFUSED, SWEEP, COMPARED, SUGGESTED, REPLAYED, EMPTY]


class Screen(io.StringIO):
    """A stdout that is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("shown", ALL)
@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_line_is_wider_than_the_terminal(shown: Report, width: int) -> None:
    assert max(map(len, text(shown, width=width).splitlines())) <= width


@pytest.mark.parametrize("shown", [*ALL, HOSTILE])
def test_colour_only_emphasises(shown: Report) -> None:
    coloured = text(shown, color=True)
    assert "\x1b[1m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == text(shown)


def test_a_name_cannot_steer_the_terminal() -> None:
    told = text(HOSTILE)
    assert "\x1b" not in told
    assert "</script><script>alert(1)</script>&amp;\N{REPLACEMENT CHARACTER}[31m" in told


def test_a_table_that_is_too_wide_goes_on_below_with_its_first_column() -> None:
    narrow = text(REFUSED, width=60).splitlines()
    heads = [line for line in narrow if "success %" in line or "$ per 1000" in line]
    assert len(heads) == 2
    assert sum(line.startswith("acme ") for line in narrow) == 3, "senders in two parts, and refusals"


def test_what_differs_is_marked_without_colour() -> None:
    assert re.search(r"success rate, % .*95\.00 \[94\.80, 95\.20\] ≠$", text(TWO), re.MULTILINE)


def test_one_run_shows_its_load_over_time_and_several_their_latencies() -> None:
    one, two = text(ONE), text(TWO)
    assert "Load: attempts per second (0 to 20/s)" in one
    assert re.search(r"^openai/gpt-4o +█+ +10\.0$", one, re.MULTILINE) is not None
    assert "Latency (0" not in one
    assert "Load" not in two
    assert re.search(r"^p99 +two\.yaml +5,000\.0 +.*●", two, re.MULTILINE)


def test_below_what_is_over_time_is_the_whole_time() -> None:
    """Answers may take long after the last request: then the bars end before the axis does."""
    (run,) = ONE.runs
    lasting = msgspec.structs.replace(run, summary=msgspec.structs.replace(run.summary, duration=100.0))
    lines = text(report(lasting), width=80).partition("Load: ")[2].partition("\n\n")[0].splitlines()
    bars, axis = lines[-2], lines[-1]
    first, last = axis.index("0 ─"), len(axis) - 1
    assert axis.endswith("─ 1 min 40 s")
    ends = [place for place, letter in enumerate(bars[first : last + 1]) if letter in "▁▂▃▄▅▆▇█"]
    assert ends[0] == 0
    assert ends[-1] == pytest.approx((last - first) / 10, abs=1), "a tenth of the time"


def test_failing_attempts_are_plotted_only_of_who_had_some() -> None:
    plot = text(ONE).partition("Attempts that failed")[2]
    assert "openai/gpt-4o" in plot
    assert "anthropic/claude" not in plot


def test_what_a_deployment_was_left_alone_is_plotted() -> None:
    assert "Left alone: cooldown or open breaker (0 to 100 %)" in text(ONE)


def test_of_many_rows_of_a_kind_the_first_are_shown() -> None:
    (run,) = REFUSED.runs
    many = [sender(f"tenant{number:02}", 0.5) for number in range(25)]
    told = text(report(msgspec.structs.replace(run, summary=msgspec.structs.replace(run.summary, senders=many))))
    assert "tenant19" in told
    assert "tenant20" not in told
    assert "… and 5 more, with --json" in told


def test_long_names_keep_their_ends() -> None:
    first, second = TWO.runs
    deep = [msgspec.structs.replace(run, name=f"a/long/way/down/to/some/{run.name}") for run in (first, second)]
    plot = text(report(*deep)).partition("Latency (")[2]
    assert "…g/way/down/to/some/one.yaml" in plot
    assert "…g/way/down/to/some/two.yaml" in plot


def test_a_comparison_without_a_difference_has_no_empty_table() -> None:
    (comparison,) = COMPARED.comparisons
    alike = msgspec.structs.replace(comparison, differences=[])
    told = text(msgspec.structs.replace(COMPARED, comparisons=[alike]))
    assert "request by request\nNothing differs by more than chance." in told


def test_a_sweep_shows_each_point_with_its_interval() -> None:
    plot = text(SWEEP).partition("Success rate by openai.error (79 to 101 %)")[2]
    assert re.search(r"^0\.2 +two\.yaml +80\.0 +├─*●─*┤$", plot, re.MULTILINE)


def test_what_was_assumed_is_said_last() -> None:
    assert text(ONE).endswith("\n\nAssumed, because nobody said it\n- Something was assumed.")


def test_targets_and_what_is_suggested_end_it() -> None:
    assert text(SUGGESTED).endswith(
        """
Assumed, because nobody said it
- Something was assumed.

Targets
- the success rate is 0.95: missed by 0.049

Suggestion
- none of the 40 settings meets it; this comes closest:

    routes:
      - model: chat
        retry: {attempts: 2}"""
    )


@pytest.mark.parametrize(("variable", "has_colour"), [(None, True), ("", True), ("1", False)])
def test_a_terminal_gets_colour_unless_no_color_is_set(
    variable: str | None, has_colour: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if variable is not None:
        monkeypatch.setenv("NO_COLOR", variable)
    monkeypatch.setenv("COLUMNS", "60")
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    print_report(REFUSED)
    assert ("\x1b" in screen.getvalue()) is has_colour
    assert re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()) == text(REFUSED, width=60) + "\n"


def test_a_file_gets_80_columns_without_colour(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    print_report(REFUSED)
    assert capsys.readouterr().out == text(REFUSED, width=80) + "\n"


def test_who_has_no_such_characters_gets_others(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", file)
    print_report(TWO)
    file.flush()
    written = file.buffer.getvalue()
    assert b"95.00 [94.80, 95.20] ?" in written


def test_runs_without_an_answer_are_told_too() -> None:
    told = text(report())
    assert told.startswith("A title")


def test_a_report_says_how_it_was_made() -> None:
    assert text(ONE, width=90).splitlines()[:3] == [
        "A title",
        "1,000 requests, seed 7; made by Fairlead 1.2.3 at 2027-01-31T12:00:00Z, with:",
        "fairlead simulate --config one.yaml --faults 'openai:error=0.05' --requests 1000 --seed 7",
    ]
