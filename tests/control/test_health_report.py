"""What the admin port says of health: what is wrong, and whether that turns traffic away."""

import pytest

from fairlead.control.health import Health
from fairlead.state.board import Board


@pytest.fixture
def health() -> Health:
    """Of a family without workers, which all serve."""
    return Health(Board(0))


async def codes(health: Health) -> tuple[int, int]:
    """What `/readyz` and `/healthz` answer with."""
    runs = {entry.path: entry.run for entry in health.entries()}
    ready, whole = [await runs[path](None) for path in ("/readyz", "/healthz")]  # type: ignore[arg-type]
    return ready.status, whole.status


async def test_all_is_well(health: Health) -> None:
    assert (health.report().status, health.report().projections) == ("ok", "ok")
    assert await codes(health) == (200, 200)


@pytest.mark.parametrize("name", ["database", "audit", "metrics"])
async def test_a_projection_that_must_not_miss_records_degrades_and_turns_no_traffic_away(
    health: Health, name: str
) -> None:
    health.projections(lambda: {"traces": "", name: "it is away"})
    assert health.report().projections == f"{name}: it is away"
    assert health.report().status == "degraded"
    assert await codes(health) == (200, 503)


async def test_a_worker_that_is_not_ready_turns_traffic_away() -> None:
    health = Health(Board(1))
    assert health.report().status == "degraded"
    assert await codes(health) == (503, 503)


async def test_one_that_may_miss_records_is_named(health: Health) -> None:
    health.projections(lambda: {"traces": "no collector", "request_lines": "full", "metrics": ""})
    assert health.report().projections == "traces: no collector; request_lines: full"
    assert await codes(health) == (200, 200)


async def test_an_audit_trail_that_cannot_be_written_degrades(health: Health) -> None:
    health.audit(lambda: "entry 7 is not as it was signed")
    assert health.report().status == "degraded"
    assert await codes(health) == (200, 503)
