"""Writes what follows from tables and code: the advisor's skill, and what the commands in the documentation print.

`make answers`. A test holds all of it against what is printed today.
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
SKILL = ROOT / "outputs" / "skill-gateway-picker.md"
PAGES = [ROOT / "docs" / "advisor.md", ROOT / "docs" / "simulator.md"]
EXAMPLES = {
    "Which gateways keep the first token under 200 ms, on a baseline of 300?": "--ttft-p99 200 --baseline 300",
    "Health care, self-hosted, with PII redaction and an audit log: Portkey or Kong?": "--ops self-hosted "
    "--compliance hipaa --require pii,audit --among portkey,kong",
    "LiteLLM or Kong: at how many requests per second should a team migrate?": "--ops self-hosted --among litellm,kong",
}
BLOCK = re.compile(
    r"(?<=^```console\n)\$ (fairlead (?:advise|simulate) (?:.*\\\n)*.*)\n(?:.*\n)*?(?=^```$)", re.MULTILINE
)
"""A command, which may go on after a backslash at the end of a line, and what it printed."""
WIDTH = "100"
"""Columns of the terminal that the pages show."""


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
    return f"$ {command}\n{out.getvalue()}"


def skill_text() -> str:
    """The skill as the tables have it."""
    examples = {title: answered(f"fairlead advise {flags}").rstrip() for title, flags in EXAMPLES.items()}
    return skill.text(*tables(), examples)


def refreshed(page: str) -> str:
    """The page with the answers that its commands have now."""
    return BLOCK.sub(lambda block: answered(block.group(1)), page)


if __name__ == "__main__":
    SKILL.write_text(skill_text(), encoding="utf-8")
    for page in PAGES:
        page.write_text(refreshed(page.read_text(encoding="utf-8")), encoding="utf-8")
