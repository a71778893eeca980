"""What a user can meet is documented: error codes, failure kinds, headers, endpoints."""

import argparse
import re
from pathlib import Path

import pytest

from fairlead.canonical.errors import CODES, KINDS
from fairlead.cli import usage_arguments
from fairlead.control.history import FILTERS
from fairlead.control.usage_report import BY
from fairlead.policy.select import STRATEGIES

ROOT = Path(__file__).parent.parent
ERRORS = (ROOT / "docs" / "errors.md").read_text()
ROUTING = (ROOT / "docs" / "routing.md").read_text()
USAGE = (ROOT / "docs" / "usage.md").read_text()
HEADERS = re.compile(r"\b(x-fairlead-[a-z-]+|x-request-id|x-should-retry|retry-after(?:-ms)?)\b")


@pytest.mark.parametrize("name", sorted(CODES))
def test_every_code_is_documented_as_it_is(name: str) -> None:
    code = CODES[name]
    retry = {None: "–", True: "true", False: "false"}[code.retry]
    assert f"| `{name}` | {code.status} | {code.source} | {retry} |" in ERRORS


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_kind_of_failure_is_documented(name: str) -> None:
    kind = KINDS[name]
    word = f"`{kind.on}`" if kind.on else "–"
    assert re.search(rf"^\| `{name}` \| .* \| {re.escape(word)} \|", ROUTING, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_is_documented(name: str) -> None:
    assert f"| `{name}` |" in ROUTING


def test_every_header_of_the_gateway_is_documented() -> None:
    source = "".join(path.read_text() for path in (ROOT / "src" / "fairlead" / "gateway").glob("*.py"))
    found = set(HEADERS.findall(source))
    assert len(found) > 5
    assert not {name for name in found if f"`{name}`" not in ERRORS}


def test_every_flag_and_every_parameter_of_the_past_is_documented() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    usage_arguments.usage(parser)
    flags = {flag for action in parser._actions for flag in action.option_strings}
    names = {*flags, *FILTERS, *BY, "limit", "cursor", "waste"}
    assert not {name for name in names if not re.search(rf"`{re.escape(name)}[` ]", USAGE)}
