"""The catalog that ships with the package, read once."""

from functools import cache
from importlib.resources import files

from fairlead.catalog.table import Catalog, parse

_FOLDER = files("fairlead.catalog")


@cache
def catalog() -> Catalog:
    """The shipped providers, models and prices."""
    return parse(
        (_FOLDER / "providers.toml").read_text(encoding="utf-8"),
        (_FOLDER / "models.toml").read_text(encoding="utf-8"),
        _read_prices,
    )


def _read_prices(provider: str) -> str | None:
    table = _FOLDER / "prices" / f"{provider}.toml"
    return table.read_text(encoding="utf-8") if table.is_file() else None
