"""Records to write, and what a folder of journals holds."""

from pathlib import Path
from typing import Any

from fairlead.canonical.routing import AttemptRecord, RequestRecord
from fairlead.canonical.usage import Usage
from fairlead.journal import Reader

RECORD = RequestRecord(
    id="req_1",
    at=1_790_000_000.25,
    tenant="acme",
    asked="chat",
    served="openai/gpt-4o-mini",
    attempts=(
        AttemptRecord(
            deployment="openai/gpt-4o-mini", started_at=0.0, duration=0.5, outcome="rate_limited", status=429
        ),
        AttemptRecord(deployment="openai/gpt-4o-mini", started_at=0.6, duration=0.2, outcome="answered", status=200),
    ),
    usage=Usage(input=12, output=7, cache_read=3),
    cost="0.0000123",
)


def numbered(number: int, **more: Any) -> RequestRecord:
    facts = {"id": f"r{number}", "at": 1.5, "asked": "chat"}
    return RequestRecord(**{**facts, **more})


def held(folder: Path) -> list[RequestRecord]:
    """Everything in the journals of a folder."""
    return [record for batch in Reader(folder).beyond({}) for record in batch.records]


def ids(folder: Path) -> list[str]:
    return [record.id for record in held(folder)]
