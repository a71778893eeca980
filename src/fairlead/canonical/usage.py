"""Counted tokens and what they cost.

Usage is the provider's own count. Counts are inclusive: `input` contains the cached tokens and `output` the reasoning
tokens, as the OpenTelemetry GenAI conventions have it; a dialect that counts otherwise converts on the way in.
"""

from decimal import Decimal

import msgspec


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Tokens of one answer, inclusive (see the module). `None` never means zero: absent details are zero."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars per million tokens. A missing cache price means that such tokens cost as plain input."""

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    version: str = ""
    """The price table and its date, kept with every cost that it made."""


MILLION = Decimal(1_000_000)


def cost(usage: Usage, price: Price) -> Decimal:
    """What `usage` costs in US dollars, exact.

    Cached and cache-writing tokens are part of `usage.input` and are charged once, at their own price.
    """
    cache_read = price.input if price.cache_read is None else price.cache_read
    cache_write = price.input if price.cache_write is None else price.cache_write
    plain = max(usage.input - usage.cache_read - usage.cache_write, 0)
    return (
        plain * price.input
        + usage.cache_read * cache_read
        + usage.cache_write * cache_write
        + usage.output * price.output
    ) / MILLION
