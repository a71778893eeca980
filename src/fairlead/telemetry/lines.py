"""A request as one log line: what an operator looks for, and no word of anybody's text.

Pure: a record goes in, fields come out. It must not know how a line is written.
"""

from datetime import UTC, datetime
from typing import Any

from fairlead.canonical.routing import RequestRecord


def fields(record: RequestRecord) -> dict[str, Any]:
    """The fields of the line, in the order in which people read them; what does not apply is left out."""
    told: dict[str, Any] = {
        "request": record.id,
        "began": datetime.fromtimestamp(record.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "status": record.status,
        "ended": record.ended,
        "code": record.code,
        "tenant": record.tenant,
        "key": record.key,
        "route": record.route,
        "deployment": record.served,
        "attempts": [attempt.label for attempt in record.attempts],
        "ms": round(record.duration * 1e3, 3),
        "first_token_ms": None if record.first_token is None else round(record.first_token * 1e3, 3),
        "overhead_us": record.overhead_us,
        "input_tokens": record.usage.input if record.usage else None,
        "output_tokens": record.usage.output if record.usage else None,
        "cost": record.cost,
        "limit": record.limit,
        "trace": record.trace.trace_id if record.trace else None,
    }
    return {name: value for name, value in told.items() if value not in (None, "", [])}
