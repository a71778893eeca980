"""The charts of a report as values."""

from math import inf
from typing import Any

import pytest
from tests.simulator.sample_reports import (
    EMPTY,
    NOTHING_ANSWERED,
    ONE,
    REFUSED,
    SWEEP,
    TWO,
    about,
    deployment,
    report,
    summary,
)

from fairlead.simulator.charts import TOTAL, Chart, charts, mean_between
from fairlead.simulator.report import Report, Run
from fairlead.simulator.statistics import Interval
from fairlead.simulator.summary import Series


def by_key(shown: Report) -> dict[str, Chart]:
    return {chart.key: chart for chart in charts(shown)}


def alone(**changes: Any) -> Report:
    """One run, with some of its figures changed."""
    return report(Run(name="one.yaml", summary=summary(**changes)))


def test_nothing_is_drawn_of_what_never_happened() -> None:
    assert "lost" not in by_key(ONE)
    assert "refusals" not in by_key(ONE)
    assert charts(EMPTY) == []


def test_load_has_everyones_requests_and_each_deployments_attempts_with_its_outages() -> None:
    lines = by_key(ONE)["load"].lines
    assert [(line.name, line.hue) for line in lines] == [
        ("requests", TOTAL),
        ("openai/gpt-4o", 0),
        ("anthropic/claude", 1),
    ]
    assert [line.shaded for line in lines] == [[], [(2.0, 4.0)], []]
    assert lines[1].values == [10.0] * 10
    assert lines[1].at == [float(edge) for edge in range(11)]


def test_a_deployment_has_one_hue_in_all_charts() -> None:
    failing = deployment("failing", failures={"timeout": 1}, failing=Series(width=1.0, values=[0.5]))
    made = alone(deployments=[deployment("quiet"), failing])
    assert [(line.name, line.hue) for line in by_key(made)["failing"].lines] == [("failing", 1)]


def test_shares_are_percent_and_end_with_the_run() -> None:
    line = by_key(ONE)["failing"].lines[0]
    assert line.values == [0.0, 0.0, 100.0, 100.0, 0.0, 0.0]
    assert line.at == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0], "nothing failed after the last bin"


def test_the_rate_of_a_bin_that_the_end_cuts_off_is_of_the_time_that_there_was() -> None:
    made = alone(duration=2.5, deployments=[deployment("a", load=Series(width=2.0, values=[8.0, 2.0]))])
    line = by_key(made)["load"].lines[1]
    assert line.at == [0.0, 2.0, 2.5]
    assert line.values == [8.0, 8.0], "4 attempts in half a second"


def test_bins_after_the_end_are_left_out() -> None:
    resting = deployment("a", resting_share=about(0.5), resting=Series(width=4.0, values=[0.5, 1.0, 1.0, 1.0]))
    line = by_key(alone(duration=8.0, deployments=[resting]))["resting"].lines[0]
    assert (line.at, line.values) == ([0.0, 4.0, 8.0], [50.0, 100.0])


def test_runs_stand_side_by_side_in_bars_with_intervals() -> None:
    chart = by_key(TWO)["latency"]
    assert chart.categories == ["mean", "p50", "p90", "p95", "p99"]
    assert [line.name for line in chart.lines] == ["one.yaml", "two.yaml"]
    first = chart.lines[0]
    assert (first.at[1], first.values[1], first.low[1], first.high[1]) == (1.0, 1000.0, 999.0, 1001.0)


def test_an_interval_of_which_nothing_is_known_is_none_and_nothing_measured_is_no_figure() -> None:
    assert "latency" not in by_key(NOTHING_ANSWERED)
    line = by_key(alone(cost_per_1000=Interval(2.0, -inf, inf)))["cost"].lines[0]
    assert (line.values[0], line.low[0], line.high[0]) == (2.0, None, None)


def test_refusals_are_by_sender_a_line_for_each_limit() -> None:
    chart = by_key(REFUSED)["refusals"]
    assert chart.categories == ["acme", "beta"]
    assert [(line.name, line.values) for line in chart.lines] == [("60 requests per 1m", [50.0, 0.0])]


def test_curves_over_one_setting_are_drawn_together() -> None:
    chart = by_key(SWEEP)["success_rate"]
    assert (chart.across, [line.name for line in chart.lines]) == ("openai.error", ["one.yaml", "two.yaml"])
    assert (chart.lines[1].at, chart.lines[1].values) == ([0.0, 0.1, 0.2], [100.0, 90.0, 80.0])
    assert chart.lines[1].low == [99.0, 89.0, 79.0]


def test_a_mean_between_two_instants_weighs_the_bins_by_their_part_of_it() -> None:
    line = by_key(ONE)["failing"].lines[0]
    assert mean_between(line, 1.5, 2.5) == pytest.approx(50.0)
    assert mean_between(line, 0.0, 10.0) == pytest.approx(20.0)
    assert mean_between(line, 11.0, 12.0) is None
