"""What a simulation came to: every figure with its 95 % confidence interval, as a tree of values.

It is the `summary` of a run in JSON; tables, plots and pages are made of it. Rates are shares from 0 to 1, latencies
are milliseconds, costs are US dollars per thousand requests. It must not know how any of it is found out
(`summarize`), nor how it is shown.
"""

from collections.abc import Iterator
from operator import attrgetter

import msgspec

from fairlead.simulator.statistics import Interval

ENOUGH_OUTAGES = 10.0
"""Cycles of outages that there must be at the least for an interval of anything but a share."""
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
    share: Interval
    """Of the sender's requests."""


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    requests: int
    success_rate: Interval
    refusal_rate: Interval
    tokens_per_request: Interval
    """Of prompt and answer, over all requests that were answered."""
    cost_per_1000: Interval


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A quantity by time: one value per `width` seconds, from instant 0 on."""

    width: float
    values: list[float]


class Outages(msgspec.Struct, frozen=True, kw_only=True):
    """The outages that a scenario has together in one entry of its `outages`."""

    of: list[str]
    """Whom they strike."""
    expected: float
    """How many cycles, from one to the next, the simulated time has in the mean."""
    seen: int
    lasting: float
    """Seconds of all that were seen."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What one deployment saw."""

    name: str
    attempts: int
    """Those that reached it."""
    attempts_per_request: Interval
    """Over all requests, whoever they were for."""
    answered: int
    """Attempts that got an answer, whole or not."""
    limited: int
    """Further attempts, which a limit of our own on the deployment stopped: it never heard of them."""
    failures: dict[str, int]
    """By the kind of failure (docs/errors.md)."""
    failure_rate: Interval
    """The share of its attempts that failed."""
    share_of_answers: Interval
    queue_ms: Interval
    """The mean time in the provider's queue, over all attempts."""
    queued_share: Interval
    """The share of its attempts that waited there."""
    breaker_openings: int
    resting_share: Interval
    """Of the time in which requests came, over all workers: how long the gateway left it alone (cooldown, open breaker
    or a credential that was refused).
    """
    outages: list[tuple[float, float]]
    """The latest times of trouble at the provider: from and to, in seconds."""
    load: Series
    """Attempts per second."""
    failing: Series
    """The share of attempts that failed."""
    resting: Series
    """The share of the time in which it was left alone, over all workers: for a cooldown, an open breaker, or a
    credential that was refused.
    """
    open: Series
    """The share of the time in which its breaker was open."""
    half_open: Series
    """The share of the time in which its breaker was half open, so that it got no more than a few probes."""
    broken: int = 0
    """Answers that broke off; where nobody had seen anything of one yet, the attempt has failed instead."""


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
    """Deployments that served and no price is known of, by the name of the model that served; they count as free."""
    fairness: Interval
    """Jain's index over the senders' success rates."""
    senders: list[Sender]
    refusals: list[Refusals]
    deployments: list[Deployment]
    arrivals: Series
    """Requests per second."""
    lost: Series
    """The share of requests that got no whole answer."""
    outages: list[Outages] = []
    """As the scenario has them, in its order."""
    batches: dict[str, list[float | None]] = {}
    """What FIGURES are in each batch of requests, in order, by their place in this tree (`latency_ms.p99`).
    Two simulations of the same requests are compared batch by batch.
    """


def _places() -> Iterator[str]:
    for field in msgspec.structs.fields(Summary):
        if field.type is Interval:
            yield field.name
        if field.type is Latencies:
            yield from (f"{field.name}.{part.name}" for part in msgspec.structs.fields(Latencies))


FIGURES = tuple(_places())
"""The figures of a whole simulation, by their place in the tree; each has an interval."""


def figure(told: Summary, name: str) -> Interval:
    """One of FIGURES."""
    return attrgetter(name)(told)  # type: ignore[no-any-return]
