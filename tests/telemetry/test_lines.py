"""The log line of a request says what happened, and nothing of what was said."""

import msgspec
from tests.telemetry.a_record import CANARY, attempt, record

from fairlead.canonical.routing import Content
from fairlead.telemetry.lines import fields


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


def test_x21_no_text_and_no_person_is_in_the_line() -> None:
    said = record(content=Content(prompt=CANARY, answer=CANARY))
    line = msgspec.json.encode(fields(said)).decode()
    assert CANARY not in line
    assert "jo@example.com" not in line
    assert "private" not in line
