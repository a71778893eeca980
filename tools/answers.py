"""Writes what follows from bench, tables and code: our own figures among the advisor's facts, the advisor's skill, and
what the commands in the documentation print.

`make answers`. Tests hold all of it against what is published and printed today.
"""

import io
import os
import re
import shlex
from contextlib import chdir, redirect_stdout
from pathlib import Path

from fairlead.advisor import skill
from fairlead.cli import main
from fairlead.cli.advise import tables

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
FACTS = ROOT / "src" / "fairlead" / "advisor" / "facts.toml"
SKILL = ROOT / "outputs" / "skill-gateway-picker.md"
PAGES = [ROOT / "docs" / f"{name}.md" for name in ("advisor", "replay", "simulator")]
EXAMPLES = {
    "Which gateways keep the first token under 200 ms, on a baseline of 300?": "--ttft-p99 200 --baseline 300",
    "Health care, self-hosted, with PII redaction and an audit log: Portkey or Kong?": "--ops self-hosted "
    "--compliance hipaa --require pii,audit --among portkey,kong",
    "LiteLLM or Kong: at how many requests per second should a team migrate?": "--ops self-hosted --among litellm,kong",
}
BLOCK = re.compile(
    r"(?<=^```console\n)\$ (fairlead (?:advise|replay|simulate) (?:.*\\\n)*.*)\n(?:.*\n)*?(?=^```$)", re.MULTILINE
)
"""A command, which may go on after a backslash at the end of a line, and what it printed."""
MADE, SHOWN = re.compile(r"(?<= at )\d{4}-\d\d-\d\dT[\d:]+Z(?=, with:$)", re.MULTILINE), "2027-01-31T12:00:00Z"
"""When a report was made, which is another instant every time, and the one that the pages show."""
WIDTH = "100"
"""Columns of the terminal that the pages show."""
PUBLISHED = {
    "per_core": "requests/s on one core, 64 connections",
    "ceiling": "requests/s on one core, 64 connections",
    "overhead": "added time to first text, p99, one connection",
}
"""Facts about ourselves, and the row of the bench block that each repeats."""


def measured(facts: str, readme: str) -> str:
    """The table of facts with our own figures as the bench block publishes them, and no older than that."""
    day, commit = _found(r"^Measured on ([\d-]+), commit `(\w+)`", readme)
    (version,) = _found(r'^version = "(.*)"', facts)
    facts = facts.replace(f'version = "{version}"', f'version = "{max(version, day)}"')
    source = f'fairlead-bench = {{ url = "bench/results/{day}-{commit}.md", date = {day}, speaker = "fairlead" }}'
    facts = re.sub(r"^fairlead-bench = .*$", source, facts, flags=re.MULTILINE)
    for name, row in PUBLISHED.items():
        (figure,) = _found(rf"^\| {re.escape(row)} \| ([\d,.]+) ", readme)
        ours = re.compile(rf'(name = "{name}", value = )[\d.]+(, source = "fairlead-bench")')
        facts = ours.sub(rf"\g<1>{figure.replace(',', '')}\2", facts)
    return facts


def _found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise ValueError(f"nothing like {pattern!r}: has what `bench/run.py --update-docs` writes changed?")
    return match.groups()


def answered(command: str) -> str:
    """The command after its prompt, and what it prints where the project is."""
    out = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = WIDTH
    try:
        with redirect_stdout(out), chdir(ROOT):
            main(shlex.split(command.replace("\\\n", " "))[1:])
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
    return f"$ {command}\n{MADE.sub(SHOWN, out.getvalue())}"


def skill_text() -> str:
    """The skill as the tables have it."""
    examples = {title: answered(f"fairlead advise {flags}").rstrip() for title, flags in EXAMPLES.items()}
    return skill.text(*tables(), examples)


def refreshed(page: str) -> str:
    """The page with the answers that its commands have now."""
    return BLOCK.sub(lambda block: answered(block.group(1)), page)


if __name__ == "__main__":
    FACTS.write_text(measured(FACTS.read_text(encoding="utf-8"), README.read_text(encoding="utf-8")), encoding="utf-8")
    SKILL.write_text(skill_text(), encoding="utf-8")
    for page in PAGES:
        page.write_text(refreshed(page.read_text(encoding="utf-8")), encoding="utf-8")
