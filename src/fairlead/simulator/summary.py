"""What a simulation came to: every figure with its 95 % confidence interval, as a tree of values.

It is the `summary` of a run in JSON; tables, plots and pages are made of it. Rates are shares from 0 to 1, latencies
are milliseconds, costs are US dollars per thousand requests. It must not know how any of it is shown.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter

import msgspec

from fairlead.simulator.measures import Batch, Line, Measures, Seen, Tally
from fairlead.simulator.sketch import Sketch, merged
from fairlead.simulator.statistics import Interval, batch_means, jain, share

THOUSAND = 1000.0
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


class Latencies(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds."""

    mean: Interval
    p50: Interval
    p90: Interval
    p95: Interval
    p99: Interval


class Refusals(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one sender that one limit refused, or that ended for another reason before anything was tried."""

    sender: str
    limit: str
    requests: int
    share: float
    """Of the sender's requests."""


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    requests: int
    success_rate: Interval
    refusal_rate: Interval
    tokens_per_request: float
    """Of prompt and answer, over all requests that were answered."""
    cost_per_1000: Interval


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A quantity by time: one value per `width` seconds, from instant 0 on."""

    width: float
    values: list[float]


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What one deployment saw."""

    name: str
    attempts: int
    attempts_per_request: float
    answered: int
    failures: dict[str, int]
    """By the kind of failure (docs/errors.md)."""
    share_of_answers: float
    queue_ms: float
    """The mean time in the provider's queue, over all attempts."""
    breaker_openings: int
    resting_share: float
    """Of the time, over all workers: how long the gateway left it alone (cooldown or open breaker)."""
    outages: list[tuple[float, float]]
    """The latest times of trouble at the provider: from and to, in seconds."""
    load: Series
    """Attempts per second."""
    failing: Series
    """The share of attempts that failed."""
    resting: Series
    """The share of the time in which it was left alone."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One simulation."""

    requests: int
    duration: float
    """Simulated seconds."""
    success_rate: Interval
    """Requests that got a whole answer."""
    refusal_rate: Interval
    """Requests that ended before anything was tried."""
    cut_rate: Interval
    """Answers that broke off."""
    retry_rate: Interval
    """Requests with a further attempt on the same deployment."""
    fallback_hit_rate: Interval
    """Requests answered by another deployment than the first choice."""
    attempts_per_request: Interval
    latency_ms: Latencies
    first_token_ms: Latencies
    added_latency_ms: Latencies
    """From a request to the start of the attempt that answered it: what retries and fallbacks cost it."""
    cost_per_1000: Interval
    wasted_per_1000: Interval
    """The part of the cost that bought nothing: failed attempts that may be charged, and answers that broke off."""
    unpriced: list[str]
    """Deployments that no price is known of; they count as free."""
    fairness: float
    """Jain's index over the senders' success rates."""
    senders: list[Sender]
    refusals: list[Refusals]
    deployments: list[Deployment]
    arrivals: Series
    """Requests per second."""
    lost: Series
    """The share of requests that got no whole answer."""
    batches: dict[str, list[float | None]] = {}
    """What the main figures are in each batch of requests, in order, by their place in this tree (`latency_ms.p99`).
    Two simulations of the same requests are compared batch by batch.
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
FIGURES = (*SHARES, *MEANS, *(f"{name}.{part}" for name in LATENCIES for part in ("mean", *QUANTILES)))
"""The figures that have an interval, by their place in the tree."""


def figure(told: Summary, name: str) -> Interval:
    """One of FIGURES."""
    return attrgetter(name)(told)  # type: ignore[no-any-return]


def summary(
    measures: Measures, *, workers: int, unpriced: Sequence[str], outages: dict[str, list[tuple[float, float]]]
) -> Summary:
    """What was measured, told. `outages` are by deployment."""
    batches = [_all(batch) for batch in measures.batches]
    total = _sum(batches)
    count = max(total.requests, 1)
    names = range(len(measures.senders))
    senders = [_sender(measures, number) for number in names]

    def rate(name: str) -> Interval:
        return _share(batches, SHARES[name])

    def mean(name: str) -> Interval:
        amount, factor = MEANS[name]
        means = [amount(batch) / batch.requests for batch in batches if batch.requests]
        return _not_negative(batch_means(amount(total) / count, means).scaled(factor))

    def latencies(name: str) -> Latencies:
        return _latencies([LATENCIES[name](batch) for batch in measures.batches])

    return Summary(
        requests=total.requests,
        duration=measures.until,
        success_rate=rate("success_rate"),
        refusal_rate=rate("refusal_rate"),
        cut_rate=rate("cut_rate"),
        retry_rate=rate("retry_rate"),
        fallback_hit_rate=rate("fallback_hit_rate"),
        attempts_per_request=mean("attempts_per_request"),
        latency_ms=latencies("latency_ms"),
        first_token_ms=latencies("first_token_ms"),
        added_latency_ms=latencies("added_latency_ms"),
        cost_per_1000=mean("cost_per_1000"),
        wasted_per_1000=mean("wasted_per_1000"),
        unpriced=list(unpriced),
        fairness=jain([sender.success_rate.value for sender in senders if sender.requests]),
        senders=senders,
        refusals=_refusals(measures, senders),
        deployments=[
            _deployment(name, seen, measures, total, workers, outages.get(name, []))
            for name, seen in measures.seen.items()
        ],
        arrivals=_per_second(measures.arrived),
        lost=_ratio(measures.lost, measures.arrived),
        batches=_by_batch(measures.batches, batches),
    )


def _by_batch(batches: Sequence[Batch], tallies: Sequence[Tally]) -> dict[str, list[float | None]]:
    """All FIGURES of each batch; None: nothing was counted in it."""
    found: dict[str, list[float | None]] = {}
    for name, hits in SHARES.items():
        found[name] = [hits(one) / one.requests if one.requests else None for one in tallies]
    for name, (amount, factor) in MEANS.items():
        found[name] = [amount(one) / one.requests * factor if one.requests else None for one in tallies]
    for name, sketch_of in LATENCIES.items():
        sketches = [sketch_of(batch) for batch in batches]
        found[f"{name}.mean"] = [one.mean * THOUSAND if one.count else None for one in sketches]
        for part, at in QUANTILES.items():
            found[f"{name}.{part}"] = [one.quantile(at) * THOUSAND if one.count else None for one in sketches]
    return found


def _all(batch: Batch) -> Tally:
    return _sum(batch.senders)


def _sum(tallies: Sequence[Tally]) -> Tally:
    result = Tally()
    for name in Tally.__slots__:
        setattr(result, name, sum(getattr(tally, name) for tally in tallies))
    return result


def _share(tallies: Sequence[Tally], hits: Callable[[Tally], int]) -> Interval:
    total = _sum(tallies)
    return share(hits(total), total.requests, [hits(one) / one.requests for one in tallies if one.requests])


def _latencies(sketches: Sequence[Sketch]) -> Latencies:
    together = merged(sketches)
    filled = [sketch for sketch in sketches if sketch.count]

    def told(figure: Callable[[Sketch], float]) -> Interval:
        return _not_negative(batch_means(figure(together), [figure(sketch) for sketch in filled]).scaled(THOUSAND))

    quantiles = {
        name: told(lambda sketch, at=at: sketch.quantile(at))  # type: ignore[misc]
        for name, at in QUANTILES.items()
    }
    return Latencies(mean=told(lambda sketch: sketch.mean), **quantiles)


def _not_negative(found: Interval) -> Interval:
    """What cannot be less than 0 is not said to be so, however wide its interval."""
    return msgspec.structs.replace(found, low=max(found.low, 0.0))


def _sender(measures: Measures, number: int) -> Sender:
    tallies = [batch.senders[number] for batch in measures.batches]
    total = _sum(tallies)
    costs = [tally.cost / tally.requests for tally in tallies if tally.requests]
    return Sender(
        name=measures.senders[number],
        requests=total.requests,
        success_rate=_share(tallies, lambda tally: tally.answered),
        refusal_rate=_share(tallies, lambda tally: tally.refused),
        tokens_per_request=(total.input + total.output) / max(total.answered, 1),
        cost_per_1000=batch_means(total.cost / max(total.requests, 1), costs).scaled(THOUSAND),
    )


def _refusals(measures: Measures, senders: Sequence[Sender]) -> list[Refusals]:
    asked = {sender.name: sender.requests for sender in senders}
    return [
        Refusals(sender=sender, limit=limit, requests=count, share=count / asked[sender])
        for (sender, limit), count in sorted(measures.refusals.items(), key=lambda item: (-item[1], item[0]))
    ]


def _deployment(
    name: str, seen: Seen, measures: Measures, total: Tally, workers: int, outages: list[tuple[float, float]]
) -> Deployment:
    answered = sum(one.answered for one in measures.seen.values())
    resting = [min(value / (seen.resting.width * workers), 1.0) for value in seen.resting.bins]
    lasting = measures.until * workers
    return Deployment(
        name=name,
        attempts=seen.attempts,
        attempts_per_request=seen.attempts / max(total.requests, 1),
        answered=seen.answered,
        failures=dict(sorted(seen.failures.items())),
        share_of_answers=seen.answered / max(answered, 1),
        queue_ms=seen.waited.total / max(seen.attempts, 1) * THOUSAND,
        breaker_openings=seen.openings,
        resting_share=min(sum(seen.resting.bins) / lasting, 1.0) if lasting else 0.0,
        outages=outages,
        load=_per_second(seen.load),
        failing=_ratio(seen.trouble, seen.load),
        resting=Series(width=seen.resting.width, values=resting),
    )


def _per_second(line: Line) -> Series:
    return Series(width=line.width, values=[value / line.width for value in line.bins])


def _ratio(part: Line, whole: Line) -> Series:
    """Bin by bin; both begin with one width, so the narrower is widened to the other's."""
    part, whole = part.as_wide_as(whole), whole.as_wide_as(part)
    values = [
        (part.bins[index] if index < len(part.bins) else 0.0) / value if value else 0.0
        for index, value in enumerate(whole.bins)
    ]
    return Series(width=whole.width, values=[min(value, 1.0) for value in values])
