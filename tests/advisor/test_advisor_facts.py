"""The table of facts: what it refuses, and that what it says of Fairlead is so."""

import re
import tomllib
from pathlib import Path

import pytest
from tools.answers import FACTS, measured

from fairlead import __version__
from fairlead.advisor.facts import WAYS, Fact, parse
from fairlead.cli.advise import tables

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
BENCH = README[README.index("<!-- bench:begin -->") : README.index("<!-- bench:end -->")]
OURS = tables()[0].gateways["fairlead"]
TABLE = """
version = "2026-11-27"

[sources]
seen = {url = "https://vendor.example", date = 2026-11-27, speaker = "mine"}

[names]
ceiling = {title = "largest load", unit = "requests/s"}

[gateways.mine]
title = "Mine"
facts = [
  {name = "ceiling", value = 5, source = "seen"},
]
"""


def ours(name: str) -> Fact:
    fact = OURS.fact(name, "self-hosted")
    assert fact is not None
    return fact


def published(row: str, text: str) -> float:
    found = re.search(rf"^\| {re.escape(row)} \| ([0-9,.]+) ", text, re.MULTILINE)
    assert found is not None
    return float(found[1].replace(",", ""))


def test_a_fact_stands_by_itself() -> None:
    fact = parse(TABLE).gateways["mine"].fact("ceiling", "hybrid")
    assert fact is not None
    assert (fact.value, fact.unit, fact.source, fact.date.isoformat(), fact.by) == (
        5, "requests/s", "https://vendor.example", "2026-11-27", "vendor",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ('source = "seen"}', 'source = "heard"}', "'heard'"),
        ('name = "ceiling"', 'name = "floor"', "'floor'"),
        ("value = 5", "worth = 5", "worth"),
        ("[names]", 'more = {url = "x", date = 2026-11-27, speaker = "mine"}\n[names]', "sources of no fact: more"),
        ("facts = [", 'facts = [\n{name = "ceiling", value = 6, source = "seen"},', "2 facts 'ceiling'"),
        ('source = "seen"}', 'source = "seen", decides = true}', "without a reason"),
        ('speaker = "mine"', 'speaker = "Mine"', "speaker 'Mine' of 'seen' must be among mine, rival, third party"),
    ],
)
def test_a_row_that_cannot_be_right_is_refused(was: str, becomes: str, said: str) -> None:
    assert was in TABLE
    with pytest.raises(ValueError, match=said):
        parse(TABLE.replace(was, becomes))


@pytest.mark.parametrize(
    ("speaker", "by"), [("mine", "vendor"), ("other", "rival"), ("rival", "rival"), ("third party", "third party")]
)
def test_a_fact_says_whose_claim_it_is(speaker: str, by: str) -> None:
    table = (
        TABLE.replace('speaker = "mine"', f'speaker = "{speaker}"') + '\n[gateways.other]\ntitle = "Other"\nfacts = []'
    )
    assert [fact.by for fact in parse(table).gateways["mine"].facts] == [by]


def test_where_two_disagree_the_one_that_decides_counts() -> None:
    other = '{name = "ceiling", value = 9, source = "seen", decides = true, why = "measured"},'
    mine = parse(TABLE.replace("facts = [", f"facts = [{other}")).gateways["mine"]
    assert mine.number("ceiling", "managed") == 9
    assert {fact.value for fact in mine.facts} == {5, 9}


def test_a_fact_of_some_ways_says_nothing_of_others() -> None:
    mine = parse(TABLE.replace("value = 5", 'value = 5, ways = ["managed"]')).gateways["mine"]
    assert [way for way in WAYS if mine.number("ceiling", way) is not None] == ["managed"]


def test_no_source_is_younger_than_the_table() -> None:
    facts, _ = tables()
    dates = {fact.date.isoformat() for gateway in facts.gateways.values() for fact in gateway.facts}
    assert max(dates) <= facts.version


def test_every_page_is_public_and_our_own_files_are_there() -> None:
    facts, _ = tables()
    for gateway in facts.gateways.values():
        for fact in gateway.facts:
            if fact.by == "ours":
                assert (ROOT / fact.source).is_file()
            else:
                assert fact.source.startswith("https://")


def test_our_figures_are_those_of_the_bench() -> None:
    """What README publishes now, and the report that it is from: run `make answers` after the bench."""
    source = ROOT / ours("per_core").source
    head = re.search(r"^Measured on (.*), commit `(.*?)`", BENCH, re.MULTILINE)
    assert head is not None
    assert (f"{head[1]}-{head[2]}.md", head[1]) == (source.name, ours("per_core").date.isoformat())
    for text in (BENCH, source.read_text(encoding="utf-8")):
        assert published("requests/s on one core, 64 connections", text) == ours("per_core").value
        assert published("added time to first text, p99, one connection", text) == ours("overhead").value
    assert ours("ceiling").value == ours("per_core").value
    assert {ours(name).source for name in ("per_core", "ceiling", "overhead")} == {ours("per_core").source}


def test_a_bench_that_is_published_anew_is_taken_over_whole() -> None:
    """Better or worse, with its day, and the whole table is then as of that day at least."""
    anew = (
        "Measured on 2027-01-02, commit `0123456789`, on a machine\n"
        "| requests/s on one core, 64 connections | 1,234 /s | 6,000 /s | **missed** |\n"
        "| added time to first text, p99, one connection | 12 ms | 1 ms | **missed** |\n"
    )
    facts = parse(measured(FACTS.read_text(encoding="utf-8"), anew))
    told = {fact.name: fact for fact in facts.gateways["fairlead"].facts}
    assert (told["per_core"].value, told["ceiling"].value, told["overhead"].value) == (1234, 1234, 12)
    assert told["overhead"].source == "bench/results/2027-01-02-0123456789.md"
    assert told["overhead"].date.isoformat() == facts.version == "2027-01-02"
    others = {name: gateway for name, gateway in tables()[0].gateways.items() if name != "fairlead"}
    assert {name: gateway for name, gateway in facts.gateways.items() if name != "fairlead"} == others


def test_a_bench_block_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="update-docs"):
        measured(FACTS.read_text(encoding="utf-8"), "Measured on 2027-01-02, commit `0123456789`, and no table")


def test_our_providers_are_those_of_the_catalog() -> None:
    table = tomllib.loads((ROOT / ours("providers").source).read_text(encoding="utf-8"))
    assert ours("providers").value == len(table)


def test_our_version_is_the_one_that_the_state_of_the_project_tells_of() -> None:
    assert f"version {__version__}, all of it still under Unreleased" in ours("status").note
    assert re.findall(r"^## \[(.*?)\]", CHANGELOG, re.MULTILINE) == ["Unreleased"]


@pytest.mark.parametrize(
    ("name", "word"), [("pii", "PII"), ("jailbreak", "jailbreak"), ("topics", "topics"), ("cache", "response cache")]
)
def test_we_claim_a_feature_when_the_changelog_does(name: str, word: str) -> None:
    assert bool(ours(name).value) == (word.lower() in CHANGELOG.lower())
