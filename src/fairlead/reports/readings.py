"""The figures of a summary that people look at first: what each is called, its unit and where it is, as one table.

Tables, charts and the terminal read summaries through it. It must not know what a figure is printed on.
"""

from math import floor, isfinite, log10

import msgspec

from fairlead.simulator.statistics import Interval
from fairlead.simulator.summary import QUANTILES, Summary
from fairlead.simulator.summary import figure as told

PERCENT = 100.0
MOST_DIGITS = 6
TINY = 1e-5
"""What is less, and has no more digits than that, is told by its magnitude: `2.38e-06`."""
NOTHING = "–"
"""Where there is no such figure."""
UNKNOWN = "[not known]"
"""Where nothing is known of how sure a figure is."""
PARTS = ("mean", *QUANTILES)
"""Of a latency."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: its place in the summary, and by which factor it is told in its unit: `%`, `ms`, `$` or none."""

    place: str
    name: str
    unit: str = ""
    factor: float = 1.0

    @property
    def title(self) -> str:
        return f"{self.name}, {self.unit}" if self.unit else self.name

    def of(self, summary: Summary) -> Interval:
        """The figure, in the unit."""
        return told(summary, self.place).scaled(self.factor)


def _latencies(name: str, place: str) -> tuple[Reading, ...]:
    return tuple(Reading(place=f"{place}.{part}", name=f"{name} {part}", unit="ms") for part in PARTS)


RATES = (
    Reading(place="success_rate", name="success rate", unit="%", factor=PERCENT),
    Reading(place="refusal_rate", name="refused", unit="%", factor=PERCENT),
    Reading(place="cut_rate", name="broke off", unit="%", factor=PERCENT),
    Reading(place="retry_rate", name="retried", unit="%", factor=PERCENT),
    Reading(place="fallback_hit_rate", name="fallback hit rate", unit="%", factor=PERCENT),
)
ATTEMPTS = Reading(place="attempts_per_request", name="attempts per request")
LATENCY = _latencies("latency", "latency_ms")
FIRST_TOKEN = _latencies("first token", "first_token_ms")
ADDED = _latencies("added latency", "added_latency_ms")
COST = Reading(place="cost_per_1000", name="cost per 1000", unit="$")
WASTED = Reading(place="wasted_per_1000", name="wasted per 1000", unit="$")
FAIRNESS = Reading(place="fairness", name="fairness (Jain's index)")
READINGS = (*RATES, ATTEMPTS, *LATENCY, *FIRST_TOKEN, *ADDED, COST, WASTED, FAIRNESS)
"""One for each of summary.FIGURES."""


def lost(summary: Summary) -> Interval:
    """The share of requests that got no whole answer, in percent."""
    rate = summary.success_rate
    return Interval(1 - rate.value, 1 - rate.high, 1 - rate.low).scaled(PERCENT)


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
    if not is_known(interval):
        return f"{value} {UNKNOWN}"
    if not _half(interval):
        return value
    return f"{value} [{number(interval.low, interval)}, {number(interval.high, interval)}]"


def change(difference: Interval) -> str:
    """The same of a difference, with its sign."""
    return f"+{figure(difference)}" if difference.value > 0 else figure(difference)


def number(value: float, known: Interval | None = None) -> str:
    """To as many digits as are `known` of it; else three that count, or every whole one."""
    half = _half(known) if known else 0.0
    digits = 1 - floor(log10(half)) if half else 2 - floor(log10(abs(value))) if value else 0
    if digits > MOST_DIGITS and 0.0 < abs(value) < TINY:
        return f"{value:.2e}"
    return f"{value:,.{min(max(digits, 0), MOST_DIGITS)}f}"


def span(low: float, high: float) -> tuple[str, str]:
    """Both ends of an axis, to as many digits as tell them apart."""
    known = Interval(low, low, high)
    return number(low, known) if low else "0", number(high, known)


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
