"""The catalog that ships with the package, read once."""

from functools import cache
from importlib.resources import files

from fairlead.catalog.table import Catalog, parse


@cache
def catalog() -> Catalog:
    """The shipped providers, models and prices."""
    return with_models(_text("models.toml"))


def with_models(models: str) -> Catalog:
    """The shipped providers with another table of models and prices. Raises ValueError."""
    return parse(_text("providers.toml"), models)


def _text(name: str) -> str:
    return (files("fairlead.catalog") / name).read_text(encoding="utf-8")
