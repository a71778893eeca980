"""The figures of a summary that people look at first: what each is called, its unit and where it is, as one table.

Tables, charts and the terminal read summaries through it. It must not know what a figure is printed on.
"""

from collections.abc import Callable, Iterator
from math import floor, isfinite, log10

import msgspec

from fairlead.simulator.statistics import Interval
from fairlead.simulator.summary import QUANTILES, Latencies, Summary

PERCENT = 100.0
MOST_DIGITS = 6
NOTHING = "–"
"""Where there is no such figure."""
PARTS = ("mean", *QUANTILES)
"""Of a latency."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One figure. `of` gives it in `unit`: `%`, `ms`, `$` or none."""

    name: str
    unit: str = ""
    of: Callable[[Summary], Interval]

    @property
    def title(self) -> str:
        return f"{self.name}, {self.unit}" if self.unit else self.name


def _rate(field: str) -> Callable[[Summary], Interval]:
    def read(summary: Summary) -> Interval:
        rate: Interval = getattr(summary, field)
        return rate.scaled(PERCENT)

    return read


def _plain(field: str) -> Callable[[Summary], Interval]:
    def read(summary: Summary) -> Interval:
        found: Interval = getattr(summary, field)
        return found

    return read


def _latencies(name: str, field: str) -> Iterator[Reading]:
    def read(part: str) -> Callable[[Summary], Interval]:
        def latency(summary: Summary) -> Interval:
            latencies: Latencies = getattr(summary, field)
            found: Interval = getattr(latencies, part)
            return found

        return latency

    for part in PARTS:
        yield Reading(name=f"{name} {part}", unit="ms", of=read(part))


def lost(summary: Summary) -> Interval:
    """The share of requests that got no whole answer, in percent."""
    rate = summary.success_rate
    return Interval(1 - rate.value, 1 - rate.high, 1 - rate.low).scaled(PERCENT)


RATES = (
    Reading(name="success rate", unit="%", of=_rate("success_rate")),
    Reading(name="refused", unit="%", of=_rate("refusal_rate")),
    Reading(name="broke off", unit="%", of=_rate("cut_rate")),
    Reading(name="retried", unit="%", of=_rate("retry_rate")),
    Reading(name="fallback hit rate", unit="%", of=_rate("fallback_hit_rate")),
)
ATTEMPTS = Reading(name="attempts per request", of=_plain("attempts_per_request"))
LATENCY = tuple(_latencies("latency", "latency_ms"))
FIRST_TOKEN = tuple(_latencies("first token", "first_token_ms"))
ADDED = tuple(_latencies("added latency", "added_latency_ms"))
COST = Reading(name="cost per 1000", unit="$", of=_plain("cost_per_1000"))
WASTED = Reading(name="wasted per 1000", unit="$", of=_plain("wasted_per_1000"))
READINGS = (*RATES, ATTEMPTS, *LATENCY, *FIRST_TOKEN, *ADDED, COST, WASTED)


def is_known(interval: Interval) -> bool:
    """Whether anything is known of how sure the figure is."""
    return isfinite(interval.low) and isfinite(interval.high)


def differ(one: Interval, other: Interval) -> bool:
    """Whether two figures surely differ: both intervals are known, and they do not meet."""
    return is_known(one) and is_known(other) and (one.high < other.low or other.high < one.low)


def figure(interval: Interval) -> str:
    """The figure and its interval, `99.98 [99.97, 99.99]`, to as many digits as are known of it."""
    if not interval.value and not is_known(interval):
        return NOTHING
    value = number(interval.value, interval)
    if not _half(interval):
        return value
    return f"{value} [{number(interval.low, interval)}, {number(interval.high, interval)}]"


def number(value: float, known: Interval | None = None) -> str:
    """To as many digits as are `known` of it; else three that count, or every whole one."""
    half = _half(known) if known else 0.0
    digits = 1 - floor(log10(half)) if half else 2 - floor(log10(abs(value))) if value else 0
    return f"{value:,.{min(max(digits, 0), MOST_DIGITS)}f}"


def _half(interval: Interval) -> float:
    """How far the interval goes to a side; 0 where nothing is known, or everything."""
    return (interval.high - interval.low) / 2 if is_known(interval) else 0.0


def percent(share: float) -> str:
    """A share, as a percentage to two decimals."""
    return f"{share * PERCENT:.2f}"


def duration(seconds: float) -> str:
    """A time in its two largest units: `2 h 13 min`."""
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    whole = round(seconds)
    for place, (unit, size) in enumerate(units):
        if whole >= size:
            rest = whole % size
            lower, smaller = units[place + 1] if place + 1 < len(units) else ("", 1)
            count = rest // smaller if lower else 0
            return f"{whole // size} {unit}" + (f" {count} {lower}" if count else "")
    return f"{seconds:.2g} s"


def visible(text: str) -> str:
    """Without what steers a terminal or breaks a file: names come from files."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
