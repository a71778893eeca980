"""What the bench makes of its samples: a wrong verdict here would hide a slow gateway."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from bench.load import QUIET, Patience, Sample
from bench.paced import WORD, script
from bench.probe import percentile
from bench.settings import canned_answer, chat_body
from bench.soak import State, judge

from bench import figures, machine, report


def sample(cost: float | None = None, *, others: float = 0.0, seconds: float = 1.0, **seen: Any) -> Sample:
    seen = {"p50_ms": 1.0, "p99_ms": 2.0, "stalls": 0, "ttft_p99_ms": 0.0, **seen}
    costs = {"cost_us": cost, "beside_us": None}
    return Sample(units=1000, seconds=seconds, waited_share=0.0, others_share=others, seen=seen, **costs)


def test_a_ratio_pairs_the_rounds_so_that_a_slow_minute_counts_on_both_sides() -> None:
    ours, theirs = [sample(30.0), sample(90.0), sample(31.0)], [sample(10.0), sample(30.0), sample(10.0)]
    assert figures.ratio(ours, theirs) == pytest.approx(3.0)


def test_a_ratio_needs_a_cost_on_both_sides() -> None:
    assert figures.ratio([sample(30.0)], [sample(None)]) is None


@pytest.mark.parametrize(
    ("value", "control", "verdict"), [(0.9, 0.0, "met"), (1.1, 0.0, "missed"), (1.1, 1.2, "noise"), (0.9, 9.0, "met")]
)
def test_a_missed_bound_is_noise_only_where_nginx_misses_it_too(value: float, control: float, verdict: str) -> None:
    assert figures.at_most("added", value, 1, "ms", control).verdict == verdict


def test_stalls_of_the_provider_itself_are_not_ours() -> None:
    rounds = {
        "direct": [sample(stalls=3)],
        "nginx": [sample(10.0, stalls=0)],
        "fairlead": [sample(10.0, stalls=3)],
    }
    first = {who: [sample(ttft_p99_ms=each)] for who, each in (("direct", 1.0), ("nginx", 1.2), ("fairlead", 3.0))}
    goals = {goal.name: goal for goal in figures.stream_goals(rounds, first, {}, "fairlead")}
    assert goals["stalls over 50 ms beyond direct"].verdict == "met"
    added = goals["added time to first text, p99, one connection"]
    assert added.value == pytest.approx(2.0)
    assert added.verdict == "missed"


def test_a_disturbed_round_is_taken_again_until_patience_ends() -> None:
    shares = iter([0.5, 0.3, 0.0, 0.0])
    patience = Patience(1.5)
    assert patience.measure(lambda: sample(1.0, others=next(shares))).others_share <= QUIET
    shares = iter([0.5, 0.4])
    assert patience.measure(lambda: sample(1.0, others=next(shares))).others_share == 0.5


def test_every_kind_of_leak_is_named() -> None:
    before = State(rss_mb=50, open_files=70, in_flight=0, provider_open=0)
    assert judge(before, before, growth_mb=2) == []
    leaky = State(rss_mb=53, open_files=170, in_flight=1, provider_open=2)
    assert len(judge(before, leaky, growth_mb=2)) == 4


def test_cpu_time_counts_what_a_process_burns() -> None:
    before, until = machine.cpu_seconds(os.getpid()), time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert machine.cpu_seconds(os.getpid()) - before >= 0.08


def test_the_tree_begins_with_its_root() -> None:
    assert machine.tree(os.getpid())[0] == os.getpid()
    assert os.getpid() in machine.tree(os.getppid())


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("count", [2, 64])
def test_every_chunk_of_the_paced_provider_carries_its_word_once(dialect: str, count: int) -> None:
    writes = script(dialect, count)
    assert [write.count(WORD.strip().encode()) for write in writes] == [1] * count
    assert writes[-1].endswith(b"0\r\n\r\n")


def test_the_bodies_have_the_size_that_they_are_named_for() -> None:
    assert [len(chat_body(size)) for size in (1024, 20480)] == [1024, 20480]
    assert 900 < len(canned_answer()) < 1300
    assert json.loads(canned_answer())["usage"]["total_tokens"] == 283
    assert not set("'$") & set(canned_answer())


def test_percentiles_of_an_ordered_list() -> None:
    assert percentile([], 99) == 0
    assert percentile([1.0, 2.0, 3.0, 4.0], 50) == 3.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 100) == 4.0


def test_only_what_stands_between_the_markers_is_rewritten(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    assert report.write_block(page, r"new \1")
    assert page.read_text() == f"before\n{report.BEGIN}\nnew \\1\n{report.END}\nafter\n"
    page.write_text("no markers")
    assert not report.write_block(page, "new")
