"""docs/configuration.md and the starter file say what the model says."""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from fairlead.config.bind import bind, keys_of
from fairlead.config.compile import compile_config
from fairlead.config.model import Config
from fairlead.config.problems import Findings
from fairlead.config.schema import written
from fairlead.config.secrets import SCHEMES
from fairlead.config.shape import Field, Listed, Named, Nullable, Record, Shape, record_of
from fairlead.config.shipped import catalog
from fairlead.config.world import World

DOCS = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
ROWS = dict(re.findall(r"^\| `([^`]+)` \| [^|]+ \| ([^|]+) \| [^|]+ \|$", DOCS, re.MULTILINE))
ENVIRON = {"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "sk-2", "MISTRAL_API_KEY": "m", "ACME_KEY": "k" * 20}


def fields(shape: Shape, path: str) -> Iterator[tuple[str, Field]]:
    match shape:
        case Nullable(inner) | Listed(item=inner) | Named(value=inner):
            suffix = {Nullable: "", Listed: "[]", Named: ".<name>"}[type(shape)]
            yield from fields(inner, path + suffix)
        case Record():
            for field in shape.fields:
                key = f"{path}.{field.key}" if path else field.key
                yield key, field
                yield from fields(field.shape, key)


FIELDS = dict(fields(record_of(Config), ""))
SAME_SHAPE = {
    "tenants.<name>.limits.": "tiers.<name>.",
    "keys[].limits.": "tiers.<name>.",
    "limits[].": "tiers.<name>.",
    "tiers.<name>.tokens[].": "tiers.<name>.requests[].",
    "tiers.<name>.input_tokens[].": "tiers.<name>.requests[].",
    "tiers.<name>.output_tokens[].": "tiers.<name>.requests[].",
    "routes[].deployments[].price.above[].": "routes[].deployments[].price.",
    "routes[].deployments[].price.services.<name>.": "routes[].deployments[].price.",
}
"""What is documented once for all who have it."""


def documented_as(key: str) -> str:
    """The key whose row says what there is to say of `key`."""
    for prefix, first in SAME_SHAPE.items():
        elsewhere = first + key.removeprefix(prefix)
        if key.startswith(prefix) and elsewhere in FIELDS and key not in ROWS:
            return documented_as(elsewhere)
    return key


def as_documented(field: Field) -> str:
    if field.required:
        return "required"
    if isinstance(field.shape, Record | Named):
        return "-"
    value = written(field.shape, field.default)
    if value is None:
        return "`null`" if field.key == "database" else "unset"
    return (
        f"`[{', '.join(map(str, value))}]`"
        if isinstance(value, list)
        else f"`{value:g}`"
        if isinstance(value, float)
        else f"`{value}`"
    )


def test_the_walk_is_the_one_that_hints_use() -> None:
    assert list(FIELDS) == list(keys_of(record_of(Config), ""))


@pytest.mark.parametrize("key", FIELDS)
def test_every_key_is_documented_with_its_default(key: str) -> None:
    assert ROWS.get(documented_as(key)) == as_documented(FIELDS[key])


@pytest.mark.parametrize("key", FIELDS)
def test_every_key_says_what_it_means(key: str) -> None:
    """Editors show it."""
    assert FIELDS[key].description.endswith(".")


def test_nothing_is_documented_that_does_not_exist() -> None:
    documented = {key for key in ROWS if key.partition(".")[0].partition("[")[0] in Config.__struct_fields__}
    assert documented == {documented_as(key) for key in FIELDS}


@pytest.mark.parametrize("name", Config.later)
def test_every_key_of_a_later_version_is_named(name: str) -> None:
    assert f"`{name}`" in DOCS


@pytest.mark.parametrize(
    "text",
    [
        re.findall(r"^```yaml\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)[0],
        (files("fairlead.cli") / "starter.yaml").read_text(),
    ],
    ids=["docs", "starter"],
)
def test_the_examples_load_without_a_finding(text: str) -> None:
    findings = Findings("example.yaml")
    config = bind(text.encode(), findings)
    assert config is not None, findings.in_order()
    assert (
        compile_config(config, World(environ=ENVIRON, catalog=catalog(), read_file=lambda _: "sk-3"), findings)
        is not None
    )
    assert findings.in_order() == ()


SECRETS = (Path(__file__).parents[2] / "docs" / "secrets.md").read_text()


@pytest.mark.parametrize("text", re.findall(r"^```yaml\n(.*?)^```", SECRETS, re.MULTILINE | re.DOTALL))
def test_the_examples_of_stores_bind_without_a_finding(text: str) -> None:
    findings = Findings("example.yaml")
    assert bind(text.encode(), findings) is not None, findings.in_order()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_kind_of_reference_is_documented(scheme: str) -> None:
    assert f"| `{scheme}://" in SECRETS
    assert f"| `{scheme}://" in DOCS
