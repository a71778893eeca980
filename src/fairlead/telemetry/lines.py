"""A request as one log line: what an operator looks for, and no word of anybody's text.

Pure: a record goes in, fields come out. It must not know how a line is written.
"""

import time
from functools import lru_cache
from typing import Any

from fairlead.canonical.routing import RequestRecord
from fairlead.telemetry.redaction import redacted


def fields(record: RequestRecord) -> dict[str, Any]:
    """The fields of the line, in the order in which people read them; what does not apply is left out.

    No secret is in them: what is not made by the gateway itself is redacted.
    """
    told: dict[str, Any] = {
        "request": redacted(record.id),
        "began": instant(record.at),
        "status": record.status,
        "ended": record.ended,
        "code": record.code,
        "tenant": redacted(record.tenant),
        "key": redacted(record.key),
        "route": redacted(record.route),
        "deployment": redacted(record.served),
        "attempts": [redacted(attempt.label) for attempt in record.attempts],
        "ms": round(record.duration * 1e3, 3),
        "first_token_ms": None if record.first_token is None else round(record.first_token * 1e3, 3),
        "overhead_us": record.overhead_us,
        "input_tokens": record.usage.input if record.usage else None,
        "output_tokens": record.usage.output if record.usage else None,
        "cost": record.cost,
        "limit": redacted(record.limit),
        "trace": record.trace.trace_id if record.trace else None,
    }
    return {name: value for name, value in told.items() if value is not None and value != "" and value != []}


def instant(at: float) -> str:
    """Seconds since the epoch as ISO 8601 has them, in milliseconds and UTC."""
    second, micros = divmod(round(at * 1e6), 1_000_000)
    return f"{_second(second)}.{micros // 1000:03d}Z"


@lru_cache(256)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
