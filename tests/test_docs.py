"""What a user can meet is documented: error codes, failure kinds, headers, endpoints."""

import argparse
import re
from pathlib import Path

import pytest

from fairlead.canonical.errors import CODES, KINDS
from fairlead.cli import replay_arguments, usage_arguments
from fairlead.cli.audit_arguments import ACTIONS
from fairlead.control.admin import STATUSES
from fairlead.control.history import FILTERS
from fairlead.control.usage_report import BY
from fairlead.policy.select import STRATEGIES
from fairlead.simulator.replay_figures import Figures, Replay

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


AUDIT = (ROOT / "docs" / "audit.md").read_text()
AUDIT_SOURCES = [
    path.read_text()
    for folder in ("audit", "control", "cli")
    for path in sorted((ROOT / "src" / "fairlead" / folder).rglob("*.py"))
]


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_every_command_of_the_audit_trail_is_documented_with_its_flags(name: str) -> None:
    assert f"`fairlead audit {name}" in AUDIT
    parser = argparse.ArgumentParser()
    ACTIONS[name][1](parser)
    for flag in parser.format_help().split():
        found = re.match(r"\[?(--[a-z-]+)", flag)
        assert not found or found.group(1) == "--help" or f"`{found.group(1)}" in AUDIT or f"{found.group(1)} " in AUDIT


def test_every_action_in_the_audit_trail_is_documented() -> None:
    found = set(re.findall(r'"((?:key|config|admin|audit)\.[a-z]+)"', "".join(AUDIT_SOURCES)))
    assert {"key.create", "config.reject", "admin.refused", "audit.repair"} <= found
    settings = {"audit.signing_key", "audit.old_signing_key"}
    assert not {name for name in found - settings if f"`{name}`" not in AUDIT}


def test_every_refusal_of_the_admin_port_for_keys_is_documented() -> None:
    keys = (ROOT / "docs" / "keys.md").read_text() + AUDIT + ERRORS
    assert not {code for code in ("audit_unavailable", "database_unavailable") if f"`{code}`" not in keys}
    assert "audit_unavailable" in STATUSES


def test_every_flag_and_every_parameter_of_the_past_is_documented() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    usage_arguments.usage(parser)
    flags = {flag for action in parser._actions for flag in action.option_strings}
    names = {*flags, *FILTERS, *BY, "limit", "cursor", "waste"}
    assert not {name for name in names if not re.search(rf"`{re.escape(name)}[` ]", USAGE)}


def test_every_flag_and_every_figure_of_a_replay_is_documented() -> None:
    page = (ROOT / "docs" / "replay.md").read_text()
    parser = argparse.ArgumentParser(add_help=False)
    replay_arguments.replay(parser)
    flags = {flag for action in parser._actions for flag in action.option_strings}
    names = {*flags, *Figures.__struct_fields__, *Replay.__struct_fields__}
    assert not {name for name in names if not re.search(rf"`{re.escape(name)}[` ]", page)}
