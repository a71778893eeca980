"""Prices in whole numbers, for budgets: what usage is counted at, and the most that it can be.

It holds to `canonical.usage.cost`: what that says is rounded up here, and where that does not know, the dearest of what
the price has is counted, so that a budget is not spent behind its back. It must not know limits.
"""

from collections.abc import Iterator
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache

import msgspec

from fairlead.canonical.usage import MILLION, PLAIN_SERVICES, Price, Usage, is_special

THOUSAND = 1_000
_INPUTS = (
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "audio_input",
    "cached_audio",
    "image_input",
    "cached_image",
)
_OUTPUTS = ("output", "reasoning", "audio_output", "image_output")


class Ceiling(msgspec.Struct, frozen=True):
    """The dearest token of each direction, for a request with more than `above` tokens of input."""

    above: int
    input: int
    output: int
    request: int


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """A price in integers: so many parts of a millionth of a dollar per token, `parts` of them to one."""

    parts: int
    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    reasoning: int
    audio_input: int
    cached_audio: int
    audio_output: int
    image_input: int
    cached_image: int
    image_output: int
    web_search: int
    request: int
    told: Decimal | None = None
    above: "tuple[tuple[int, Rates], ...]" = ()
    services: "tuple[tuple[str, Rates], ...]" = ()
    ceilings: tuple[Ceiling, ...] = ()
    """Over all that the price may be at some instant, in the plain service."""

    def most(self, counted: int, output: int) -> int:
        """The most millionths of a dollar for so many tokens at most."""
        held = self.ceilings[0]
        for ceiling in self.ceilings:
            if counted > ceiling.above:
                held = ceiling
        return -(-(counted * held.input + output * held.output + held.request) // self.parts)

    def of(self, usage: Usage) -> "Rates":
        """What holds for this very usage; a service without a price counts as the plain one."""
        found = self
        if usage.service not in PLAIN_SERVICES:
            found = next((served for name, served in self.services if name == usage.service), self)
        for tokens, longer in found.above:
            if usage.input > tokens:
                found = longer
        return found


def money(usage: Usage, at: Rates) -> int:
    """What `usage` costs in millionths of a dollar: `canonical.usage.cost`, rounded up."""
    if at.told is not None and usage.told is not None:
        return int((usage.told * at.told * MILLION).to_integral_value(ROUND_CEILING))
    if usage.service or at.above:
        at = at.of(usage)
    return -(-parts(usage, at) // at.parts)


def parts(usage: Usage, at: Rates) -> int:
    """What `usage` costs in the parts of `at`, which must be what holds for this very usage."""
    plain = max(usage.input - usage.cache_read - usage.cache_write, 0)
    total = (
        plain * at.input
        + usage.cache_read * at.cache_read
        + usage.cache_write * at.cache_write
        + usage.output * at.output
        + at.request
    )
    if at.reasoning != at.output or is_special(usage):
        total = max(total + _special(usage, at), 0)
    return total


def _special(usage: Usage, at: Rates) -> int:
    """What `usage` costs beyond the rates of plain and cached text."""
    return (
        usage.cache_write_1h * (at.cache_write_1h - at.cache_write)
        + (usage.audio_input - usage.cached_audio) * (at.audio_input - at.input)
        + usage.cached_audio * (at.cached_audio - at.cache_read)
        + (usage.image_input - usage.cached_image) * (at.image_input - at.input)
        + usage.cached_image * (at.cached_image - at.cache_read)
        + usage.reasoning * (at.reasoning - at.output)
        + usage.audio_output * (at.audio_output - at.output)
        + usage.image_output * (at.image_output - at.output)
        + usage.web_searches * at.web_search
    )


@lru_cache(maxsize=4096)
def rates(price: Price) -> Rates:
    """`price` in integers, exact. Dollars per million tokens are millionths of a dollar per token.

    Of a price that depends on the instant, `price.at` says which is meant; without that the first counts.
    """
    every = list(_within(price))
    parts = 10 ** max(_decimals(figure) for found in every for figure in _figures(found))
    plain = _converted(price, parts)
    return msgspec.structs.replace(
        plain,
        above=tuple([(longer.tokens, _converted(longer.price, parts)) for longer in price.above]),
        services=tuple([(service.name, _service(service.price, parts)) for service in price.services]),
        ceilings=_ceilings(price, parts),
    )


def rates_at(price: Price | None, at: float) -> Rates | None:
    """What a price is at an instant (Unix seconds), in integers; None: there is no price."""
    return None if price is None else rates(price.at(at) or price)


def _service(price: Price, parts: int) -> Rates:
    above = tuple([(longer.tokens, _converted(longer.price, parts)) for longer in price.above])
    return msgspec.structs.replace(_converted(price, parts), above=above)


def _within(price: Price) -> Iterator[Price]:
    """The price and every other one in it."""
    yield price
    for inner in price.inner():
        yield from _within(inner)


def _figures(price: Price) -> list[Decimal]:
    return [figure for name in price.__struct_fields__ if isinstance(figure := getattr(price, name), Decimal)]


def _decimals(figure: Decimal) -> int:
    exponent = figure.as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def _converted(price: Price, parts: int) -> Rates:
    """One price without those in it. What it does not know is as dear as the dearest token of its direction."""

    def whole(figure: Decimal | None, otherwise: int) -> int:
        return otherwise if figure is None else int(figure * parts)

    plain, output = int(price.input * parts), int(price.output * parts)
    read, write = whole(price.cache_read, plain), whole(price.cache_write, plain)
    dear_in = max(whole(getattr(price, name), 0) for name in _INPUTS)
    dear_out = max(whole(getattr(price, name), 0) for name in _OUTPUTS)
    apart = price.image_input is not None
    return Rates(
        parts=parts,
        input=plain,
        output=output,
        cache_read=read,
        cache_write=write,
        cache_write_1h=whole(price.cache_write_1h, dear_in),
        reasoning=whole(price.reasoning, output),
        audio_input=whole(price.audio_input, dear_in),
        cached_audio=whole(price.cached_audio, dear_in),
        audio_output=whole(price.audio_output, dear_out),
        image_input=whole(price.image_input, plain),
        cached_image=whole(price.cached_image, dear_in) if apart else read,
        image_output=whole(price.image_output, dear_out),
        web_search=whole(price.web_search, 0) * THOUSAND,
        request=int(price.request * parts) * THOUSAND,
        told=price.told,
    )


def _ceilings(price: Price, parts: int) -> tuple[Ceiling, ...]:
    """For each size of input at which anything becomes dearer, the dearest of all that can be reached by then."""
    steps: list[tuple[int, Price]] = []
    for plain in (price, *_later(price)):
        steps += [(0, plain), *[(longer.tokens, longer.price) for longer in plain.above]]
    found: list[Ceiling] = []
    for tokens in sorted({tokens for tokens, _ in steps}):
        reached = [_converted(step, parts) for least, step in steps if least <= tokens]
        inputs = max(max(_dear(at, _INPUTS)) for at in reached)
        outputs = max(max(_dear(at, _OUTPUTS)) for at in reached)
        found.append(Ceiling(tokens, inputs, outputs, max(at.request for at in reached)))
    return tuple(found)


def _dear(at: Rates, names: tuple[str, ...]) -> list[int]:
    return [getattr(at, name) for name in names]


def _later(price: Price) -> Iterator[Price]:
    """What the price is at other hours and later."""
    for inner in [*[hours.price for hours in price.hours], *[change.price for change in price.changes]]:
        yield inner
        yield from _later(inner)
