"""The advisor answers the questions of `scenarios.md` as the facts do."""

import re
import shlex
from pathlib import Path

import pytest

from fairlead.advisor.advise import advise
from fairlead.cli.advise import tables
from fairlead.cli.advise_answers import needs_of

TABLE = (Path(__file__).parent / "scenarios.md").read_text(encoding="utf-8")
SCENARIOS = re.findall(r"^\| `(.*?)` \| (\S+) \| (\S+) \| (.+) \|$", TABLE, re.MULTILINE)


@pytest.mark.parametrize(("flags", "leader", "rule", "because"), SCENARIOS, ids=[row[0] for row in SCENARIOS])
def test_a_scenario(flags: str, leader: str, rule: str, because: str) -> None:
    facts, rules = tables()
    advice = advise(needs_of(shlex.split(flags), rules, facts), facts, rules)
    assert advice.ranking, because
    first = advice.ranking[0]
    assert (first.gateway, first.rule) == (leader, rule), because


def test_there_are_forty() -> None:
    assert len({row[0] for row in SCENARIOS}) >= 40
