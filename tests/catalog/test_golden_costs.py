"""What providers' answers cost, to the last digit: tests/catalog/golden_costs.md, whose rows anyone can check by hand.

From the provider's bytes to the cost, by the dialects and the catalog; and each row's own arithmetic is done again.
"""

import json
import re
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fairlead.canonical.usage import Price, Usage, cost
from fairlead.config.prices import agreed
from fairlead.config.shipped import catalog
from fairlead.dialects import anthropic, openai_chat
from fairlead.policy.rates import money, rates


class Row(msgspec.Struct, frozen=True):
    number: str
    served: str
    at: str
    form: str
    terms: str
    usage: str
    arithmetic: str
    dollars: str


TEXT = (Path(__file__).parent / "golden_costs.md").read_text()
ROWS = [Row(*[cell.strip() for cell in line[2:-2].split(" | ")]) for line in TEXT.splitlines() if line[2:3].isdigit()]


def event(name: str, **fields: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()


def openai_answer(usage: dict[str, Any], **beside: Any) -> Usage | None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return openai_chat.read_usage(json.dumps({**body, **beside}).encode())[1]


def openai_stream(usage: dict[str, Any], **beside: Any) -> Usage | None:
    delta = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    relay = openai_chat.Relay(hide_usage=True)
    for members in ({"choices": [delta]}, {"choices": [last]}, {"choices": [], "usage": usage}):
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", **members, **beside}
        relay.feed(f"data: {json.dumps(chunk)}\n\n".encode())
    relay.feed(b"data: [DONE]\n\n")
    assert relay.finished
    return relay.usage


def anthropic_answer(usage: dict[str, Any]) -> Usage | None:
    body = {"id": "1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": "end_turn"}
    return anthropic.read_usage(json.dumps({**body, "usage": usage}).encode())[1]


def anthropic_stream(usage: dict[str, Any]) -> Usage | None:
    """All but the output is told at the beginning, the output at the end."""
    message = {"id": "1", "type": "message", "role": "assistant", "model": "m", "content": []}
    late = {"output_tokens", "output_tokens_details", "server_tool_use"}
    early = {name: value for name, value in usage.items() if name not in late}
    relay = anthropic.Relay(hide_usage=False)
    relay.feed(event("message_start", message={**message, "usage": {**early, "output_tokens": 1}}))
    at_last = {name: value for name, value in usage.items() if name in late}
    relay.feed(event("message_delta", delta={"stop_reason": "end_turn"}, usage=at_last) + event("message_stop"))
    assert relay.finished
    return relay.usage


FORMS = {
    "openai": openai_answer,
    "openai stream": openai_stream,
    "anthropic": anthropic_answer,
    "anthropic stream": anthropic_stream,
}


def read(row: Row) -> Usage:
    usage = json.loads(row.usage.strip("`"))
    beside = {"service_tier": usage.pop("service_tier")} if "openai" in row.form and "service_tier" in usage else {}
    counted = FORMS[row.form](usage, **beside)
    assert counted is not None
    return counted


def price_of(row: Row, at: float) -> Price | None:
    provider, _, model = row.served.partition("/")
    table = catalog().prices_of(provider)
    price = None if table is None else table.at(provider, model, at)
    discount, markup = (row.terms[1:] if row.terms.startswith(sign) else None for sign in "-+")
    return None if price is None else agreed(price, discount, markup)


def test_there_are_cases_of_everything() -> None:
    assert len(ROWS) >= 200
    assert {row.form for row in ROWS} == set(FORMS)
    assert sum(row.dollars == "unknown" for row in ROWS) >= 20
    assert [row.number for row in ROWS] == [str(number) for number in range(1, len(ROWS) + 1)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.number}-{row.served}")
def test_an_answer_costs_what_the_table_says(row: Row) -> None:
    at = datetime.fromisoformat(row.at).timestamp()
    usage, price = read(row), price_of(row, at)
    told = None if price is None else cost(usage, price, at)
    assert told == (None if row.dollars == "unknown" else Decimal(row.dollars))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.number}-{row.served}")
def test_the_tables_own_arithmetic_is_right(row: Row) -> None:
    if row.arithmetic in ("unknown", "as told"):
        assert (row.arithmetic == "unknown") == (row.dollars == "unknown")
        return
    products = re.findall(r"([0-9.]+) × ([0-9.]+)", row.arithmetic)
    assert row.arithmetic == " + ".join(f"{count} × {figure}" for count, figure in products)
    total = sum(Fraction(count) * Fraction(figure) for count, figure in products)
    assert total / 1_000_000 == Fraction(row.dollars)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.number}-{row.served}")
def test_a_budget_counts_it_to_the_next_millionth(row: Row) -> None:
    at = datetime.fromisoformat(row.at).timestamp()
    price = price_of(row, at)
    if price is None:
        return
    now = price.at(at)
    assert now is not None
    counted = money(read(row), rates(now))
    if row.dollars != "unknown":
        assert 0 <= counted - Fraction(row.dollars) * 1_000_000 < 1
