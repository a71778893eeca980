"""Synthetic providers: what an attempt comes to, and when.

One stands for one deployment, with its own times, faults and outages; what it shares with the others of its provider is
in `supply`. It is told of attempts in the order of time. Pure: chance is a passed `random.Random`. It must not know
routes, nor what is tried next.
"""

from collections.abc import Sequence
from math import inf
from random import Random
from typing import Protocol

import msgspec

from fairlead.canonical.routing import Answered, Failed, Outcome, Timeouts
from fairlead.simulator.chance import Distribution, Spells
from fairlead.simulator.faults import Fault, Stage, Struck
from fairlead.simulator.supply import Places, Quota
from fairlead.simulator.traffic import Arrival

OVERLOADED = Fault(kind="overloaded", status=503)


class Played(msgspec.Struct, frozen=True, gc=False):
    """What an attempt comes to. `ends` is the instant at which its answer is over, whole or broken."""

    outcome: Outcome
    ends: float
    part: float = 1.0
    """Which part of the answer came; less than 1: it broke."""
    waited: float = 0.0
    """Seconds in the provider's queue."""

    @property
    def broken(self) -> bool:
        return self.part < 1.0


class Behavior(msgspec.Struct, frozen=True, kw_only=True):
    """How a deployment behaves. Times in seconds."""

    first_token: Distribution
    per_token: Distribution
    refusal: Distribution
    faults: tuple[Struck, ...] = ()


class Trouble(msgspec.Struct, frozen=True):
    """What comes and goes, and whom it meets then; all whom it strikes share one."""

    struck: Struck
    spells: Spells


class Upstream(Protocol):
    """Whatever attempts are made on."""

    troubles: tuple[Trouble, ...]

    def renew(self) -> None:
        """Chance begins anew: whatever has been drawn before, the next attempts find the same."""

    def play(self, request: Arrival, now: float, timeouts: Timeouts, deadline: float) -> Played:
        """One attempt that begins at `now`, no earlier than the last one. Whoever asks gives up as the gateway does."""


class Provider:
    """One synthetic provider, as one of its deployments. Without `quota` and `places` it has room for everything, and
    without `queue` any number may wait for a place.
    """

    def __init__(
        self,
        behavior: Behavior,
        rng: Random,
        troubles: Sequence[Trouble] = (),
        *,
        quota: Quota | None = None,
        places: Places | None = None,
        queue: int | None = None,
    ) -> None:
        self.behavior = behavior
        self.troubles = tuple(troubles)
        self._quota = quota or Quota()
        self._places = places or Places()
        self._queue = queue
        self._seeds = rng
        self._rng, first_token, per_token, refusal = self._chances = [Random() for _ in range(4)]
        self._first_token = behavior.first_token.sampler(first_token)
        self._per_token = behavior.per_token.sampler(per_token)
        self._refusal = behavior.refusal.sampler(refusal)
        self.renew()

    def renew(self) -> None:
        """Chance begins anew."""
        for rng in self._chances:
            rng.seed(self._seeds.getrandbits(64))

    def play(self, request: Arrival, now: float, timeouts: Timeouts, deadline: float) -> Played:
        """One attempt that begins at `now`. Whoever asks gives up as the gateway does."""
        patience = min(now + timeouts.first_token, deadline)
        struck, slower = self._troubled(now) if self.troubles else (None, 1.0)
        if struck is None:
            wait = self._quota.wait(request, now)
            if wait:
                return self._refused(Fault(kind="rate_limited", status=429, retry_after=wait), now, patience)
            if self.behavior.faults:
                struck = _drawn(self.behavior.faults, self._rng)
        if struck is not None:
            if struck.fault.stage == "refusal":
                return self._refused(struck.fault, now, patience)
            return self._answered(
                request, now, patience, deadline, slower=slower * struck.times, stage=struck.fault.stage
            )
        return self._answered(request, now, patience, deadline, slower=slower)

    def _troubled(self, now: float) -> tuple[Struck | None, float]:
        """What strikes an attempt in times of trouble, and how many times slower they make it."""
        struck, slower = None, 1.0
        for trouble in self.troubles:
            if trouble.spells.is_on(now) and self._rng.random() < trouble.struck.rate:
                if trouble.struck.fault.stage == "slowness":
                    slower *= trouble.struck.times
                else:
                    struck = trouble.struck
        return struck, slower

    def _answered(
        self,
        request: Arrival,
        now: float,
        patience: float,
        deadline: float,
        *,
        slower: float,
        stage: Stage | None = None,
    ) -> Played:
        """An answer, or one that breaks; after silence it never comes."""
        first = inf if stage == "silence" else self._first_token() * slower
        part = self._rng.random() if stage == "break" else 1.0
        rest = self._per_token() * slower * (request.answer - 1) * part
        waited = self._places.wait(now, self._queue)
        if waited is None:
            return self._refused(OVERLOADED, now, patience)
        played = answer(request, now, patience, deadline, first=first, rest=rest, part=part, waited=waited)
        self._places.take(now, played.ends)
        return played

    def _refused(self, fault: Fault, now: float, patience: float) -> Played:
        at = now + self._refusal()
        if at >= patience:
            return Played(Failed(at=patience, kind="timeout"), patience)
        return Played(Failed(at=at, kind=fault.kind, status=fault.status, retry_after=fault.retry_after), at)


def answer(
    request: Arrival,
    now: float,
    patience: float,
    deadline: float,
    *,
    first: float,
    rest: float,
    part: float = 1.0,
    waited: float = 0.0,
) -> Played:
    """What an attempt at `now` comes to, if `part` of an answer comes: after `waited` and `first` seconds its first
    token, and `rest` seconds later its end. Nobody waits beyond `patience` for the one and `deadline` for the other.
    """
    begins = now + waited + first
    ends = begins + rest
    at = begins if request.stream else ends
    if at >= patience:
        return Played(Failed(at=patience, kind="timeout"), patience, waited=min(waited, patience - now))
    if part < 1.0 and not request.stream:
        return Played(Failed(at=ends, kind="cut"), ends, waited=waited)
    if ends > deadline:
        part *= (deadline - begins) / rest
        ends = deadline
    return Played(Answered(at=at, first_token=at - now), ends, part, waited)


def _drawn(faults: tuple[Struck, ...], rng: Random) -> Struck | None:
    ticket = rng.random()
    for struck in faults:
        ticket -= struck.rate
        if ticket < 0.0:
            return struck
    return None
