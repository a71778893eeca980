"""The catalog that ships with the package, read once."""

from functools import cache
from importlib.resources import files

from fairlead.catalog.table import Catalog, parse


@cache
def catalog() -> Catalog:
    """The shipped providers, models and prices."""
    folder = files("fairlead.catalog")
    return parse(
        (folder / "providers.toml").read_text(encoding="utf-8"),
        (folder / "models.toml").read_text(encoding="utf-8"),
    )
