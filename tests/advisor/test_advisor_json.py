"""The JSON that `fairlead advise` prints has the keys and the types that the page describes."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fairlead.advisor.advise import Advice, advise
from fairlead.advisor.merits import Reason
from fairlead.advisor.needs import Needs
from fairlead.cli.advise import tables

PAGE = (Path(__file__).parents[2] / "docs" / "advisor.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("### JSON") : PAGE.index("## How it ranks")]
DESCRIBED = [dict(re.findall(r"^\| `(.*?)` \| (.*?) \|", part, re.MULTILINE)) for part in SECTION.split("A reason:")]
SCHEMA = msgspec.json.schema(Advice)


def kind(schema: dict[str, Any]) -> str:
    """A type in the words of the page."""
    if "anyOf" in schema:
        *some, last = map(kind, schema["anyOf"])
        return f"{some[0]} or null" if last == "null" else "any"
    if "$ref" in schema:
        return "reason" if schema["$ref"].endswith("/Reason") else "object"
    if schema.get("type") == "array":
        items = schema["items"] or schema["prefixItems"][0]
        return f"{kind(items)}s"
    return "string" if "enum" in schema else str(schema["type"])


def keys(name: str, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every key of a struct and of those in it, reasons aside, with its type."""
    for key, schema in SCHEMA["$defs"][name]["properties"].items():
        word = kind(schema)
        if not word.startswith("objects"):
            yield f"{prefix}{key}", word
        if word.startswith("object"):
            inner = re.findall(r"\$defs/(\w+)", str(schema))[0]
            yield from keys(inner, f"{prefix}{key}[]." if word == "objects" else f"{prefix}{key}.")


def test_every_key_is_described_with_its_type() -> None:
    assert [dict(keys("Advice")), dict(keys("Reason"))] == DESCRIBED


@pytest.mark.parametrize(
    "needs",
    [Needs(), Needs(rps=300, ops="self-hosted", among=("litellm", "kong")), Needs(ops="managed", data="on-premises")],
)
def test_what_is_printed_has_all_keys_of_its_type(needs: Needs) -> None:
    told = msgspec.to_builtins(advise(needs, *tables()))
    assert set(told) == set(Advice.__struct_fields__)
    assert msgspec.convert(told, Advice) == advise(needs, *tables())
    for reason in [reason for one in told["ranking"] for reason in one["reasons"]]:
        assert set(reason) in ({"rule", "points", "text"}, set(Reason.__struct_fields__))
