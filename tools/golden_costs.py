"""Writes tests/catalog/golden_costs.md: answers as providers send them, and what each costs, to be checked by hand.

For developers only; needs genai-prices, as tools/build_catalog.py does. It works the other way round than the gateway:
a case says how many tokens of each kind there are, the figures come from genai-prices itself, and the answer's usage
is made of the counts. What genai-prices makes of the same counts is compared, and printed where it differs.
"""

import json
import warnings
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from genai_prices.data import providers as known
from genai_prices.types import ModelInfo, Provider, TieredPrices, Usage

OUT = Path(__file__).parents[1] / "tests" / "catalog" / "golden_costs.md"
NAMES = {"xai": "x-ai"}
NOW = "2026-11-05T12:00:00Z"
KINDS = {
    "text": ("input_mtok", None),
    "read": ("cache_read_mtok", "input_mtok"),
    "write": ("cache_write_mtok", "input_mtok"),
    "write_1h": ("cache_write_1h_mtok", None),
    "audio": ("input_audio_mtok", None),
    "read_audio": ("cache_audio_read_mtok", None),
    "image": ("input_image_mtok", "input_mtok"),
    "read_image": ("cache_image_read_mtok", "cache_read_mtok"),
    "out": ("output_mtok", None),
    "reasoning": ("output_reasoning_mtok", "output_mtok"),
    "speech": ("output_audio_mtok", None),
    "drawn": ("output_image_mtok", None),
    "searches": ("web_searches_kcount", None),
}
"""Kinds of tokens, none of which is part of another; genai-prices' figure for each, and the one instead of it."""
INPUTS = ("text", "read", "write", "write_1h", "audio", "read_audio", "image", "read_image")
OUTPUTS = ("out", "reasoning", "speech", "drawn")


def openai(n: dict[str, int]) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "prompt_tokens": sum(n.get(kind, 0) for kind in INPUTS),
        "completion_tokens": sum(n.get(kind, 0) for kind in OUTPUTS),
    }
    usage["total_tokens"] = sum(usage.values())
    cached = {"audio_tokens": n.get("read_audio", 0), "image_tokens": n.get("read_image", 0)}
    prompt = {
        "cached_tokens": n.get("read", 0) + sum(cached.values()),
        "cache_write_tokens": n.get("write", 0),
        "audio_tokens": n.get("audio", 0) + n.get("read_audio", 0),
        "image_tokens": n.get("image", 0) + n.get("read_image", 0),
        "cached_tokens_details": {key: value for key, value in cached.items() if value},
    }
    completion = {
        "reasoning_tokens": n.get("reasoning", 0),
        "audio_tokens": n.get("speech", 0),
        "image_tokens": n.get("drawn", 0),
    }
    for name, details in (("prompt_tokens_details", prompt), ("completion_tokens_details", completion)):
        said = {key: value for key, value in details.items() if value}
        usage |= {name: said} if said else {}
    return usage


def anthropic(n: dict[str, int]) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "input_tokens": n.get("text", 0) + n.get("image", 0),
        "cache_creation_input_tokens": n.get("write", 0) + n.get("write_1h", 0),
        "cache_read_input_tokens": n.get("read", 0),
        "output_tokens": n.get("out", 0) + n.get("reasoning", 0),
    }
    if n.get("write_1h"):
        usage["cache_creation"] = {
            "ephemeral_5m_input_tokens": n.get("write", 0),
            "ephemeral_1h_input_tokens": n["write_1h"],
        }
    if n.get("searches"):
        usage["server_tool_use"] = {"web_search_requests": n["searches"]}
    if n.get("reasoning"):
        usage["output_tokens_details"] = {"thinking_tokens": n["reasoning"]}
    return usage


def figures(served: str, at: str, context: dict[str, str]) -> tuple[Provider, ModelInfo, dict[str, Any]]:
    name, _, model_id = served.partition("/")
    provider = next(provider for provider in known if provider.id == NAMES.get(name, name))
    model = provider.find_model(model_id)
    assert model is not None, served
    price = model.get_prices(datetime.fromisoformat(at), context or None)
    return provider, model, {key: value for key, value in price.__dict__.items() if value is not None}


def terms(n: dict[str, int], price: dict[str, Any], times: Decimal) -> list[tuple[Decimal, Decimal]] | None:
    """Counts and dollars per million; None where a kind has no figure."""
    prompt = sum(n.get(kind, 0) for kind in INPUTS)
    found = []
    for kind, count in n.items():
        name, instead = KINDS[kind]
        value = price.get(name, price.get(instead) if instead else None)
        if kind == "image" and "input_image_mtok" not in price:
            value = price.get("input_mtok")
        if value is None:
            return None
        if isinstance(value, TieredPrices):
            reached = [tier.price for tier in value.tiers if prompt > tier.start]
            value = reached[-1] if reached else value.base
        found.append((Decimal(count), value * times * (1000 if kind == "searches" else 1)))
    return found


def theirs(provider: Provider, model: ModelInfo, n: dict[str, int], at: str, context: dict[str, str]) -> Decimal | None:
    """What genai-prices itself makes of the counts."""
    said = {
        "input_tokens": sum(n.get(kind, 0) for kind in INPUTS),
        "output_tokens": sum(n.get(kind, 0) for kind in OUTPUTS),
        "cache_read_tokens": sum(n.get(kind, 0) for kind in ("read", "read_audio", "read_image")),
        "cache_write_tokens": n.get("write", 0) + n.get("write_1h", 0),
        "cache_write_1h_tokens": n.get("write_1h", 0),
        "input_audio_tokens": n.get("audio", 0) + n.get("read_audio", 0),
        "cache_audio_read_tokens": n.get("read_audio", 0),
        "input_image_tokens": n.get("image", 0) + n.get("read_image", 0),
        "cache_image_read_tokens": n.get("read_image", 0),
        "output_reasoning_tokens": n.get("reasoning", 0),
        "output_audio_tokens": n.get("speech", 0),
        "output_image_tokens": n.get("drawn", 0),
        "web_searches": n.get("searches", 0),
    }
    usage = Usage(**{key: value for key, value in said.items() if value})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        when = datetime.fromisoformat(at)
        found = model.calc_price(usage, provider, genai_request_timestamp=when, price_context=context or None)
    return found["total_price"] if isinstance(found, dict) else found.total_price


class Table:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = self.compared = self.unknown = 0
        self.differences: list[str] = []

    def head(self, title: str) -> None:
        self.lines += [
            f"\n## {title}\n",
            "| # | served | at | form | terms | usage | dollars per million | dollars |",
            "|---|---|---|---|---|---|---|---|",
        ]

    def row(self, served: str, at: str, usage: dict[str, Any], found: Any, *, agreed: str = "", form: str = "") -> None:
        self.count += 1
        forms = ("anthropic", "anthropic stream") if served.startswith("anthropic/") else ("openai", "openai stream")
        form = form or forms[self.count % 2]
        arithmetic, total = "unknown", "unknown"
        if isinstance(found, Decimal):
            arithmetic, total = "as told", f"{found:f}"
        elif found is not None:
            arithmetic = (
                " + ".join(f"{count:f} × {figure.normalize():f}" for count, figure in found if count) or "0 × 0"
            )
            total = f"{(sum((c * f for c, f in found), Decimal(0)) / 1_000_000).normalize():f}"
        self.unknown += total == "unknown"
        said = json.dumps(usage, ensure_ascii=False)
        self.lines.append(f"| {self.count} | {served} | {at} | {form} | {agreed} | `{said}` | {arithmetic} | {total} |")

    def case(
        self,
        served: str,
        n: dict[str, int],
        *,
        at: str = NOW,
        said: dict[str, Any] | None = None,
        context: dict[str, str] | None = None,
        agreed: str = "",
        unknown: bool = False,
    ) -> None:
        provider, model, price = figures(served, at, context or {})
        times = {"": Decimal(1), "-15%": Decimal("0.85"), "+5.5%": Decimal("1.055"), "-100%": Decimal(0)}[agreed]
        found = None if unknown else terms(n, price, times)
        make = anthropic if served.startswith("anthropic/") else openai
        if found is not None and times == 1:
            self.compare(served, n, sum((c * f for c, f in found), Decimal(0)) / 1_000_000,
                         theirs(provider, model, n, at, context or {}))  # fmt: skip
        self.row(served, at, {**make(n), **(said or {})}, found, agreed=agreed)

    def compare(self, served: str, n: dict[str, int], ours: Decimal, other: Decimal | None) -> None:
        self.compared += 1
        if other is None or ours != other:
            self.differences.append(f"{served} {n}: {ours} here, {other} by genai-prices")


def plain(table: Table) -> None:
    table.head("Input and output")
    models = [
        "openai/gpt-4o", "openai/gpt-4o-2024-05-13", "openai/gpt-4o-mini", "openai/gpt-4.1", "openai/gpt-4.1-nano",
        "openai/gpt-5", "openai/gpt-5.2", "openai/o3", "openai/gpt-6-sol", "anthropic/claude-haiku-4-5",
        "anthropic/claude-haiku-4-5-20251001", "anthropic/claude-opus-4-5", "anthropic/claude-3-5-sonnet-20241022",
        "anthropic/claude-sonnet-5-5", "groq/llama-3.1-8b-instant", "mistral/codestral-2508",
        "together/MiniMaxAI/MiniMax-M3", "deepseek/deepseek-v3.2-exp", "xai/grok-3-mini",
        "fireworks/accounts/fireworks/models/deepseek-v3p2",
        "cerebras/gpt-oss-120b",
    ]  # fmt: skip
    for served in models:
        for text, out in ((1, 1), (1_000, 0), (12_345, 678), (0, 0) if served == "openai/gpt-4o" else (99_999, 4_096)):
            table.case(served, {"text": text, "out": out})


def cached(table: Table) -> None:
    table.head("Cache reads and writes, reasoning")
    for served in ("openai/gpt-4o", "openai/gpt-5", "openai/gpt-6-sol", "mistral/codestral-2508", "xai/grok-3-mini",
                   "fireworks/accounts/fireworks/models/deepseek-v3p2", "deepseek/deepseek-v3.2-exp"):  # fmt: skip
        table.case(served, {"text": 17, "read": 1_024, "out": 33})
        table.case(served, {"text": 0, "read": 2_048, "out": 1})
        table.case(served, {"text": 500, "out": 20, "reasoning": 480})
        table.case(served, {"text": 500, "read": 128, "out": 20, "reasoning": 1})
    table.case("openai/gpt-6-sol", {"text": 5, "write": 4_096, "out": 9})
    table.case("openai/gpt-6-sol", {"text": 5, "read": 1_024, "write": 4_096, "out": 9, "reasoning": 7})
    for served in ("anthropic/claude-haiku-4-5", "anthropic/claude-opus-4-5", "anthropic/claude-sonnet-5-5",
                   "anthropic/claude-opus-5-5"):  # fmt: skip
        table.case(served, {"text": 3, "read": 2_000, "out": 40})
        table.case(served, {"text": 3, "write": 2_000, "out": 40})
        table.case(served, {"text": 3, "write_1h": 2_000, "out": 40})
        table.case(served, {"text": 3, "read": 500, "write": 700, "write_1h": 900, "out": 40})
        table.case(served, {"text": 3, "read": 500, "write": 700, "write_1h": 900, "out": 40, "reasoning": 60})
        table.case(served, {"text": 100, "out": 10, "searches": 3})
    table.case("anthropic/claude-2", {"text": 3, "write_1h": 9, "out": 1})
    table.case("anthropic/claude-2", {"text": 3, "out": 1, "searches": 1})


def tiers(table: Table) -> None:
    table.head("Prompts around a threshold: the whole request has the price of its length")
    for served, threshold in (
        ("openai/gpt-5.4", 272_000), ("openai/gpt-6-sol", 272_000), ("anthropic/claude-sonnet-4-5", 200_000),
        ("anthropic/claude-haiku-5-5", 100_000), ("xai/grok-4.3", 199_999), ("xai/grok-4.7", 199_999),
    ):  # fmt: skip
        for prompt in (threshold - 1, threshold, threshold + 1, threshold * 2):
            table.case(served, {"text": prompt, "out": 1_000})
            table.case(served, {"text": prompt - 90_000, "read": 90_000, "out": 1_000})
    for prompt in (199_999, 200_000, 200_001):
        table.case("anthropic/claude-sonnet-4-5", {"text": prompt - 3_000, "write": 1_000, "write_1h": 2_000, "out": 5})


def services(table: Table) -> None:
    table.head("Service tiers")
    for served in ("openai/gpt-5", "openai/gpt-5.4", "openai/gpt-6-sol"):
        for tier in ("flex", "priority"):
            table.case(served, {"text": 1_000, "read": 400, "out": 90}, said={"service_tier": tier},
                       context={"service_tier": tier})  # fmt: skip
        table.case(served, {"text": 1_000, "out": 90}, said={"service_tier": "batch"}, context={"processing": "batch"})
        for word in ("default", "auto"):
            table.case(served, {"text": 1_000, "out": 90}, said={"service_tier": word})
        table.case(served, {"text": 1_000, "out": 90}, said={"service_tier": "scale"}, unknown=True)
    table.case("openai/gpt-5.4", {"text": 272_001, "out": 90}, said={"service_tier": "flex"},
               context={"service_tier": "flex"})  # fmt: skip
    table.case("openai/gpt-4o-2024-05-13", {"text": 10, "out": 9}, said={"service_tier": "flex"}, unknown=True)
    table.case("groq/llama-3.1-8b-instant", {"text": 10, "out": 9}, said={"service_tier": "on_demand"})
    for served in ("anthropic/claude-haiku-4-5", "anthropic/claude-opus-5-5"):
        n = {"text": 1_000, "read": 10, "write": 20, "write_1h": 30, "out": 90}
        table.case(served, n, said={"service_tier": "standard"})
        table.case(served, n, said={"service_tier": "batch"}, context={"processing": "batch"})
        table.case(served, n, said={"service_tier": "priority"}, unknown=True)
        table.case(served, n, said={"service_tier": "standard", "inference_geo": "us"}, unknown=True)
        table.case(served, n, said={"service_tier": "standard", "inference_geo": "not_available"})
    table.case("anthropic/claude-opus-5-5", {"text": 1_000, "out": 90},
               said={"service_tier": "standard", "speed": "fast"},
               context={"speed": "fast"})  # fmt: skip
    table.case("anthropic/claude-haiku-4-5", {"text": 1_000, "out": 90}, said={"speed": "fast"}, unknown=True)


def dates(table: Table) -> None:
    table.head("Prices that changed, and service tiers that had none yet")
    for at in ("2026-03-12T23:59:59Z", "2026-03-13T00:00:00Z", NOW):
        for n in ({"text": 200_000, "out": 10}, {"text": 200_001, "out": 10}, {"text": 9, "read": 200_001, "out": 10}):
            table.case("anthropic/claude-sonnet-4-6", n, at=at)
    for at in ("2026-10-01T00:00:00Z", "2026-10-19T23:59:59Z", "2026-10-20T00:00:00Z", "2026-10-28T23:59:59Z",
               "2026-10-29T00:00:00Z", NOW):  # fmt: skip
        table.case("mistral/mistral-large-4", {"text": 1_000, "read": 70, "out": 90}, at=at)
    for at in ("2025-12-01T23:59:59Z", "2025-12-02T00:00:00Z"):
        table.case("mistral/ministral-8b-latest", {"text": 1_000, "out": 90}, at=at)
    for at in ("2026-06-15T12:00:00Z", "2026-06-16T12:00:00Z"):
        table.case("mistral/mistral-medium-latest", {"text": 1_000, "out": 90}, at=at)
    for at, sold in (("2026-10-11T23:59:59Z", False), ("2026-10-12T00:00:00Z", True)):
        table.case("openai/gpt-5", {"text": 1_000, "out": 90}, at=at, said={"service_tier": "flex"}, unknown=not sold,
                   context={"service_tier": "flex"} if sold else None)  # fmt: skip
    table.head("Prices by the hour: what the peak costs is unknown, since its days are")
    for at, peak in (("00:59:59", False), ("01:00:00", True), ("03:59:59", True), ("04:00:00", False),
                     ("05:59:59", False), ("06:00:00", True), ("09:59:59", True), ("10:00:00", False),
                     ("23:59:59", False)):  # fmt: skip
        for served in ("deepseek/deepseek-v4-pro", "deepseek/deepseek-flash"):
            table.case(served, {"text": 1_000, "read": 64, "out": 90}, at=f"2026-11-05T{at}Z", unknown=peak)


def media(table: Table) -> None:
    table.head("Audio and images")
    for served in ("openai/gpt-4o-audio-preview", "openai/gpt-audio", "openai/gpt-realtime"):
        table.case(served, {"text": 100, "audio": 700, "out": 20, "speech": 300})
        table.case(served, {"text": 100, "audio": 700, "out": 20})
        table.case(served, {"audio": 700, "speech": 300})
    table.case("openai/gpt-realtime", {"text": 9, "read": 50, "audio": 70, "read_audio": 60, "out": 2, "speech": 30})
    table.case("openai/gpt-realtime", {"text": 9, "image": 1_000, "read_image": 60, "out": 2})
    table.case("openai/gpt-4o", {"text": 9, "audio": 70, "out": 2})
    table.case("openai/gpt-4o", {"text": 9, "out": 2, "speech": 70})
    table.case("openai/gpt-4o", {"text": 9, "image": 765, "out": 2})
    table.case("openai/gpt-5", {"text": 9, "out": 2, "drawn": 1_056})
    table.case("openai/gpt-image-1", {"text": 9, "image": 300, "drawn": 1_056})
    table.case("openai/gpt-image-1", {"text": 9, "read": 4, "image": 300, "read_image": 100, "drawn": 1_056})
    table.case("openai/gpt-image-1.5", {"text": 9, "image": 300, "out": 3, "drawn": 1_056})


def others(table: Table) -> None:
    table.head("Discounts and markups")
    for served in ("openai/gpt-4o", "openai/gpt-5.4", "anthropic/claude-haiku-4-5"):
        for agreed in ("-15%", "+5.5%", "-100%"):
            table.case(served, {"text": 1_000, "read": 333, "out": 77}, agreed=agreed)
    table.case("openai/gpt-5.4", {"text": 272_001, "out": 77}, agreed="-15%")
    table.case("openai/gpt-5.4", {"text": 1_000, "out": 77}, said={"service_tier": "priority"},
               context={"service_tier": "priority"}, agreed="-15%")  # fmt: skip
    table.case("anthropic/claude-haiku-4-5", {"text": 1, "out": 1, "searches": 2}, agreed="-15%")
    table.head("Told by the provider, unknown models, and counts that contradict each other")
    for told in ("0.00014", "0", "1.23456789012"):
        table.row(
            "openrouter/openai/gpt-4o", NOW, {**openai({"text": 9, "out": 5}), "cost": float(told)}, Decimal(told)
        )
    table.row("openrouter/openai/gpt-4o", NOW, openai({"text": 9, "out": 5}), None)
    table.row("openrouter/openai/gpt-4o", NOW, {**openai({"text": 9}), "cost": 0.1, "is_byok": True}, None)
    for served in ("openai/gpt-99", "openai/gpt-4o-search-preview", "ollama/llama3", "deepseek/deepseek-chat",
                   "anthropic/claude-99", "mistral/voxtral-small-24b-2507"):  # fmt: skip
        make = anthropic if served.startswith("anthropic/") else openai
        table.row(served, NOW, make({"text": 9, "out": 5}), None)
    odd = [
        {"prompt_tokens": 5, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6}},
        {"prompt_tokens": 5, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 6}},
    ]
    for usage in odd:
        table.row("openai/gpt-5", NOW, usage, None)
    table.row("xai/grok-4.3", NOW, {**openai({"text": 9, "out": 5}), "num_sources_used": 2}, None)


def written(table: Table) -> Iterator[str]:
    yield "# Answers and what they cost"
    yield ""
    yield "Written by tools/golden_costs.py with the figures of genai-prices 0.2.3."
    yield "Checked by tests/catalog/test_golden_costs.py."
    yield "`usage` is the answer's own (a `service_tier` in it stands beside it in answers of OpenAI's dialect)."
    yield "Each row can be checked by hand: the counts come out of `usage`, each token once, and what is multiplied"
    yield "sums to millionths of a dollar. Where it says unknown, no cost may be told."
    yield from table.lines


def main() -> None:
    table = Table()
    for part in (plain, cached, tiers, services, dates, media, others):
        part(table)
    OUT.write_text("\n".join(written(table)) + "\n")
    print(f"{table.count} cases, {table.unknown} unknown; {table.compared} compared with genai-prices' own sums")
    print("\n".join(table.differences) or "no difference")


if __name__ == "__main__":
    main()
