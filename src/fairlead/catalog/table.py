"""The catalog's tables as values: providers, models, and what these cost.

Pure: texts come in. It must not know the configuration, nor where the tables are stored.
"""

import tomllib
from collections.abc import Callable, Mapping
from datetime import date

import msgspec

from fairlead.canonical.routing import Auth
from fairlead.canonical.usage import Price
from fairlead.catalog.pricing import PriceTable, SourceRow, parse_prices


class ProviderRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider, by the name that configurations use for it."""

    title: str
    base_url: str
    dialect: str
    auth: Auth
    docs: str
    checked: str
    """The day on which the row was compared with its sources."""
    keys: tuple[str, ...] = ()
    """Environment variables that may hold the credential; the first that is set counts."""
    families: tuple[str, ...] = ()
    """What the names of its own models begin with, as wildcards."""
    api_version: str | None = None
    self_hosted: bool = False


class ModelRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model at one provider. None: no source says."""

    provider: str
    model: str
    sources: tuple[str, ...]
    context: int | None = None
    max_output: int | None = None
    tools: bool | None = None
    vision: bool | None = None


class Catalog:
    """All rows. The prices of a provider are read when they are first asked for."""

    def __init__(
        self,
        models: "_Models",
        providers: Mapping[str, ProviderRow],
        read_prices: Callable[[str], str | None],
    ) -> None:
        self.version = f"fairlead {models.version}"
        self.sources = models.sources
        self.providers = providers
        self.models = {(row.provider, row.model): row for row in models.models}
        self._today = date.fromisoformat(models.version)
        self._read_prices = read_prices
        self._prices: dict[str, PriceTable | None] = {}

    def models_of(self, provider: str) -> list[ModelRow]:
        """The known models of a provider, in the order of the table."""
        return [row for row in self.models.values() if row.provider == provider]

    def prices_of(self, provider: str) -> PriceTable | None:
        """What its models cost and have cost; None: nothing is known of that."""
        if provider not in self._prices:
            text = self._read_prices(provider) if provider in self.providers else None
            self._prices[provider] = None if text is None else parse_prices(text)
        return self._prices[provider]

    def price(self, provider: str, model: str) -> Price | None:
        """What the model costs since the catalog was made; None: it is not known."""
        table = self.prices_of(provider)
        return None if table is None else table.since(provider, model, self._today)

    def names_of(self, provider: str) -> list[str]:
        """Every name of a model of which anything is known."""
        table = self.prices_of(provider)
        priced = [] if table is None else [model for _, model in table.models()]
        return list(dict.fromkeys([row.model for row in self.models_of(provider)] + priced))


class _Models(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    sources: dict[str, SourceRow]
    models: tuple[ModelRow, ...] = ()


def parse(providers: str, models: str, read_prices: Callable[[str], str | None] = lambda _: None) -> Catalog:
    """The catalog that TOML texts hold; `read_prices` has the price table of a provider, if it has one.

    Raises ValueError where a row is malformed, unsourced or repeated.
    """
    rows = msgspec.convert(tomllib.loads(providers), dict[str, ProviderRow])
    table = msgspec.convert(tomllib.loads(models), _Models)
    if len({(row.provider, row.model) for row in table.models}) != len(table.models):
        raise ValueError("a model is in the catalog twice")
    for row in table.models:
        if row.provider not in rows:
            raise ValueError(f"{row.model!r} names the unknown provider {row.provider!r}")
        if not row.sources or not set(row.sources) <= table.sources.keys():
            raise ValueError(f"{row.model!r} names no known source")
    return Catalog(table, rows, read_prices)
