"""The tables of a report: runs side by side, what differs, and nothing of what never happened."""

import msgspec
from tests.reports.sample_reports import (
    BY_DURATION,
    CHEAPER,
    CLOSEST,
    COMPARED,
    NOTHING_ANSWERED,
    ONE,
    REFUSED,
    REPLAYED,
    SUGGESTED,
    SWEEP,
    TWO,
    about,
    deployment,
    report,
    summary,
)

from fairlead.reports.replay_tables import AGAIN
from fairlead.reports.table import Table
from fairlead.reports.tables import tables
from fairlead.simulator.report import Report


def by_title(shown: Report) -> dict[str, Table]:
    return {table.title: table for table in tables(shown)}


def row(table: Table, about: str) -> list[str]:
    return next(cells for first, *cells in table.rows if first == about)


def test_the_main_figures_come_first_with_their_intervals() -> None:
    main = next(tables(ONE))
    assert row(main, "success rate, %") == ["99.00 [98.80, 99.20]"]
    assert row(main, "latency p99, ms") == ["5,000.0 [4,999.0, 5,001.0]"]
    assert row(main, "cost per 1000, $") == ["2.00 [1.90, 2.10]"]


def test_figures_that_are_nothing_are_left_out() -> None:
    told = {cells[0] for cells in next(tables(ONE)).rows}
    assert not told & {"refused, %", "broke off, %", "wasted per 1000, $"}


def test_only_what_differs_from_the_first_run_is_marked() -> None:
    main = next(tables(TWO))
    assert main.heads == ["", "one.yaml", "two.yaml"]
    marked = {(main.rows[place][0], column) for place, column in main.differing}
    assert marked == {("success rate, %", 2)}
    assert any("≠" in note for note in main.notes)


def test_a_latency_of_no_answers_is_no_latency() -> None:
    assert "latency p50, ms" not in {cells[0] for cells in next(tables(NOTHING_ANSWERED)).rows}
    both = report(*ONE.runs, *NOTHING_ANSWERED.runs)
    assert row(next(tables(both)), "latency p50, ms") == ["1,000.0 [999.0, 1,001.0]", "–"]


def test_deployments_are_told_with_failures_by_kind_the_most_frequent_first() -> None:
    found = by_title(ONE)
    deployments = found["Deployments"]
    assert deployments.heads == ["", "attempts", "failed %", "openings", "resting %", "answers %"], "nobody queued"
    assert row(deployments, "openai/gpt-4o") == ["100", "20.00", "2", "25.00", "50.00"]
    assert found["Failures"].rows == [
        ["openai/gpt-4o", "rate_limited", "15", "15.00"],
        ["openai/gpt-4o", "timeout", "5", "5.00"],
    ]


def test_deployments_that_nobody_tried_are_told_as_that() -> None:
    (run,) = ONE.runs
    idle = deployment("a/one", attempts=0, answered=0, share_of_answers=about(0.0))
    found = by_title(report(msgspec.structs.replace(run, summary=summary(deployments=[idle]))))
    assert (found["Deployments"].heads, found["Deployments"].rows) == (["", "attempts"], [["a/one", "0"]])


def test_attempts_that_a_limit_of_ours_stopped_are_told_of_whom_they_were_meant_for() -> None:
    (run,) = ONE.runs
    limited = [deployment("a/one", limited=1200), deployment("b/two")]
    told = by_title(report(msgspec.structs.replace(run, summary=summary(deployments=limited))))["Deployments"]
    place = told.heads.index("limited") - 1
    assert [row(told, name)[place] for name in ("a/one", "b/two")] == ["1,200", "0"]


def test_senders_refusals_and_fairness_are_told_only_where_there_is_something_to_share() -> None:
    alone, shared = by_title(ONE), by_title(REFUSED)
    assert not {"Senders", "Refusals"} & set(alone)
    assert shared["Refusals"].rows == [["acme", "60 requests per 1m", "50", "50.0"]]
    assert row(shared["Senders"], "acme")[:3] == ["100", "50.00 [49.90, 50.10]", "50.00 [49.90, 50.10]"]
    assert row(next(tables(REFUSED)), "fairness (Jain's index)") == ["0.900"]


def test_tables_of_several_runs_name_theirs() -> None:
    assert {"Deployments – one.yaml", "Deployments – two.yaml"} <= set(by_title(TWO))


def test_runs_of_the_same_requests_are_compared_request_by_request() -> None:
    main, *_ = found = list(tables(COMPARED))
    marked = {main.rows[place][0] for place, _ in main.differing}
    assert marked == {"retried, %", "cost per 1000, $"}, "and not what only seems to differ by its own interval"
    changes = next(table for table in found if table.title == "From one.yaml to two.yaml, request by request")
    assert changes.rows == [
        ["retried, %", "+0.20 [0.10, 0.30]"],
        ["cost per 1000, $", "-0.50 [-0.60, -0.40]"],
    ]


def test_a_comparison_without_a_difference_says_so() -> None:
    alike = msgspec.structs.replace(COMPARED.comparisons[0], differences=CHEAPER[1:2])
    found = by_title(msgspec.structs.replace(COMPARED, comparisons=[alike]))
    assert found["From one.yaml to two.yaml, request by request"].notes == ["Nothing differs by more than chance."]


def test_a_suggestion_is_shown_beside_what_is() -> None:
    (main,) = tables(SUGGESTED)
    assert main.heads == ["", "now", "suggested"]
    assert row(main, "retried, %") == ["5.0 [4.0, 6.0]", "50.0 [49.0, 51.0]"]


def test_where_nothing_is_to_be_changed_there_is_nothing_beside_what_is() -> None:
    stays = msgspec.structs.replace(CLOSEST, changes={}, lines=[], after=CLOSEST.before)
    (main,) = tables(report(suggestion=stays))
    assert main.heads == ["", "now"]


def test_a_setting_that_is_a_time_is_told_with_its_unit() -> None:
    (table,) = tables(BY_DURATION)
    assert table.heads[0] == "chat:cooldown.for, s"


def test_a_curve_is_a_row_for_each_point() -> None:
    table = by_title(SWEEP)["openai.error – two.yaml"]
    assert table.heads[:2] == ["openai.error", "success rate, %"]
    assert [cells[:2] for cells in table.rows] == [
        ["0", "100.0 [99.0, 101.0]"],
        ["0.1", "90.0 [89.0, 91.0]"],
        ["0.2", "80.0 [79.0, 81.0]"],
    ]
    assert "refused, %" not in table.heads


def test_two_runs_of_one_name_are_told_apart_by_their_place() -> None:
    """A file compared with itself, changed meanwhile: only the second column can differ from the first."""
    first, second = TWO.runs
    same = msgspec.structs.replace(second, name=first.name)
    (comparison,) = COMPARED.comparisons
    named = msgspec.structs.replace(comparison, after=first.name)
    main = next(tables(msgspec.structs.replace(COMPARED, runs=[first, same], comparisons=[named])))
    assert {column for _, column in main.differing} == {2}


def test_a_replay_has_what_was_recorded_and_what_changes() -> None:
    found = by_title(REPLAYED)
    main = found["600 requests from 2026-09-21T14:13:20Z to 2026-09-21T14:15:00Z"]
    assert main.heads == ["", "recorded", "old", "new", "change"]
    assert row(main, "failed") == ["1", "2", "32", "+30 (+1500.0%)"]
    assert row(main, "refused") == ["0", "0", "0", "="]
    assert main.notes == [
        AGAIN,
        "left out, because no configuration would have served them: 3 invalid_api_key",
        "without a known price, and counted as free: b/two",
    ]
    assert [cells[0] for cells in found["Answers by deployment"].rows] == ["b/two", "a/one"], "what changes most first"
    served = found["Answers by who asked for what"]
    assert (served.abouts, served.rows) == (3, [["ci", "chat", "a/one", "500", "500", "490", "-10 (-2.0%)"]])
    assert "Refusals" not in found
