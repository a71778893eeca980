"""Why a request went as it did: its record, in the order in which somebody asks.

Pure: a record in, a readable value out. It must not know where the record was kept.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from fairlead.canonical.routing import AttemptRecord, Latency, RequestRecord
from fairlead.canonical.usage import Usage
from fairlead.control.usage_report import written


class Attempted(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt; times in seconds."""

    number: int
    """From 1, over the whole request."""
    outcome: str
    status: int | None
    started_at: float
    duration: float
    connect: float
    retry_after: float | None
    usage: Usage | None
    """What a failed attempt is likely to have used that may be charged."""
    cost: str | None


class Considered(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment of the route: what was tried on it, or why it was not."""

    deployment: str
    used: bool
    why: str
    attempts: tuple[Attempted, ...] = ()


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars."""

    cost: str | None
    """None: no price is known, or there is nothing to charge."""
    price: str
    """The price table behind it."""
    charged: str
    """What budgets counted."""
    estimated: bool
    """Whether the provider did not tell all of the usage."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `others`: how many more have its id; clients may give one twice."""

    id: str
    others: int
    considered: tuple[Considered, ...]
    """In the order in which they were tried, and then those that were not."""
    latency: Latency
    usage: Usage | None
    money: Money
    limits: tuple[str, ...]
    refused_by: str
    record: dict[str, Any]
    """Everything that is known, verdicts of guardrails and recorded texts included."""


def explain(record: RequestRecord, others: int) -> dict[str, Any]:
    """The explanation as JSON has it, every value by its name."""
    found = Explanation(
        id=record.id,
        others=others,
        considered=(*_tried(record), *_not_tried(record)),
        latency=record.latency,
        usage=record.usage,
        money=Money(cost=record.cost, price=record.price, charged=written(record.charged), estimated=record.estimated),
        limits=record.limits,
        refused_by=record.limit,
        record=named(record),
    )
    shown: dict[str, Any] = named(found)
    return shown


def named(value: Any) -> Any:
    """`value` with its records as objects, those that travel as arrays too."""
    if isinstance(value, msgspec.Struct):
        return {name: named(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        return [named(one) for one in value]
    return value


def _tried(record: RequestRecord) -> Iterator[Considered]:
    attempts: dict[str, list[Attempted]] = {}
    for number, attempt in enumerate(record.attempts, 1):
        attempts.setdefault(attempt.deployment, []).append(_attempted(number, attempt))
    for deployment, of_it in attempts.items():
        last = of_it[-1]
        status = "" if last.status in (None, 200) else f" ({last.status})"
        why = "it answered" if last.outcome == "answered" else f"its last attempt failed: {last.outcome}{status}"
        yield Considered(deployment=deployment, used=deployment == record.served, why=why, attempts=tuple(of_it))


def _not_tried(record: RequestRecord) -> Iterator[Considered]:
    for skipped in record.skipped:
        yield Considered(deployment=skipped.deployment, used=False, why=skipped.reason)


def _attempted(number: int, attempt: AttemptRecord) -> Attempted:
    return Attempted(
        number=number,
        outcome=attempt.outcome,
        status=attempt.status,
        started_at=attempt.started_at,
        duration=attempt.duration,
        connect=attempt.connect,
        retry_after=attempt.retry_after,
        usage=attempt.usage,
        cost=attempt.cost,
    )
