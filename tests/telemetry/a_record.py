"""A record with something in every field, for what is told of records."""

from typing import Any

from fairlead.canonical.routing import AttemptRecord, Latency, RequestRecord, Trace, Verdict
from fairlead.canonical.usage import Usage

CANARY = "canary-of-a-prompt"


def attempt(deployment: str = "openai/m", outcome: str = "answered", **more: Any) -> AttemptRecord:
    status = 200 if outcome == "answered" else None
    return AttemptRecord(
        **{"deployment": deployment, "outcome": outcome, "status": status, "started_at": 0.1, "duration": 0.5, **more}
    )


def record(**more: Any) -> RequestRecord:
    return RequestRecord(
        **{
            "id": "req_1",
            "at": 1_795_000_000.0,
            "tenant": "acme",
            "key": "k1",
            "dialect": "openai_chat",
            "asked": "chat",
            "route": "chat",
            "config": "c0ffee",
            "served": "openai/m",
            "response_model": "m-2026",
            "status": 200,
            "attempts": (attempt(),),
            "usage": Usage(input=100, output=20, cache_read=60, reasoning=5),
            "cost": "0.000123456789",
            "price": "2026-11-04",
            "first_token": 0.6,
            "duration": 1.5,
            "latency": Latency(body=0.01, queue=0.05, connect=0.02, first_token=0.5, answer=0.9, gateway=0.02),
            "overhead_us": 20_000,
            "user": "jo@example.com",
            "tags": (("team", "search"),),
            "metadata": '{"note": "private"}',
            "trace": Trace(trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b7ad6b7169203331"),
            "verdicts": (Verdict(guardrail="pii", stage="input", action="redact"),),
            **more,
        }
    )
