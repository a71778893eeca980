"""Synthetic providers: what an attempt comes to, and when.

A provider is told of attempts in the order of time, so its queue, its quota and its outages are each one value that
moves on. Pure: chance is a passed `random.Random`. It must not know routes, nor what is tried next.
"""

from collections.abc import Sequence
from heapq import heappop, heappush, heapreplace
from math import inf
from random import Random
from typing import Protocol

import msgspec

from fairlead.canonical.limits import DAY, NEVER, SECOND, Limit, Rule, rule
from fairlead.canonical.routing import Answered, Failed, Outcome, Timeouts
from fairlead.policy.demands import ONE
from fairlead.policy.limits import take_bucket
from fairlead.simulator.chance import Distribution, Spells
from fairlead.simulator.faults import Fault, Stage, Struck
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
    """How a provider behaves. Times in seconds."""

    first_token: Distribution
    per_token: Distribution
    refusal: Distribution
    faults: tuple[Struck, ...] = ()
    quota: tuple[Limit, ...] = ()
    capacity: int | None = None
    queue: int | None = None


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
    """One synthetic provider."""

    def __init__(self, behavior: Behavior, rng: Random, troubles: Sequence[Trouble] = ()) -> None:
        self.behavior = behavior
        self.troubles = tuple(troubles)
        self._seeds = rng
        self._rng, first_token, per_token, refusal = self._chances = [Random() for _ in range(4)]
        self._first_token = behavior.first_token.sampler(first_token)
        self._per_token = behavior.per_token.sampler(per_token)
        self._refusal = behavior.refusal.sampler(refusal)
        self.renew()
        self._quota: list[tuple[Rule, list[int]]] = [
            (rule(limit, slot="", scope="deployment", subject=""), []) for limit in behavior.quota
        ]
        self._places = [0.0] * behavior.capacity if behavior.capacity else []
        """A heap of the instants at which each of its places is free."""
        self._waiting: list[float] = []
        """A heap of the instants at which those who wait are worked on or give up. Places are given in the order of
        arrival.
        """

    def renew(self) -> None:
        """Chance begins anew."""
        for rng in self._chances:
            rng.seed(self._seeds.getrandbits(64))

    def play(self, request: Arrival, now: float, timeouts: Timeouts, deadline: float) -> Played:
        """One attempt that begins at `now`. Whoever asks gives up as the gateway does."""
        rng, behavior = self._rng, self.behavior
        patience = min(now + timeouts.first_token, deadline)
        slower = 1.0
        struck = None
        for trouble in self.troubles:
            if trouble.spells.is_on(now) and rng.random() < trouble.struck.rate:
                if trouble.struck.fault.stage == "slowness":
                    slower *= trouble.struck.times
                else:
                    struck = trouble.struck
        if struck is None and self._quota:
            wait = self._over_quota(request, now)
            if wait:
                return self._refused(Fault(kind="rate_limited", status=429, retry_after=wait), now, patience)
        if struck is None and behavior.faults:
            struck = _drawn(behavior.faults, rng)
        if struck is None:
            return self._answered(request, now, patience, deadline, slower)
        if struck.fault.stage == "refusal":
            return self._refused(struck.fault, now, patience)
        return self._answered(request, now, patience, deadline, slower * struck.times, struck.fault.stage)

    def _answered(
        self, request: Arrival, now: float, patience: float, deadline: float, slower: float, stage: Stage | None = None
    ) -> Played:
        """An answer, or one that breaks; after silence it never comes."""
        first = inf if stage == "silence" else self._first_token() * slower
        part = self._rng.random() if stage == "break" else 1.0
        rest = self._per_token() * slower * (request.answer - 1) * part
        starts = max(self._places[0], now) if self._places else now
        if starts > now and self._is_full(now):
            return self._refused(OVERLOADED, now, patience)
        played = answer(request, now, patience, deadline, first=first, rest=rest, part=part, waited=starts - now)
        if self._places:
            self._take_place(now, starts, played.ends)
        return played

    def _refused(self, fault: Fault, now: float, patience: float) -> Played:
        at = now + self._refusal()
        if at >= patience:
            return Played(Failed(at=patience, kind="timeout"), patience)
        return Played(_failed(fault, at), at)

    def _take_place(self, now: float, starts: float, leaves: float) -> None:
        """Waits until a place is free, and has it until the answer is over or nobody waits for it any more."""
        if starts < leaves:
            heapreplace(self._places, leaves)
        if starts > now:
            heappush(self._waiting, min(starts, leaves))

    def _is_full(self, now: float) -> bool:
        """Whether as many wait as may."""
        waiting = self._waiting
        while waiting and waiting[0] <= now:
            heappop(waiting)
        return self.behavior.queue is not None and len(waiting) >= self.behavior.queue

    def _over_quota(self, request: Arrival, now: float) -> float:
        """Seconds until all of the provider's own limits have room; 0: they have, and this attempt is counted."""
        micros = int(now * SECOND)
        taken: list[tuple[Rule, list[int]]] = []
        waits = []
        for bound, state in self._quota:
            amount = ONE.get(bound.unit, request.prompt + request.answer)
            after, standing = take_bucket(bound, state, micros, amount)
            taken.append((bound, after))
            waits.append(DAY if standing.wait == NEVER else standing.wait)
        if not any(waits):
            self._quota = taken
        return max(waits) / SECOND


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


def _failed(fault: Fault, at: float) -> Failed:
    return Failed(at=at, kind=fault.kind, status=fault.status, retry_after=fault.retry_after)
