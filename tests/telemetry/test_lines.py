"""The log line of a request says what happened, and nothing of what was said."""

from datetime import UTC, datetime

import msgspec
import pytest
from tests.telemetry.a_record import CANARY, attempt, record

from fairlead.canonical.routing import Content
from fairlead.telemetry.lines import fields, instant


def test_what_happened_is_in_the_line() -> None:
    told = fields(record(attempts=(attempt("a/m", "server_error", status=500), attempt())))
    assert (told["request"], told["began"]) == ("req_1", "2026-11-18T11:06:40.000Z")
    assert told["attempts"] == ["a/m:500", "openai/m:200"]
    assert (told["input_tokens"], told["output_tokens"], told["cost"]) == (100, 20, "0.000123456789")
    assert (told["ms"], told["first_token_ms"], told["overhead_us"]) == (1500.0, 600.0, 20_000)
    assert told["trace"] == "0af7651916cd43dd8448eb211c80319c"


def test_what_does_not_apply_is_left_out() -> None:
    told = fields(record(attempts=(), served="", usage=None, cost=None, first_token=None, trace=None, route=""))
    assert {"attempts", "deployment", "cost", "first_token_ms", "trace", "route"}.isdisjoint(told)


def test_no_secret_is_in_the_line() -> None:
    """Wherever a name from outside may end up."""
    secret = "sk-0123456789abcdef"
    said = record(
        id=secret, tenant=secret, key=secret, route=secret, served=secret, limit=f"60 requests of {secret}",
        attempts=(attempt(f"openai/{secret}"),),
    )  # fmt: skip
    line = msgspec.json.encode(fields(said)).decode()
    assert secret not in line
    assert line.count("***") == 7


@pytest.mark.parametrize("at", [0.0, 1_700_000_000.123, 1_700_000_000.9996, 1_700_000_000.999_999_9])
def test_instants_are_as_iso_8601_has_them(at: float) -> None:
    exact = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    assert instant(at) == exact.replace("+00:00", "Z")


def test_x21_no_text_and_no_person_is_in_the_line() -> None:
    said = record(content=Content(prompt=CANARY, answer=CANARY))
    line = msgspec.json.encode(fields(said)).decode()
    assert CANARY not in line
    assert "jo@example.com" not in line
    assert "private" not in line
