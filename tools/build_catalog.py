"""Builds the catalog's price tables (src/fairlead/catalog/prices/) from the package genai-prices, and compares them.

For developers only: `pip install genai-prices==0.2.3` into an environment of its own, then

    python tools/build_catalog.py --litellm model_prices_and_context_window.json --report differences.md

`--litellm` is LiteLLM's map, for the comparison and for the names that models go by; it is not kept. A price that
cannot be told exactly in our format is left out, and its models cost `unknown`.
"""

import argparse
import json
import re
import tomllib
from collections.abc import Iterator
from datetime import date
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

from genai_prices.data import providers as known
from genai_prices.types import (
    ClauseAnd,
    ClauseEquals,
    ClauseOr,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

VERSION = "2026-11-27"
SOURCE = ("0.2.3", "2026-11-04")
FOLDER = Path(__file__).parents[1] / "src" / "fairlead" / "catalog" / "prices"
PROVIDERS = {
    "openai": ("openai", "openai", ""),
    "anthropic": ("anthropic", "anthropic", ""),
    "groq": ("groq", "groq", "groq/"),
    "mistral": ("mistral", "mistral", "mistral/"),
    "together": ("together", "together_ai", "together_ai/"),
    "deepseek": ("deepseek", "deepseek", "deepseek/"),
    "openrouter": ("openrouter", "openrouter", "openrouter/"),
    "xai": ("x-ai", "xai", "xai/"),
    "fireworks": ("fireworks", "fireworks_ai", "fireworks_ai/"),
    "cerebras": ("cerebras", "cerebras", "cerebras/"),
}
"""Our name of a provider, genai-prices', LiteLLM's, and what LiteLLM puts in front of its models."""
FIGURES = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "audio_input",
    "cache_audio_read_mtok": "cached_audio",
    "output_audio_mtok": "audio_output",
    "input_image_mtok": "image_input",
    "cache_image_read_mtok": "cached_image",
    "output_image_mtok": "image_output",
    "web_searches_kcount": "web_search",
    "requests_kcount": "request",
}
IGNORED = {"storage_searches_kcount"}
"""Tools of other APIs, which no chat answer uses."""
TOLD = {"openrouter"}
"""Providers that tell in each answer what it costs: whom they hand a request to decides, and no table knows."""
SEARCHES = re.compile(r"-search-|deep-research")
"""Models that search the web without saying how often in their usage."""
CONTRADICTED = {
    ("deepseek", "deepseek-chat"): "the hours of an older price list; LiteLLM has another price without hours",
    ("deepseek", "deepseek-reasoner"): "the hours of an older price list; LiteLLM has another price without hours",
}
"""Left out: the sources contradict each other, and nothing here says who is right."""
FORMER = {
    "anthropic": [
        "claude-3-5-sonnet-20240620", "claude-3-5-sonnet-20241022", "claude-3-5-haiku-20241022",
        "claude-3-7-sonnet-20250219", "claude-3-haiku-20240307", "claude-3-opus-20240229", "claude-3-sonnet-20240229",
        "claude-opus-4-1-20250805", "claude-sonnet-4-20250514",
    ],
}  # fmt: skip
"""Names of models that no list has any more, for history."""
OTHERS = {"processing": {"batch": "batch"}, "speed": {"fast": "fast"}, "service_tier": None}


class UnpriceableError(Exception):
    """The price has something that our format or the usage does not tell."""


def price_of(price: ModelPrice, *, embeds: bool) -> dict[str, Any]:
    """One set of prices as our format has it."""
    stored = {key: value for key, value in price.__dict__.items() if value is not None and key not in IGNORED}
    strange = stored.keys() - FIGURES.keys()
    if strange:
        raise UnpriceableError(f"is charged by {', '.join(sorted(strange))}")
    if "input_mtok" not in stored:
        raise UnpriceableError("has no price of input")
    if "output_mtok" not in stored and not embeds:
        raise UnpriceableError("has no price of output")
    stored.setdefault("output_mtok", Decimal(0))
    found: dict[str, Any] = {FIGURES[key]: _base(stored[key]) for key in FIGURES if key in stored}
    starts = sorted(
        {tier.start for value in stored.values() if isinstance(value, TieredPrices) for tier in value.tiers}
    )
    longer = [
        {"tokens": start, "price": {FIGURES[key]: _tier(stored[key], start) for key in FIGURES if key in stored}}
        for start in starts
    ]
    if longer:
        found["above"] = longer
    return found


def _base(value: Decimal | TieredPrices) -> Decimal:
    return value.base if isinstance(value, TieredPrices) else value


def _tier(value: Decimal | TieredPrices, start: int) -> Decimal:
    if not isinstance(value, TieredPrices):
        return value
    reached = [tier.price for tier in value.tiers if tier.start <= start]
    return reached[-1] if reached else value.base


def rows_of(model: ModelInfo) -> Iterator[tuple[date | None, dict[str, Any]]]:
    """The model's prices with the days that they begin on: standard prices, and the service tiers of each time."""
    standard = _dated(model)
    days = {day for day, _ in standard if day} | {
        variant.constraint.start_date
        for variant in model.price_variants or ()
        if isinstance(variant.constraint, StartDateConstraint)
    }
    for day in [*([None] if standard[0][0] is None else []), *sorted(days)]:
        held = [price for begin, price in standard if begin is None or (day is not None and begin <= day)]
        if held:
            yield day, {**_with_hours(model, held[-1]), **_services(model, held[-1], day)}


def _dated(model: ModelInfo) -> list[tuple[date | None, ModelPrice]]:
    """Standard prices by day. Where the hour counts, only the latest is known: nobody says since when it does."""
    if isinstance(model.prices, ModelPrice):
        return [(None, model.prices)]
    found = [
        (entry.constraint.start_date if isinstance(entry.constraint, StartDateConstraint) else None, entry.prices)
        for entry in model.prices
        if not isinstance(entry.constraint, TimeOfDateConstraint)
    ]
    return found[-1:] if _hours(model) else found


def _hours(model: ModelInfo) -> list[Any]:
    entries = [] if isinstance(model.prices, ModelPrice) else model.prices
    return [entry for entry in entries if isinstance(entry.constraint, TimeOfDateConstraint)]


def _with_hours(model: ModelInfo, price: ModelPrice) -> dict[str, Any]:
    """Peak hours do not hold at weekends and on China's holidays, which no table has: what they cost is uncertain."""
    found = price_of(price, embeds="embed" in model.id)
    windows = [
        {
            "begin": entry.constraint.start_time.hour * 60 + entry.constraint.start_time.minute,
            "end": entry.constraint.end_time.hour * 60 + entry.constraint.end_time.minute,
            "price": {**price_of(entry.prices, embeds=False), "uncertain": True},
        }
        for entry in _hours(model)
    ]
    return {**found, "hours": windows} if windows else found


def _services(model: ModelInfo, standard: ModelPrice, day: date | None) -> dict[str, Any]:
    """The service tiers that were sold on that day; the first that says so has it, as genai-prices reads its table."""
    found: dict[str, dict[str, Any]] = {}
    for variant in model.price_variants or ():
        begin = variant.constraint.start_date if isinstance(variant.constraint, StartDateConstraint) else None
        (key, word), *more = variant.when.items()
        changed = {name: value for name, value in variant.prices.__dict__.items() if value is not None}
        if more or key not in OTHERS or not changed or (begin and (day is None or begin > day)):
            continue
        name = word if key == "service_tier" else (OTHERS[key] or {}).get(word)
        if name is not None and name not in found:
            found[name] = price_of(ModelPrice(**{**standard.__dict__, **changed}), embeds="embed" in model.id)
    return {"services": [{"name": name, "price": price} for name, price in found.items()]} if found else {}


def names_of(provider: Provider, model: ModelInfo, listed: list[str]) -> list[str]:
    """What the model is called: its id, the names that its rule spells out, and those that LiteLLM lists."""
    candidates = [model.id, *_spelled(model.match), *listed]
    return list(dict.fromkeys(name for name in candidates if provider.find_model(name) is model))


def _spelled(clause: Any) -> Iterator[str]:
    match clause:
        case ClauseEquals():
            yield clause.equals
        case ClauseOr():
            for inner in clause.or_:
                yield from _spelled(inner)
        case ClauseAnd() | _:
            return


def written(value: Any) -> str:
    """A value as TOML has it, on one line."""
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{" + ", ".join(f"{key} = {written(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(written(item) for item in value) + "]"
        case Decimal():
            short = value.quantize(Decimal("1e-9"), ROUND_CEILING)  # longer ones are OpenRouter's, for estimates only
            return f"{short.normalize():f}"
        case str():
            return json.dumps(value)
    return str(value)


def build(ours: str, litellm: dict[str, dict[str, Any]], left_out: list[str]) -> str:
    theirs = PROVIDERS[ours][0]
    listed = [*litellm, *_in_models(ours), *FORMER.get(ours, [])]
    provider = next(provider for provider in known if provider.id == theirs)
    version, day = SOURCE
    lines = [
        "# Made by tools/build_catalog.py. US dollars per million tokens; searches and requests per thousand.",
        f'version = "{VERSION}"\n',
        '[sources."genai-prices"]',
        'what = "prices"',
        f'version = "{version}"',
        'url = "https://github.com/pydantic/genai-prices"',
        'license = "MIT"',
        f'date = "{day}"',
    ]
    taken: set[str] = set()
    for model in provider.models:
        if ours in TOLD and (model.id.startswith("~") or model.id.endswith((":batch", ":free"))):
            continue
        names = [name for name in names_of(provider, model, listed) if name not in taken and "*" not in name]
        reason = CONTRADICTED.get((ours, model.id)) or (
            "searches the web without telling how often" if SEARCHES.search(model.id) else ""
        )
        try:
            rows = list(rows_of(model)) if not reason else []
        except UnpriceableError as error:
            rows, reason = [], str(error)
        if reason or not names:
            left_out.append(f"{ours}/{model.id}: {reason or 'has no name of its own'}")
            continue
        unsure = [name for name in names if contradicts(rows[-1][1], litellm.get(name, {}))]
        left_out += [f"{ours}/{name}: LiteLLM has another price" for name in unsure]
        names = [name for name in names if name not in unsure]
        if not names:
            continue
        taken.update(names)
        lines += [line for begin, price in rows for line in _row(ours, names, begin, price)]
    return "\n".join(lines) + "\n"


def _row(ours: str, names: list[str], begin: date | None, price: dict[str, Any]) -> Iterator[str]:
    yield "\n[[prices]]"
    yield f'provider = "{ours}"'
    yield f"models = {written(names)}"
    if begin is not None:
        yield f"from = {begin}"
    yield 'source = "genai-prices"'
    if ours in TOLD:
        price = {**price, "told": Decimal(1)}
    yield f"price = {written(price)}"


LITELLM = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "audio_input": "input_cost_per_audio_token",
    "audio_output": "output_cost_per_audio_token",
}


def contradicts(price: dict[str, Any], entry: dict[str, Any]) -> bool:
    """Whether LiteLLM has another figure, and not only another rounding: nothing here says who is right, so neither is.

    Where the hour counts, LiteLLM has one of the prices.
    """
    if "hours" in price:
        return False
    for figure, key in LITELLM.items():
        mine, theirs = price.get(figure), entry.get(key)
        if mine and theirs and abs(Decimal(str(theirs)) * 1_000_000 / mine - 1) > Decimal("0.02"):
            return True
    return False


def differences(ours: str, listed: dict[str, dict[str, Any]], text: str) -> Iterator[str]:
    """Where LiteLLM has another figure than the latest row: a row of a Markdown table each."""
    latest = {
        name: row["price"] for row in tomllib.loads(text, parse_float=Decimal)["prices"] for name in row["models"]
    }
    for name, price in latest.items():
        entry = listed.get(name)
        if entry is None:
            continue
        long = price.get("above", [{}])[0]
        pairs = [(figure, price.get(figure), entry.get(key)) for figure, key in LITELLM.items()]
        for size in ("100k", "200k", "272k") if long else ():
            key = f"input_cost_per_token_above_{size}_tokens"
            pairs += [(f"input above {size}", long["price"]["input"], entry[key])] if key in entry else []
        for service in price.get("services", ()):
            key = {"batch": "input_cost_per_token_batches"}.get(
                service["name"], f"input_cost_per_token_{service['name']}"
            )
            pairs += [(f"input, {service['name']}", service["price"]["input"], entry[key])] if key in entry else []
        for figure, mine, theirs in pairs:
            other = None if theirs is None else (Decimal(str(theirs)) * 1_000_000).normalize()
            if other != (None if mine is None else Decimal(mine)) and (mine or other):
                shown = "-" if other is None else f"{other:f}"
                yield f"| {ours}/{name} | {figure} | {'-' if mine is None else mine} | {shown} |"


def listed_by(litellm: dict[str, dict[str, Any]], ours: str) -> dict[str, dict[str, Any]]:
    _, name, front = PROVIDERS[ours]
    return {
        key.removeprefix(front): entry
        for key, entry in litellm.items()
        if entry.get("litellm_provider") == name and (not front or key.startswith(front))
    }


def _in_models(ours: str) -> list[str]:
    """The names that models.toml has."""
    rows = tomllib.loads((FOLDER.parent / "models.toml").read_text())["models"]
    return [row["model"] for row in rows if row["provider"] == ours]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--litellm", type=Path, required=True)
    arguments.add_argument("--report", type=Path, required=True)
    chosen = arguments.parse_args()
    litellm = json.loads(chosen.litellm.read_text(), parse_float=Decimal)
    left_out: list[str] = []
    found: list[str] = []
    FOLDER.mkdir(exist_ok=True)
    for ours in PROVIDERS:
        text = build(ours, listed_by(litellm, ours), left_out)
        (FOLDER / f"{ours}.toml").write_text(text)
        found += differences(ours, listed_by(litellm, ours), text)
    head = ["| model | figure | genai-prices | LiteLLM |", "|---|---|---|---|"]
    reasons = [f"- {line}" for line in left_out]
    chosen.report.write_text("\n".join([*head, *found, "", "Left out:", "", *reasons]) + "\n")


if __name__ == "__main__":
    main()
