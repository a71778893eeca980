"""The catalog's tables as values: providers, models, prices.

Pure: texts come in. It must not know the configuration, nor where the tables are stored.
"""

import tomllib
from decimal import Decimal

import msgspec

from fairlead.canonical.routing import Auth
from fairlead.canonical.usage import Price


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
    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    price_up_to: int | None = None
    """The most prompt tokens for which the price holds; None: any number."""

    def price(self, version: str) -> Price | None:
        """The price, if it is known and holds for every request: a cost must never come out too low."""
        if self.input is None or self.output is None or self.price_up_to is not None:
            return None
        return Price(
            input=self.input,
            output=self.output,
            cache_read=self.cache_read,
            cache_write=self.cache_write,
            version=version,
        )


class SourceRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where figures were taken from, and as of when."""

    what: str
    version: str
    url: str
    license: str
    date: str


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """All rows. `version` names the price table in every cost that it makes."""

    version: str
    sources: dict[str, SourceRow]
    providers: dict[str, ProviderRow]
    models: dict[tuple[str, str], ModelRow]

    def models_of(self, provider: str) -> list[ModelRow]:
        """The known models of a provider, in the order of the table."""
        return [row for row in self.models.values() if row.provider == provider]


class _Models(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    sources: dict[str, SourceRow]
    models: tuple[ModelRow, ...]


def parse(providers: str, models: str) -> Catalog:
    """The catalog that two TOML texts hold. Raises ValueError where a row is malformed, unsourced or repeated."""
    rows = msgspec.convert(tomllib.loads(providers), dict[str, ProviderRow])
    table = msgspec.convert(tomllib.loads(models), _Models)
    by_name = {(row.provider, row.model): row for row in table.models}
    if len(by_name) != len(table.models):
        raise ValueError("a model is in the catalog twice")
    for row in table.models:
        if row.provider not in rows:
            raise ValueError(f"{row.model!r} names the unknown provider {row.provider!r}")
        if not row.sources or not set(row.sources) <= table.sources.keys():
            raise ValueError(f"{row.model!r} names no known source")
    return Catalog(version=f"fairlead {table.version}", sources=table.sources, providers=rows, models=by_name)
