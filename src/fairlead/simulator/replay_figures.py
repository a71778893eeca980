"""What another configuration changes for traffic that was recorded: figures side by side. Values only.

The tree is `replay` in the JSON of `fairlead replay --json`. Costs are US dollars, latencies milliseconds. It
must not know how a figure is found, nor how it is shown.
"""

import msgspec


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds."""

    p50: float
    p95: float
    p99: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What the requests came to."""

    requests: int
    answered: int
    """Whole answers that their client has got."""
    cut: int
    """Answers that broke off."""
    left: int
    """Clients that did not wait for the end. In a replay nobody leaves."""
    failed: int
    refused: int
    """Requests that ended before anything was tried, for a limit or a row of CODES."""
    retried: int
    """Requests with a further attempt on the same deployment."""
    fallbacks: int
    """Requests answered by another deployment than the first choice."""
    attempts: int
    cost: float
    wasted: float
    """The part of the cost that bought nothing: failed attempts that may be charged, and answers that broke off."""
    latency_ms: Percentiles
    """From a request to the end of its answer."""
    first_token_ms: Percentiles


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """A number of requests: as recorded, and under each configuration. `old` None: there is none to compare with."""

    recorded: int
    old: int | None
    new: int


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """Whole answers: whose requests, for what, were answered by which deployment."""

    sender: str
    asked: str
    deployment: str
    answers: Count


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one sender that a limit refused, in words, or a row of CODES."""

    sender: str
    why: str
    requests: Count


class Verdicts(msgspec.Struct, frozen=True, kw_only=True):
    """What a guardrail said of requests, as recorded."""

    guardrail: str
    stage: str
    action: str
    requests: int


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """One journal, as recorded and replayed."""

    begins: float
    """Unix seconds, when the first request came; `ends`, the last."""
    ends: float
    assumed: list[str]
    """What was assumed because the journal does not tell it, in sentences."""
    left_out: dict[str, int]
    """Requests that no configuration would have served, by why; they are in no figure."""
    unpriced: list[str]
    """What served under the new configuration and no price is known of; it counts as free."""
    recorded: Figures
    old: Figures | None
    new: Figures
    change: dict[str, float]
    """Of each figure that is one number: the new one less the old one, or less the recorded one."""
    deployments: dict[str, Count]
    """Whole answers by deployment."""
    models: dict[str, Count]
    """Whole answers by the model that gave them."""
    served: list[Served]
    refusals: list[Refused]
    verdicts: list[Verdicts]
