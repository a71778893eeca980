"""Targets: `success=0.999,ttft_p99=800ms`, and whether a simulation meets them.

A target is met where the whole confidence interval is on its right side. It must not know how a setting is found that
meets them.
"""

from collections.abc import Sequence
from math import floor, isfinite, log, log10
from typing import Literal

import msgspec

from fairlead.config.problems import did_you_mean
from fairlead.config.units import parse_duration, parse_number
from fairlead.simulator.report import Judged
from fairlead.simulator.setting import SettingError
from fairlead.simulator.statistics import Interval
from fairlead.simulator.summary import QUANTILES, Summary, figure

Unit = Literal["share", "ms", "amount"]


class Aim(msgspec.Struct, frozen=True):
    """A figure of the summary for which there can be a target. They are to be low, but for those with `at_least`."""

    figure: str
    unit: Unit
    words: str
    at_least: bool = False


AIMS = {
    "success": Aim("success_rate", "share", "the success rate", at_least=True),
    "fairness": Aim("fairness", "share", "Jain's index of fairness", at_least=True),
    "refusals": Aim("refusal_rate", "share", "the share of refused requests"),
    "cuts": Aim("cut_rate", "share", "the share of answers that break off"),
    "retries": Aim("retry_rate", "share", "the retry rate"),
    "fallbacks": Aim("fallback_hit_rate", "share", "the fallback hit rate"),
    "attempts": Aim("attempts_per_request", "amount", "the attempts per request"),
    "cost": Aim("cost_per_1000", "amount", "the cost of 1000 requests in US dollars"),
    "waste": Aim("wasted_per_1000", "amount", "the wasted cost of 1000 requests in US dollars"),
} | {
    f"{name}_{part}": Aim(f"{place}.{part}", "ms", f"the {part} of the {words}")
    for name, place, words in (
        ("ttft", "first_token_ms", "time to the first token"),
        ("latency", "latency_ms", "latency"),
        ("added", "added_latency_ms", "latency that failed attempts add"),
    )
    for part in ("mean", *QUANTILES)
}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """`bound` is in the figure's own unit: a share, milliseconds or dollars."""

    name: str
    """One of AIMS."""
    bound: float
    written: str
    """The bound as people wrote it."""

    @property
    def aim(self) -> Aim:
        return AIMS[self.name]

    @property
    def allowed(self) -> float:
        """How much there may be of what is bad: of a success rate, the failures."""
        return 1.0 - self.bound if self.aim.at_least else self.bound

    def __str__(self) -> str:
        return f"{self.name}={self.written}"


def parse(text: str) -> tuple[Target, ...]:
    """`NAME=BOUND`, by commas: shares from 0 to 1, durations, dollars. Raises SettingError."""
    targets = tuple(_target(entry.strip()) for entry in text.split(",") if entry.strip())
    if not targets:
        raise SettingError("a target is missing; write for example success=0.999,ttft_p99=800ms")
    twice = next((one.name for one in targets if sum(one.name == other.name for other in targets) > 1), None)
    if twice:
        raise SettingError(f"there are two targets for {twice!r}; write one")
    return targets


def judge(targets: Sequence[Target], summary: Summary, run: str = "") -> list[Judged]:
    """Each target, whether it is met and by how much it is not. `run` names what is judged among others."""
    return [_judged(target, summary, run) for target in targets]


def shortfall(target: Target, summary: Summary, sureness: float = 1.0) -> float:
    """How far the target is from being met, as the logarithm of a ratio, so that all kinds of targets can be added; 0
    where it is met. Of a success rate it is the failures that are compared: 0.99 is ten times as far from 1 as 0.999.

    `sureness` is the part of the interval that counts: 1 for all of it, 0 for the value alone. Of one without an end
    nothing counts, for all settings would be equally far, unless nothing was answered at all.
    """
    aim, found = target.aim, figure(summary, target.aim.figure)
    end = found.low if aim.at_least else found.high
    if not isfinite(end):
        sureness = 0.0 if is_known(summary, aim.figure) else 1.0
    figure_then = found.value + (end - found.value) * sureness if sureness else found.value
    bad = 1.0 - figure_then if aim.at_least else figure_then
    return max(log(bad / target.allowed), 0.0) if bad > 0.0 else 0.0


def shown(value: float, unit: Unit) -> str:
    """A figure as people write it."""
    if unit == "ms":
        return f"{value:.4g}ms" if abs(value) < 1000.0 else f"{value / 1000.0:.4g}s"
    # Of a share near 1 it is the distance from 1 that says something.
    nines = floor(-log10(1.0 - value)) if unit == "share" and 0.0 < value < 1.0 else 0
    return f"{value:.{max(5, nines + 2)}g}"


def is_known(summary: Summary, name: str) -> bool:
    """Whether one of FIGURES says anything: latencies are those of answers, and perhaps there are none."""
    return "." not in name or summary.success_rate.value > 0.0


def _judged(target: Target, summary: Summary, run: str) -> Judged:
    aim, bound = target.aim, target.bound
    found = figure(summary, aim.figure)
    end, sign = (found.low, 1.0) if aim.at_least else (found.high, -1.0)
    missing = max((bound - end) * sign, 0.0)
    if is_known(summary, aim.figure):
        told = _told(target, found, missing)
    else:
        told = f"{aim.words} is not known, for nothing was answered, and should be at most {target.written}: missed"
    return Judged(
        run=run,
        target=str(target),
        figure=found,
        met=missing == 0.0,
        missing=missing,
        told=f"{run}: {told}" if run else told,
    )


def _told(target: Target, found: Interval, missing: float) -> str:
    aim = target.aim
    value, low, high, short = (shown(one, aim.unit) for one in (found.value, found.low, found.high, missing))
    sure = f"({low} to {high})" if isfinite(missing) else "(too few answers or outages to know how sure that is)"
    told = f"{aim.words} is {value} {sure}, and should be {'at least' if aim.at_least else 'at most'} {target.written}"
    if missing == 0.0:
        return f"{told}: met"
    if (found.value >= target.bound) if aim.at_least else (found.value <= target.bound):
        wide = f", but its interval is {short} beyond" if isfinite(missing) else ""
        return f"{told}: perhaps met{wide}; more requests (--requests) tell more surely"
    return f"{told}: missed by {shown(abs(found.value - target.bound), aim.unit)}"


def _target(entry: str) -> Target:
    name, equals, text = entry.partition("=")
    if not equals:
        raise SettingError(f"{entry!r} is not NAME=BOUND, such as success=0.999 or ttft_p99=800ms")
    aim = AIMS.get(name)
    if aim is None:
        hint = did_you_mean(name, AIMS) or f"; known here: {', '.join(AIMS)}"
        raise SettingError(f"there is no target {name!r}{hint}")
    return Target(name=name, bound=_bound(aim, entry, text), written=text.strip())


def _bound(aim: Aim, entry: str, text: str) -> float:
    try:
        bound = parse_duration(text) * 1000.0 if aim.unit == "ms" else parse_number(text)
    except ValueError as error:
        raise SettingError(f"the target {entry!r}: {error}") from None
    if bound <= 0.0:
        raise SettingError(f"the target {entry!r}: no number of requests can show that; write a bound above 0")
    if aim.unit == "share" and bound >= 1.0:
        way = "below 1, such as 0.999" if aim.at_least else "below 1, as a share: 1% or 0.01"
        raise SettingError(f"the target {entry!r}: no number of requests can show that; write a bound {way}")
    return bound
