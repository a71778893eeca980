"""What a deployment costs: its own price, or the catalog's with the discount or markup that was agreed on.

It must not know providers' names, nor traffic.
"""

from decimal import Decimal
from typing import Annotated

import msgspec

from fairlead.canonical import usage
from fairlead.canonical.usage import scaled
from fairlead.config.kinds import Doc, Dollars, Name, Section
from fairlead.config.units import Count

OWN = "configuration"
"""The version of a price that the configuration has."""


class Figures(Section, frozen=True, kw_only=True):
    input: Annotated[Dollars, Doc(description="US dollars per million input tokens.")]
    output: Annotated[Dollars, Doc(description="US dollars per million output tokens.")]
    cache_read: Annotated[
        Dollars | None, Doc(description="Per million input tokens read from a cache. Unset: as input.")
    ] = None
    cache_write: Annotated[
        Dollars | None, Doc(description="Per million input tokens written to a cache. Unset: as input.")
    ] = None
    cache_write_1h: Annotated[
        Dollars | None, Doc(description="Per million of those that are kept for an hour. Unset: unknown.")
    ] = None
    reasoning: Annotated[Dollars | None, Doc(description="Per million reasoning tokens. Unset: as output.")] = None
    audio_input: Annotated[Dollars | None, Doc(description="Per million tokens of audio heard. Unset: unknown.")] = None
    cached_audio: Annotated[
        Dollars | None, Doc(description="Per million of those read from a cache. Unset: unknown.")
    ] = None
    audio_output: Annotated[Dollars | None, Doc(description="Per million tokens of audio spoken. Unset: unknown.")] = (
        None
    )
    image_input: Annotated[Dollars | None, Doc(description="Per million tokens of images seen. Unset: as text.")] = None
    cached_image: Annotated[
        Dollars | None,
        Doc(description="Per million of those read from a cache. Unset: unknown, or as text if image_input is unset."),
    ] = None
    image_output: Annotated[Dollars | None, Doc(description="Per million tokens of images drawn. Unset: unknown.")] = (
        None
    )
    web_search: Annotated[
        Dollars | None, Doc(description="Per thousand searches that the provider makes. Unset: unknown.")
    ] = None
    request: Annotated[Dollars, Doc(description="Per thousand requests, on top of all else.")] = "0"


class Longer(Figures, frozen=True, kw_only=True):
    tokens: Annotated[Count, Doc(description="It holds for requests with more than so many input tokens.")]


class Serving(Figures, frozen=True, kw_only=True):
    above: Annotated[
        tuple[Longer, ...],
        Doc(description="Whole prices of longer prompts; each holds for the whole request. Shortest first."),
    ] = ()


class Price(Serving, frozen=True, kw_only=True):
    services: Annotated[
        dict[Name, Serving],
        Doc(description="Whole prices by the service tier that answers tell, such as priority. Others: unknown."),
    ] = {}


def own_price(own: Price) -> usage.Price:
    """The price that the configuration has."""
    services = [usage.Service(name=name, price=_serving(serving)) for name, serving in own.services.items()]
    return msgspec.structs.replace(_serving(own), services=tuple(services), version=OWN)


def agreed(price: usage.Price, discount: str | None, markup: str | None) -> usage.Price:
    """The price with a discount or a markup; its version says so."""
    for words, sign in ((discount, -1), (markup, 1)):
        if words is not None:
            factor = 1 + sign * Decimal(words.removesuffix("%")) / 100
            return scaled(price, factor, f"{price.version} {'-' if sign < 0 else '+'}{words}")
    return price


def order_of(price: Price) -> str | None:
    """What is wrong with the lengths in `price`, in words; None: nothing."""
    for serving in (price, *price.services.values()):
        lengths = [longer.tokens for longer in serving.above]
        if lengths != sorted(set(lengths)):
            return "above: write the shorter prompt first, and each length once"
    return None


def _serving(own: Serving) -> usage.Price:
    above = [usage.Above(tokens=longer.tokens, price=_figures(longer)) for longer in own.above]
    return msgspec.structs.replace(_figures(own), above=tuple(above))


def _figures(own: Figures) -> usage.Price:
    said = {name: getattr(own, name) for name in Figures.__struct_fields__}
    return msgspec.convert({name: figure for name, figure in said.items() if figure is not None}, usage.Price)
