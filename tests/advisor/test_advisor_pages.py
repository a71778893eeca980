"""What is made of the advisor's tables is what they say today: the agent skill, and each answer on the page."""

import argparse
import re

import pytest
import yaml
from tools.answers import BLOCK, EXAMPLES, PAGES, SKILL, answered, skill_text

from fairlead.advisor.advise import advise
from fairlead.advisor.needs import Needs
from fairlead.advisor.questions import QUESTIONS
from fairlead.cli import advise_arguments
from fairlead.cli.advise import tables

TEXT = PAGES[0].read_text(encoding="utf-8")
ANEW = "run `make answers`"


def test_the_skill_is_what_the_tables_make() -> None:
    assert SKILL.read_text(encoding="utf-8") == skill_text(), ANEW


def test_the_examples_are_on_the_page() -> None:
    assert set(BLOCK.findall(TEXT)) >= {f"fairlead advise {flags}" for flags in EXAMPLES.values()}


def test_an_answer_fits_a_terminal() -> None:
    wide = [line for flags in EXAMPLES.values() for line in answered(f"fairlead advise {flags}").splitlines()]
    assert not [line for line in wide if len(line) > 110 and "https://" not in line]


def test_the_skill_opens_as_skills_do() -> None:
    _, front, body = SKILL.read_text(encoding="utf-8").split("---\n", 2)
    told = yaml.safe_load(front)
    assert told["name"] == "gateway-picker"
    assert 0 < len(told["description"]) <= 1024
    heads = re.findall(r"^## (.*)", body, re.MULTILINE)
    assert heads[:4] == ["When to use", "How to answer", "Questions", "Contradictions"]
    assert {"Points", "Decision table", "Worked examples", "Facts"} < set(heads)
    assert not [question.flag for question in QUESTIONS if f"`{question.flag}" not in body]
    assert not [one.title for one in tables()[0].gateways.values() if f"### {one.title}\n" not in body]


@pytest.mark.parametrize("flag", ["--json", *(question.flag for question in QUESTIONS)])
def test_every_flag_is_documented(flag: str) -> None:
    parser = argparse.ArgumentParser()
    advise_arguments.advise(parser)
    assert flag in parser.format_help()
    assert re.search(rf"^\| `{flag}(?: [A-Z0-9]+)?` \|", TEXT, re.MULTILINE)


def test_the_page_names_every_gateway_and_every_feature() -> None:
    facts, rules = tables()
    assert not [name for name in [*facts.gateways, *rules.features, *rules.compliance] if f"`{name}`" not in TEXT]


def test_the_prose_says_what_the_answers_say() -> None:
    facts, rules = tables()
    moved = advise(Needs(ops="self-hosted", among=("litellm", "kong")), facts, rules).migration
    assert moved is not None
    assert f"From {moved.above_rps + 1:,} on by cost" in TEXT
    assert f"at {moved.planned_to:,.0f} in any case" in TEXT
    open_field = Needs(ops="self-hosted", compliance=("hipaa",), require=("pii", "audit"))
    first, second, *_ = advise(open_field, facts, rules).ranking
    assert f"Without `--among` {first.title} Enterprise leads before {second.title.split()[0]}" in TEXT
    assert "twelve gateways" in TEXT
    assert len(facts.gateways) == 12
