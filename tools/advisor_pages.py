"""Writes what follows from the advisor's tables: the agent skill and the answers in docs/advisor.md. `make skill`.

A test holds both against the tables.
"""

import io
import re
import shlex
from contextlib import redirect_stdout
from pathlib import Path

from fairlead.advisor import skill
from fairlead.cli import main
from fairlead.cli.advise import tables

ROOT = Path(__file__).parent.parent
SKILL = ROOT / "outputs" / "skill-gateway-picker.md"
PAGE = ROOT / "docs" / "advisor.md"
EXAMPLES = {
    "Which gateways keep the first token under 200 ms, on a baseline of 300?": "--ttft-p99 200 --baseline 300",
    "Health care, self-hosted, with PII redaction and an audit log: Portkey or Kong?": "--ops self-hosted "
    "--compliance hipaa --require pii,audit --among portkey,kong",
    "LiteLLM or Kong: at how many requests per second should a team migrate?": "--ops self-hosted --among litellm,kong",
}
BLOCK = re.compile(r"(?<=^```console\n)\$ (fairlead advise .*)\n(?:.*\n)*?(?=^```$)", re.MULTILINE)


def answered(command: str) -> str:
    """The command after its prompt, and what it prints."""
    out = io.StringIO()
    with redirect_stdout(out):
        main(shlex.split(command)[1:])
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
    PAGE.write_text(refreshed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
