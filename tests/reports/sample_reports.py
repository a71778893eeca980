"""Reports for tests of how they are shown: small, made by hand, every figure known."""

from math import inf
from typing import Any

import msgspec

from fairlead.simulator.replay_figures import Count, Figures, Percentiles, Replay, Served, Verdicts
from fairlead.simulator.report import Comparison, Curve, Difference, Judged, Origin, Point, Report, Run, Suggestion
from fairlead.simulator.statistics import Interval
from fairlead.simulator.summary import FIGURES, Deployment, Latencies, Refusals, Sender, Series, Summary

NASTY = "</script><script>alert(1)</script>&amp;\x1b[31m\"'"
"""What a name may try: to end a script, to be HTML, to steer a terminal."""
UNKNOWN = Interval(0.0, -inf, inf)


def about(value: float, half: float = 0.0) -> Interval:
    return Interval(value, value - half, value + half)


def latencies(p50: float, half: float = 1.0) -> Latencies:
    return Latencies(
        mean=about(p50 * 1.2, half),
        p50=about(p50, half),
        p90=about(p50 * 2, half),
        p95=about(p50 * 3, half),
        p99=about(p50 * 5, half),
    )


def deployment(name: str, **changes: Any) -> Deployment:
    made = Deployment(
        name=name,
        attempts=100,
        attempts_per_request=about(1.0),
        answered=100,
        limited=0,
        failures={},
        failure_rate=about(0.0),
        share_of_answers=about(0.5),
        queue_ms=about(0.0),
        queued_share=about(0.0),
        breaker_openings=0,
        resting_share=about(0.0),
        outages=[],
        load=Series(width=1.0, values=[10.0] * 10),
        failing=Series(width=1.0, values=[0.0] * 10),
        resting=Series(width=1.0, values=[]),
        open=Series(width=1.0, values=[]),
        half_open=Series(width=1.0, values=[]),
    )
    return msgspec.structs.replace(made, **changes)


def sender(name: str, refused: float = 0.0) -> Sender:
    return Sender(
        name=name,
        requests=100,
        success_rate=about(1 - refused, 0.001),
        refusal_rate=about(refused, 0.001),
        tokens_per_request=about(800.0),
        cost_per_1000=about(2.0, 0.1),
    )


TROUBLED = deployment(
    "openai/gpt-4o",
    failures={"rate_limited": 15, "timeout": 5},
    breaker_openings=2,
    failure_rate=about(0.2),
    resting_share=about(0.25),
    outages=[(2.0, 4.0)],
    failing=Series(width=1.0, values=[0.0, 0.0, 1.0, 1.0, 0.0]),
    resting=Series(width=1.0, values=[0.0, 0.0, 0.5, 1.0, 0.5]),
)
SENDERS = [sender("everyone")]


def summary(**changes: Any) -> Summary:
    made = Summary(
        requests=1000,
        duration=10.0,
        success_rate=about(0.99, 0.002),
        refusal_rate=about(0.0),
        cut_rate=about(0.0),
        retry_rate=about(0.05, 0.01),
        fallback_hit_rate=about(0.2, 0.02),
        attempts_per_request=about(1.1, 0.01),
        latency_ms=latencies(1000.0),
        first_token_ms=latencies(300.0),
        added_latency_ms=latencies(20.0),
        cost_per_1000=about(2.0, 0.1),
        wasted_per_1000=about(0.0),
        unpriced=[],
        fairness=about(1.0),
        senders=SENDERS,
        refusals=[],
        deployments=[TROUBLED, deployment("anthropic/claude")],
        arrivals=Series(width=1.0, values=[20.0] * 10),
        lost=Series(width=1.0, values=[0.0] * 10),
    )
    return msgspec.structs.replace(made, **changes)


MADE = Origin(
    version="1.2.3",
    made="2027-01-31T12:00:00Z",
    command="fairlead simulate --config one.yaml --faults 'openai:error=0.05' --requests 1000 --seed 7",
    requests=1000,
    seed=7,
)


def report(*runs: Run, **changes: Any) -> Report:
    made = Report(title="A title", origin=MADE, assumed=["Something was assumed."], runs=list(runs))
    return msgspec.structs.replace(made, **changes)


ONE = report(Run(name="one.yaml", summary=summary()))
TWO = report(
    Run(name="one.yaml", summary=summary()),
    Run(name="two.yaml", summary=summary(success_rate=about(0.95, 0.002), retry_rate=about(0.052, 0.01))),
)
REFUSED = report(
    Run(
        name="limits.yaml",
        summary=summary(
            fairness=about(0.9),
            senders=[sender("acme", 0.5), sender("beta")],
            refusals=[Refusals(sender="acme", limit="60 requests per 1m", requests=50, share=about(0.5))],
        ),
    )
)
NOTHING_ANSWERED = report(
    Run(
        name="dead.yaml",
        summary=summary(
            success_rate=Interval(0.0, 0.0, 0.05),
            latency_ms=Latencies(mean=UNKNOWN, p50=UNKNOWN, p90=UNKNOWN, p95=UNKNOWN, p99=UNKNOWN),
        ),
    )
)
SWEEP = report(
    curves=[
        Curve(
            name=name,
            setting="openai.error",
            points=[
                Point(value=rate, summary=summary(success_rate=about(1 - rate * times, 0.01)))
                for rate in (0.0, 0.1, 0.2)
            ],
        )
        for name, times in (("one.yaml", 0.5), ("two.yaml", 1.0))
    ]
)
BY_DURATION = report(
    curves=[Curve(name="one.yaml", setting="chat:cooldown.for", unit="s", points=[Point(value=5.0, summary=summary())])]
)
CHEAPER = [
    Difference(
        figure="cost_per_1000", before=about(2.0), after=about(1.5), difference=about(-0.5, 0.1), beyond_chance=True
    ),
    Difference(
        figure="success_rate", before=about(0.99), after=about(0.95), difference=about(-0.04, 0.1), beyond_chance=False
    ),
    Difference(
        figure="retry_rate", before=about(0.05), after=about(0.052), difference=about(0.002, 0.001), beyond_chance=True
    ),
]
COMPARED = msgspec.structs.replace(
    TWO, comparisons=[Comparison(before="one.yaml", after="two.yaml", differences=CHEAPER)]
)
MISSED = Judged(
    target="success=0.999",
    figure=about(0.95),
    met=False,
    missing=0.049,
    told="the success rate is 0.95: missed by 0.049",
)
CLOSEST = Suggestion(
    reached=False,
    changes={"chat:retry.attempts": "2"},
    lines=["routes:", "  - model: chat", "    retry: {attempts: 2}"],
    before=summary(batches={name: [0.05, 0.06] for name in FIGURES}),
    after=summary(batches={name: [0.5, 0.51] for name in FIGURES}, retry_rate=about(0.5, 0.01)),
    targets_before=[],
    targets_after=[MISSED],
    settings=40,
    told=["none of the 40 settings meets it; this comes closest:"],
)
SUGGESTED = report(suggestion=CLOSEST, targets=[MISSED])
HOSTILE = report(
    Run(
        name=NASTY,
        summary=summary(
            senders=[sender(NASTY, 0.5), sender("beta")],
            refusals=[Refusals(sender=NASTY, limit=NASTY, requests=50, share=about(0.5))],
            deployments=[msgspec.structs.replace(TROUBLED, name=NASTY)],
            unpriced=[NASTY],
        ),
    ),
    title=NASTY,
    origin=msgspec.structs.replace(MADE, command=NASTY),
    assumed=[NASTY],
    targets=[msgspec.structs.replace(MISSED, told=NASTY)],
    suggestion=msgspec.structs.replace(CLOSEST, lines=[NASTY], told=[NASTY]),
    curves=[Curve(name=NASTY, setting=NASTY, points=[Point(value=0.0, summary=summary())])],
)
FIGURES_THEN = Figures(
    requests=600, answered=598, cut=1, left=0, failed=1, refused=0, retried=40, fallbacks=70, attempts=660, cost=0.5,
    wasted=0.0, latency_ms=Percentiles(p50=1000.0, p95=2000.0, p99=3000.0),
    first_token_ms=Percentiles(p50=300.0, p95=500.0, p99=800.0),
)  # fmt: skip
REPLAYED = report(
    Run(name="old.yaml", summary=summary()),
    Run(name="new.yaml", summary=summary(success_rate=about(0.95, 0.002))),
    replay=Replay(
        begins=1_790_000_000.0,
        ends=1_790_000_100.0,
        assumed=[],
        left_out={"invalid_api_key": 3},
        unpriced=["b/two"],
        recorded=FIGURES_THEN,
        old=msgspec.structs.replace(FIGURES_THEN, failed=2),
        new=msgspec.structs.replace(FIGURES_THEN, failed=32),
        change={"failed": 30},
        deployments={"a/one": Count(recorded=500, old=500, new=490), "b/two": Count(recorded=98, old=98, new=78)},
        models={"one": Count(recorded=500, old=500, new=490)},
        served=[
            Served(sender="ci", asked="chat", deployment="a/one", answers=Count(recorded=500, old=500, new=490)),
        ],
        refusals=[],
        verdicts=[Verdicts(guardrail="pii", stage="input", action="redact", requests=2)],
    ),
)
EMPTY = report(assumed=[])
