"""What a journal tells of providers: what every attempt came to, when, and how long it took.

Pure: records come in one by one, and what is kept of them is bounded. It must not know files, nor what is made of this.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from random import Random

import msgspec

from fairlead.canonical.routing import AttemptRecord, RequestRecord
from fairlead.simulator.chance import Distribution, empirical
from fairlead.simulator.faults import Fault

KEPT = 1 << 17
"""Attempts of a deployment that are remembered; of more it is a fair sample."""
UNTOLD = frozenset({"client_gone", "limited"})
"""Outcomes that tell nothing of a provider: nobody waited for it, or a limit of ours kept the attempt from it."""
TOKENS_BEFORE = 33
"""Of an answer that came in one piece nobody knows when its first token was there. It is taken to have needed as long
as so many further ones, which is how a hosted provider is assumed to be (0.4 s, and 12 ms a token).
"""


class Tried(msgspec.Struct, frozen=True, gc=False):
    """What one attempt came to. Times in seconds."""

    at: float
    """Unix seconds. The first attempt of a request counts as begun when the request came."""
    first: float
    """To the first token of the answer, or to the failure."""
    per_token: float | None = None
    """None: the answer had no second token, or nobody waited for it."""
    fault: Fault | None = None
    broke_after: int = 0
    """Tokens after which the answer broke; 0: it did not."""


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """How long a deployment took, as measured; None: never."""

    first_token: Distribution | None
    per_token: Distribution | None
    refusal: Distribution | None


class History:
    """What the attempts on one deployment came to."""

    def __init__(self, name: str) -> None:
        self.count = 0
        self._kept: list[Tried] = []
        self._rng = Random(name)

    def note(self, tried: Tried) -> None:
        """Keeps it, or not: J. S. Vitter, "Random sampling with a reservoir" (algorithm R), 1985."""
        self.count += 1
        if len(self._kept) < KEPT:
            self._kept.append(tried)
        elif (place := self._rng.randrange(self.count)) < KEPT:
            self._kept[place] = tried

    @property
    def is_sample(self) -> bool:
        return self.count > len(self._kept)

    def in_order(self) -> Sequence[Tried]:
        """What is remembered, by time."""
        self._kept.sort(key=attrgetter("at"))
        return self._kept

    def times(self) -> Times:
        answered = [tried for tried in self._kept if tried.fault is None]
        refused = [tried.first for tried in self._kept if tried.fault is not None and tried.fault.stage == "refusal"]
        paces = [tried.per_token for tried in answered if tried.per_token is not None]
        return Times(
            first_token=empirical(tried.first for tried in answered) if answered else None,
            per_token=empirical(paces) if paces else None,
            refusal=empirical(refused) if refused else None,
        )


def tried(record: RequestRecord) -> Iterator[tuple[str, Tried]]:
    """Each attempt of a request that tells something of its provider, with its deployment."""
    for attempt in record.attempts:
        at = record.at + attempt.started_at - record.attempts[0].started_at
        if attempt.outcome == "answered":
            yield attempt.deployment, _answered(record, attempt, at)
        elif attempt.outcome not in UNTOLD:
            yield attempt.deployment, Tried(at, attempt.duration, fault=_fault(attempt))


def _answered(record: RequestRecord, attempt: AttemptRecord, at: float) -> Tried:
    """A record's answer is its last attempt's. Its length is known once it is over, or broke."""
    tokens = record.usage.output if record.usage is not None and record.ended in {"finished", "cut"} else 0
    further = max(tokens - 1, 0)
    if not record.stream:
        first = attempt.duration * TOKENS_BEFORE / (TOKENS_BEFORE + further)
        return Tried(at, first, (attempt.duration - first) / further if further else None)
    rest = 0.0 if record.first_token is None else max(record.duration - record.first_token, 0.0)
    broke_after = max(tokens, 1) if record.ended == "cut" else 0
    return Tried(at, attempt.duration, rest / further if further else None, broke_after=broke_after)


def _fault(attempt: AttemptRecord) -> Fault:
    return _known(attempt.outcome, attempt.status, attempt.retry_after)


@lru_cache(maxsize=4096)
def _known(kind: str, status: int | None, retry_after: float | None) -> Fault:
    """One value for all that are alike. Silence lasts for as long as somebody waits, so it has no time of its own."""
    return Fault(stage="silence" if kind == "timeout" else "refusal", kind=kind, status=status, retry_after=retry_after)
