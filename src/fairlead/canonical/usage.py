"""Counted tokens and what they cost.

Usage is the provider's own count. Counts are inclusive: `input` contains the cached tokens and `output` the reasoning
tokens, as the OpenTelemetry GenAI conventions have it; a dialect that counts otherwise converts on the way in.
A cost that is not known for certain is None, never a guess and never 0. It must not know where prices come from.
"""

from bisect import bisect_right
from decimal import Decimal

import msgspec

ZERO = Decimal(0)
MILLION = Decimal(1_000_000)
THOUSAND = Decimal(1_000)
DAY = 86_400
MINUTE = 60
SELF_HOSTED = "self_hosted"
"""In place of a price table's version: nobody charges for the deployment, so that a cost which is not known is none."""
PLAIN_SERVICES = frozenset({"", "default", "standard", "auto", "on_demand", "global", "not_available"})
"""What providers call the service that costs what their price list says first."""


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Tokens of one answer, inclusive (see the module). `None` never means zero: absent details are zero."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    cache_write_1h: int = 0
    """The part of `cache_write` that is kept for an hour."""
    cached_audio: int = 0
    """The part of both `audio_input` and `cache_read`."""
    image_input: int = 0
    cached_image: int = 0
    """The part of both `image_input` and `cache_read`."""
    image_output: int = 0
    web_searches: int = 0
    """Searches that the provider made for the answer."""
    service: str = ""
    """The service tier that the provider says it used, in its own word; empty: it did not say."""
    told: Decimal | None = None
    """US dollars, where the provider itself tells what the answer costs."""

    @property
    def total(self) -> int:
        return self.input + self.output


class Price(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, cache_hash=True, forbid_unknown_fields=True):
    """US dollars per million tokens, and per thousand of what is no token. None: see each.

    A price that is not the same for every request has other prices in it. They are looked up in this order, each in
    what the one before found: `changes`, `hours`, `services`, `above`.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    """None: as plain input."""
    cache_write: Decimal | None = None
    """None: as plain input."""
    cache_write_1h: Decimal | None = None
    """None: unknown."""
    reasoning: Decimal | None = None
    """None: as output."""
    audio_input: Decimal | None = None
    """None: unknown."""
    cached_audio: Decimal | None = None
    """None: unknown."""
    audio_output: Decimal | None = None
    """None: unknown."""
    image_input: Decimal | None = None
    """None: as the text around it, cached or not."""
    cached_image: Decimal | None = None
    """None: unknown, where `image_input` is not."""
    image_output: Decimal | None = None
    """None: unknown."""
    web_search: Decimal | None = None
    """Per thousand searches. None: unknown."""
    request: Decimal = ZERO
    """Per thousand requests, whatever they use."""
    told: Decimal | None = None
    """The provider tells each answer's cost itself, and this times that is the cost; the other figures are for
    estimates only.
    """
    uncertain: bool = False
    """Whether it is not known if this price holds: then it is for estimates only, and the cost is unknown."""
    above: "tuple[Above, ...]" = ()
    """Prices of longer prompts, shortest first; the last that is reached holds for the whole request."""
    services: "tuple[Service, ...]" = ()
    """Prices of other service tiers; one that is not among them is unknown."""
    hours: "tuple[Hours, ...]" = ()
    changes: "tuple[Change, ...]" = ()
    """What it will be, the earliest first."""
    version: str = ""
    """The price table and its date, kept with every cost that it made."""

    def inner(self) -> "list[Price]":
        """The prices right in it."""
        return [
            *[longer.price for longer in self.above],
            *[service.price for service in self.services],
            *[hours.price for hours in self.hours],
            *[change.price for change in self.changes],
        ]

    def at(self, at: float | None) -> "Price | None":
        """The price at that instant (Unix seconds); None where it depends on the instant and none is given."""
        if not self.changes and not self.hours:
            return self
        if at is None:
            return None
        place = bisect_right(self.changes, at, key=_begin)
        found = self.changes[place - 1].price if place else self
        minute = int(at % DAY) // MINUTE
        return next((hours.price for hours in found.hours if hours.begin <= minute < hours.end), found)

    def of(self, usage: Usage) -> "Price | None":
        """The price of this very usage; None: its service tier has none."""
        found = self
        if usage.service not in PLAIN_SERVICES:
            served = next((service for service in self.services if service.name == usage.service), None)
            if served is None:
                return None
            found = served.price
        if found.above:
            place = bisect_right(found.above, usage.input - 1, key=_tokens)
            return found.above[place - 1].price if place else found
        return found


class Above(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The price of a request with more than so many tokens of input."""

    tokens: int
    price: Price


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The price of a service tier."""

    name: str
    price: Price


class Hours(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The price of a part of every day, in minutes of the day in UTC; `end` is no part of it."""

    begin: int
    end: int
    price: Price


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The price from an instant on (Unix seconds)."""

    begin: float
    price: Price


def _begin(change: Change) -> float:
    return change.begin


def _tokens(above: Above) -> int:
    return above.tokens


def cost(usage: Usage, price: Price, at: float | None = None) -> Decimal | None:
    """What `usage` costs in US dollars, exact, for a request that began `at` (Unix seconds); None: it is not known.

    Every token is charged once, at the price of what it is. Counts that contradict each other have no cost.
    """
    rate = price.at(at) if price.changes or price.hours else price
    if rate is not None and rate.told is not None:
        return None if usage.told is None else usage.told * rate.told
    if rate is not None and (usage.service or rate.above):
        rate = rate.of(usage)
    if rate is None or rate.uncertain:
        return None
    read, written = usage.cache_read, usage.cache_write
    plain = usage.input - read - written
    if plain < 0 or usage.reasoning > usage.output:
        return None
    total = plain * rate.input + usage.output * rate.output
    if read:
        total += read * (rate.input if rate.cache_read is None else rate.cache_read)
    if written:
        total += written * (rate.input if rate.cache_write is None else rate.cache_write)
    if rate.request:
        total += rate.request * THOUSAND
    if is_special(usage) or rate.reasoning is not None:
        more = _special(usage, rate)
        if more is None:
            return None
        total += more
    return total / MILLION


def is_special(usage: Usage) -> bool:
    """Whether it has anything that no model charges as plain or as cached text."""
    return bool(
        usage.cache_write_1h
        or usage.audio_input
        or usage.audio_output
        or usage.image_input
        or usage.image_output
        or usage.web_searches
    )


def _special(usage: Usage, rate: Price) -> Decimal | None:
    """What `usage` costs beyond the price of plain and cached text; None: it is not known."""
    if not is_consistent(usage):
        return None
    read = rate.input if rate.cache_read is None else rate.cache_read
    write = rate.input if rate.cache_write is None else rate.cache_write
    image, cached_image = rate.image_input, rate.cached_image
    if image is None:
        image, cached_image = rate.input, read
    differences = (
        (usage.cache_write_1h, rate.cache_write_1h, write),
        (usage.audio_input - usage.cached_audio, rate.audio_input, rate.input),
        (usage.cached_audio, rate.cached_audio, read),
        (usage.image_input - usage.cached_image, image, rate.input),
        (usage.cached_image, cached_image, read),
        (usage.reasoning, rate.output if rate.reasoning is None else rate.reasoning, rate.output),
        (usage.audio_output, rate.audio_output, rate.output),
        (usage.image_output, rate.image_output, rate.output),
        (usage.web_searches, None if rate.web_search is None else rate.web_search * THOUSAND, ZERO),
    )
    total = ZERO
    for count, figure, instead in differences:
        if count and figure is None:
            return None
        if count and figure is not None:
            total += count * (figure - instead)
    return total


def is_consistent(usage: Usage) -> bool:
    """Whether no part is more than the whole that it is counted in."""
    plain = usage.input - usage.cache_read - usage.cache_write
    audio, image = usage.audio_input - usage.cached_audio, usage.image_input - usage.cached_image
    return (
        min(audio, image) >= 0
        and audio + image <= plain
        and usage.cached_audio + usage.cached_image <= usage.cache_read
        and usage.cache_write_1h <= usage.cache_write
        and max(usage.reasoning, usage.audio_output + usage.image_output) <= usage.output
    )


def scaled(price: Price, factor: Decimal, version: str) -> Price:
    """The price times `factor`, with all that is in it."""
    figures = {
        name: figure * factor for name in price.__struct_fields__ if isinstance(figure := getattr(price, name), Decimal)
    }
    return msgspec.structs.replace(
        price,
        **figures,
        above=tuple([Above(tokens=a.tokens, price=scaled(a.price, factor, version)) for a in price.above]),
        services=tuple([Service(name=s.name, price=scaled(s.price, factor, version)) for s in price.services]),
        hours=tuple([Hours(begin=h.begin, end=h.end, price=scaled(h.price, factor, version)) for h in price.hours]),
        changes=tuple([Change(begin=c.begin, price=scaled(c.price, factor, version)) for c in price.changes]),
        version=version,
    )
