"""Usage without a cost is told once per deployment and hour, whatever the order, and nothing else is."""

import logging
from typing import Any

import pytest

from fairlead.canonical.routing import AttemptRecord, RequestRecord
from fairlead.canonical.usage import SELF_HOSTED, Usage
from fairlead.control.unpriced import HOUR, REMEMBERED, Unpriced

USAGE = Usage(input=1)


def record(at: float = 0.0, **fields: Any) -> RequestRecord:
    return RequestRecord(**{"id": "r", "at": at, "served": "p/m", "usage": USAGE, **fields})


def told(*records: RequestRecord) -> list[tuple[str, int]]:
    return [(found.deployment, found.hour) for found in Unpriced().look(records)]


def test_once_per_deployment_and_hour() -> None:
    records = [record(at) for at in (10.0, 20.0, HOUR - 0.1, HOUR, 30.0, HOUR + 5)]
    assert told(*records, record(40.0, served="p/n")) == [("p/m", 0), ("p/m", HOUR), ("p/n", 0)]


def test_it_remembers_from_one_batch_to_the_next() -> None:
    unpriced = Unpriced()
    assert len(unpriced.look([record(5.0)])) == 1
    assert unpriced.look([record(6.0)]) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"cost": "0.1"},
        {"cost": "0"},
        {"usage": None},
        {"served": "", "usage": None},
        {"served": "box/llama", "price": SELF_HOSTED},
    ],
)
def test_what_has_a_cost_or_costs_nothing_is_not_told(fields: dict[str, Any]) -> None:
    assert told(record(**fields)) == []


def test_a_failed_attempt_that_may_be_charged_is_told_too() -> None:
    attempts = (
        AttemptRecord(deployment="p/a", started_at=0.0, duration=1.0, outcome="timeout", usage=USAGE),
        AttemptRecord(deployment="p/b", started_at=0.0, duration=1.0, outcome="timeout", usage=USAGE, cost="1"),
        AttemptRecord(deployment="p/c", started_at=0.0, duration=1.0, outcome="connect"),
    )
    assert told(record(cost="1", attempts=attempts)) == [("p/a", 0)]


def test_old_hours_are_forgotten_and_not_told_again() -> None:
    late = (REMEMBERED + 1) * HOUR
    assert told(record(0.0), record(late), record(0.0), record(HOUR)) == [("p/m", 0), ("p/m", late), ("p/m", HOUR)]


def test_the_line_names_the_deployment_and_why(caplog: pytest.LogCaptureFixture) -> None:
    unpriced = Unpriced()
    with caplog.at_level(logging.WARNING, "fairlead.control"):
        unpriced.tell([record(), record(served="p/n", price="fairlead 1", usage=Usage(service="scale"))])
    first, second = caplog.records
    assert (first.message, first.__dict__["deployment"], first.__dict__["request"]) == ("price_unknown", "p/m", "r")
    assert "give the deployment a price" in first.__dict__["reason"]
    assert "'fairlead 1'" in second.__dict__["reason"]
    assert "'scale'" in second.__dict__["reason"]
