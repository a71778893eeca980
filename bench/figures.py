"""From samples to figures, and from figures to verdicts: medians, ratios, and the targets with met or missed.

Pure: no process, no file, no clock.
"""

from statistics import median
from typing import Literal

import msgspec

from bench.load import Sample

Rounds = dict[str, list[Sample]]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One target of one load: medians over the rounds."""

    who: str
    rate: float
    """Units per second."""
    cost_us: float | None
    beside_us: float | None
    cost_range: tuple[float, float] | None
    ratio: float | None
    """Cost over nginx's of the same round: the median of the rounds."""
    p50_ms: float
    p99_ms: float
    extra: dict[str, float] = {}


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """One target: the figure, the bound, and the verdict.

    `noise`: the bound is missed, but nginx misses it as well in the same run, so the machine was not quiet enough.
    """

    name: str
    value: float
    bound: float
    unit: str
    verdict: Literal["met", "missed", "noise"]


def lines(rounds: Rounds, *, first: str = "", against: str = "nginx") -> list[Line]:
    """One line per target. `first` names the latency that is shown: `ttft_` or `gap_` of streams."""
    return [_line(who, samples, rounds.get(against, []), first) for who, samples in rounds.items()]


def ratio(samples: list[Sample], base: list[Sample]) -> float | None:
    """The median, over the rounds, of the cost against the other's of the same round."""
    pairs = [
        ours.cost_us / theirs.cost_us
        for ours, theirs in zip(samples, base, strict=False)
        if ours.cost_us and theirs.cost_us
    ]
    return median(pairs) if pairs else None


def added(samples: list[Sample], base: list[Sample], name: str) -> float:
    """The median, over the rounds, of how much more of `name` was seen than by the other."""
    return median(float(a.seen[name]) - float(b.seen[name]) for a, b in zip(samples, base, strict=True))


def at_most(name: str, value: float, bound: float, unit: str, control: float = 0.0) -> Goal:
    """A figure that must not pass its bound; `control` is nginx's own, where it has one."""
    missed: Literal["missed", "noise"] = "noise" if control > bound else "missed"
    return Goal(name=name, value=value, bound=bound, unit=unit, verdict="met" if value <= bound else missed)


def answer_goals(chats: dict[str, Rounds], subject: str) -> list[Goal]:
    """Whole answers: cost against nginx, throughput, and what a long prompt adds."""
    small, large = chats["chat 1 kB"], chats["chat 20 kB"]
    ours, theirs = (median(s.units / s.seconds for s in small[who]) for who in (subject, "nginx"))
    floor = 6000 * min(1.0, theirs / 18000)
    return [
        at_most("CPU per request, 1 kB, against nginx", ratio(small[subject], small["nginx"]) or 0, 4, "x"),
        Goal(
            name="requests/s on one core, 64 connections",
            value=ours,
            bound=floor,
            unit="/s",
            verdict="met" if ours >= floor else "missed",
        ),
        at_most("CPU of a 20 kB prompt against 1 kB", ratio(large[subject], small[subject]) or 0, 2, "x"),
    ]


def stream_goals(paced: Rounds, first: Rounds, translated: Rounds, subject: str) -> list[Goal]:
    goals = [
        at_most("CPU per chunk, same dialect, against nginx", ratio(paced[subject], paced["nginx"]) or 0, 2, "x"),
        at_most(
            "added time to first text, p99, one connection",
            _added_first(first, subject),
            1,
            "ms",
            control=_added_first(first, "nginx"),
        ),
        at_most("stalls over 50 ms beyond direct", _stalls(paced, subject), 0, "", control=_stalls(paced, "nginx")),
    ]
    if "translated" in translated:
        cost = ratio(translated["translated"], translated["paced"]) or 0
        goals.append(at_most("CPU per chunk, translated, against same dialect", cost, 4, "x"))
    return goals


def _stalls(rounds: Rounds, who: str) -> int:
    """Stalls beyond those which the provider itself showed."""
    seen = {name: sum(int(sample.seen["stalls"]) for sample in rounds[name]) for name in (who, "direct")}
    return max(0, seen[who] - seen["direct"])


def _added_first(first: Rounds, subject: str) -> float:
    return added(first[subject], first["direct"], "ttft_p99_ms")


def _line(who: str, samples: list[Sample], base: list[Sample], first: str) -> Line:
    costs = [sample.cost_us for sample in samples if sample.cost_us is not None]
    beside = [sample.beside_us for sample in samples if sample.beside_us is not None]
    names = ("stalls", "gap_max_ms", "gap_p99_ms")
    return Line(
        who=who,
        rate=median(sample.units / sample.seconds for sample in samples),
        cost_us=median(costs) if costs else None,
        beside_us=median(beside) if beside else None,
        cost_range=(min(costs), max(costs)) if costs else None,
        ratio=ratio(samples, base),
        p50_ms=median(float(sample.seen[f"{first}p50_ms"]) for sample in samples),
        p99_ms=median(float(sample.seen[f"{first}p99_ms"]) for sample in samples),
        extra={n: max(float(s.seen[n]) for s in samples) for n in names if n in samples[0].seen},
    )
