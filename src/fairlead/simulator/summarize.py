"""From what was counted to the figures of a summary, each with how sure it is.

Every figure is found for all requests together and for each batch of them. It must not know how anything was counted,
nor how a figure is shown.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from fairlead.simulator.measures import Batch, Line, Measures, Tally, Tried, total
from fairlead.simulator.outages import Strike
from fairlead.simulator.sketch import Sketch, merged
from fairlead.simulator.statistics import Interval, batch_means, jain, share
from fairlead.simulator.summary import (
    ENOUGH_OUTAGES,
    QUANTILES,
    Deployment,
    Latencies,
    Outages,
    Refusals,
    Sender,
    Series,
    Summary,
)

THOUSAND = 1000.0
DIGITS = 6
"""Of a latency in milliseconds: what is beyond them is the arithmetic's own error."""
ByBatch = dict[str, list[float | None]]
"""FIGURES of each batch."""
CYCLES = ENOUGH_OUTAGES / 2
"""Of outages that a batch must have, so that batches are all but independent of each other, and alike enough for
Student's t (tests/simulator/test_outages.py).
"""
SHARES: dict[str, Callable[[Tally], int]] = {
    "success_rate": lambda tally: tally.answered,
    "refusal_rate": lambda tally: tally.refused,
    "cut_rate": lambda tally: tally.cut,
    "retry_rate": lambda tally: tally.retried,
    "fallback_hit_rate": lambda tally: tally.fallbacks,
}
"""The requests that count in a share of all."""
MEANS: dict[str, tuple[Callable[[Tally], float], float]] = {
    "attempts_per_request": (lambda tally: tally.attempts, 1.0),
    "cost_per_1000": (lambda tally: tally.cost, THOUSAND),
    "wasted_per_1000": (lambda tally: tally.wasted, THOUSAND),
}
"""Amounts per request, and the factor with which they are told."""
LATENCIES: dict[str, Callable[[Batch], Sketch]] = {
    "latency_ms": lambda batch: batch.latency,
    "first_token_ms": lambda batch: batch.first_token,
    "added_latency_ms": lambda batch: batch.added,
}


def summary(measures: Measures, *, workers: int, strikes: Sequence[Strike] = ()) -> Summary:
    """What was measured, told. `strikes` are the outages, before they have begun."""
    spells = [one.trouble.spells for one in strikes]
    measures = measures.in_batches(min((measures.came / one.cycle for one in spells), default=inf) / CYCLES)
    # As many instants of a two-state process say as much of its share as all of a time of twice its memory each.
    independent = min((measures.came / (2 * one.memory) for one in spells), default=inf)
    tallies = [total(batch.senders) for batch in measures.batches]
    by_batch = _by_batch(measures.batches, tallies)
    fairness = _mean(_fairness(_by_sender(measures)), by_batch["fairness"])
    return Summary(
        **_figures(measures.batches, tallies, by_batch, independent),
        requests=total(tallies).requests,
        duration=measures.until,
        outages=[_outages(one, measures.until) for one in strikes],
        unpriced=sorted(measures.unpriced),
        fairness=fairness.within(1 / max(len(measures.senders), 1), 1.0),
        senders=[_sender(measures, number, independent) for number in range(len(measures.senders))],
        refusals=_refusals(measures, independent),
        deployments=[
            _deployment(measures, name, workers=workers, strikes=strikes, independent=independent)
            for name in measures.seen
        ],
        arrivals=_per_second(measures.arrived),
        lost=_ratio(measures.lost, measures.arrived),
        batches=by_batch,
    )


def _figures(
    batches: Sequence[Batch], tallies: Sequence[Tally], by_batch: ByBatch, independent: float
) -> dict[str, Any]:
    """Of all requests, whatever SHARES, MEANS and LATENCIES have, by its name."""
    together = total(tallies)
    requests = max(together.requests, 1)
    shares = {name: _share(tallies, hits, independent) for name, hits in SHARES.items()}
    means = {
        name: _mean(amount(together) / requests * factor, by_batch[name]) for name, (amount, factor) in MEANS.items()
    }
    latencies = {name: _latencies([sketch_of(batch) for batch in batches]) for name, sketch_of in LATENCIES.items()}
    return {**shares, **means, **latencies}


def _outages(strike: Strike, until: float) -> Outages:
    spells = strike.trouble.spells
    seen, lasting = spells.seen(until)
    return Outages(of=list(strike.of), expected=until / spells.cycle, seen=seen, lasting=lasting)


def _by_batch(batches: Sequence[Batch], tallies: Sequence[Tally]) -> ByBatch:
    """All FIGURES of each batch; None: nothing was counted in it."""
    found: ByBatch = {}
    for name, hits in SHARES.items():
        found[name] = [hits(one) / one.requests if one.requests else None for one in tallies]
    for name, (amount, factor) in MEANS.items():
        found[name] = [amount(one) / one.requests * factor if one.requests else None for one in tallies]
    for name, sketch_of in LATENCIES.items():
        sketches = [sketch_of(batch) for batch in batches]
        found[f"{name}.mean"] = [one.mean * THOUSAND if one.count else None for one in sketches]
        for part, at in QUANTILES.items():
            found[f"{name}.{part}"] = [one.quantile(at) * THOUSAND if one.count else None for one in sketches]
    found["fairness"] = [
        _fairness(batch.senders) if one.requests else None for batch, one in zip(batches, tallies, strict=True)
    ]
    return found


def _mean(value: float, batches: Sequence[float | None]) -> Interval:
    """An amount that is not negative, with what it is in each batch."""
    return batch_means(value, [one for one in batches if one is not None]).within(0.0)


def _share(tallies: Sequence[Tally], hits: Callable[[Tally], int], independent: float) -> Interval:
    return _share_of([(hits(one), one.requests) for one in tallies], independent)


def _latencies(sketches: Sequence[Sketch]) -> Latencies:
    together = merged(sketches)
    filled = [sketch for sketch in sketches if sketch.count]

    def quantile(at: float) -> Interval:
        value = together.quantile(at)
        found = batch_means(value, [sketch.quantile(at) for sketch in filled])
        low, high = together.around(value)
        return _milliseconds(Interval(value, found.low - (value - low), found.high + (high - value)))

    quantiles = {name: quantile(at) for name, at in QUANTILES.items()}
    return Latencies(mean=_milliseconds(batch_means(together.mean, [sketch.mean for sketch in filled])), **quantiles)


def _milliseconds(seconds: Interval) -> Interval:
    told = seconds.scaled(THOUSAND).within(0.0)
    return Interval(round(told.value, DIGITS), round(told.low, DIGITS), round(told.high, DIGITS))


def _by_sender(measures: Measures) -> list[Tally]:
    return [total([batch.senders[number] for batch in measures.batches]) for number in range(len(measures.senders))]


def _fairness(senders: Sequence[Tally]) -> float:
    """Among those who asked for anything."""
    return jain([one.answered / one.requests for one in senders if one.requests])


def _sender(measures: Measures, number: int, independent: float) -> Sender:
    tallies = [batch.senders[number] for batch in measures.batches]
    together = total(tallies)
    tokens = [(one.input + one.output) / one.answered if one.answered else None for one in tallies]
    costs = [one.cost / one.requests * THOUSAND if one.requests else None for one in tallies]
    return Sender(
        name=measures.senders[number],
        requests=together.requests,
        success_rate=_share(tallies, lambda tally: tally.answered, independent),
        refusal_rate=_share(tallies, lambda tally: tally.refused, independent),
        tokens_per_request=_mean((together.input + together.output) / max(together.answered, 1), tokens),
        cost_per_1000=_mean(together.cost / max(together.requests, 1) * THOUSAND, costs),
    )


def _refusals(measures: Measures, independent: float) -> list[Refusals]:
    """The most frequent first."""
    why = sorted({place for batch in measures.batches for place in batch.refusals})
    found = [_refused(measures, number, limit, independent) for number, limit in why]
    return sorted(found, key=lambda one: (-one.requests, one.sender, one.limit))


def _refused(measures: Measures, number: int, limit: str, independent: float) -> Refusals:
    pairs = [(batch.refusals[number, limit], batch.senders[number].requests) for batch in measures.batches]
    return Refusals(
        sender=measures.senders[number],
        limit=limit,
        requests=sum(hits for hits, _ in pairs),
        share=_share_of(pairs, independent),
    )


def _share_of(pairs: Sequence[tuple[int, int]], independent: float) -> Interval:
    """The share of hits, from those and the count of each batch."""
    hits, count = sum(hits for hits, _ in pairs), sum(count for _, count in pairs)
    return share(hits, count, [hits / count for hits, count in pairs if count], independent)


def _deployment(
    measures: Measures, name: str, *, workers: int, strikes: Sequence[Strike], independent: float
) -> Deployment:
    seen = measures.seen[name]
    tried = [batch.tried[name] for batch in measures.batches]
    asked = [sum(tally.requests for tally in batch.senders) for batch in measures.batches]
    answered = [sum(one.answered for one in batch.tried.values()) for batch in measures.batches]
    attempts = sum(one.attempts for one in tried)

    def of_attempts(hits: Callable[[Tried], int]) -> Interval:
        return _share_of([(hits(one), one.attempts) for one in tried], independent)

    def mean(amounts: Sequence[float], counts: Sequence[int]) -> Interval:
        by_batch = [amount / count if count else None for amount, count in zip(amounts, counts, strict=True)]
        return _mean(sum(amounts) / max(sum(counts), 1), by_batch)

    def over_time(line: Line) -> Series:
        return Series(width=line.width, values=[min(value / (line.width * workers), 1.0) for value in line.bins])

    return Deployment(
        name=name,
        attempts=attempts,
        attempts_per_request=mean([one.attempts for one in tried], asked),
        answered=sum(one.answered for one in tried),
        broken=sum(one.broken for one in tried),
        limited=sum(one.limited for one in tried),
        failures=dict(sorted(seen.failures.items())),
        failure_rate=of_attempts(lambda one: one.attempts - one.answered),
        share_of_answers=_share_of(
            [(one.answered, count) for one, count in zip(tried, answered, strict=True)], independent
        ),
        queue_ms=mean([one.waited * THOUSAND for one in tried], [one.attempts for one in tried]),
        queued_share=of_attempts(lambda one: one.queued),
        breaker_openings=seen.openings,
        resting_share=_share_of_time(seen.resting, measures.came, workers, parts=len(measures.batches)),
        outages=sorted(span for one in strikes if name in one.hit for span in one.trouble.spells.known(measures.until)),
        load=_per_second(seen.load),
        failing=_ratio(seen.trouble, seen.load),
        resting=over_time(seen.resting),
        open=over_time(seen.open),
        half_open=over_time(seen.half_open),
    )


def _share_of_time(line: Line, until: float, workers: int, *, parts: int) -> Interval:
    """What a line of seconds is of the time in which requests came, as far as whole bins have it: what rests when
    nobody comes any more rests from nothing. Its batches are equal parts of that.
    """
    whole = max(int(until / line.width), 1)
    bins = [*line.bins, *[0.0] * (whole - len(line.bins))][:whole]
    size = max(whole // parts, 1)
    batches = [sum(bins[begin : begin + size]) for begin in range(0, whole - size + 1, size)]
    lasting = line.width * workers
    return batch_means(sum(bins) / (whole * lasting), [one / (size * lasting) for one in batches]).within(0.0, 1.0)


def _per_second(line: Line) -> Series:
    return Series(width=line.width, values=[value / line.width for value in line.bins])


def _ratio(part: Line, whole: Line) -> Series:
    """Bin by bin."""
    values = [
        (part.bins[index] if index < len(part.bins) else 0.0) / value if value else 0.0
        for index, value in enumerate(whole.bins)
    ]
    return Series(width=whole.width, values=[min(value, 1.0) for value in values])
