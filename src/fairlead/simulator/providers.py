"""Synthetic providers: what an attempt comes to, and when.

A provider is told of attempts in the order of time, so its queue, its quota and its outages are each one value that
moves on. Pure: chance is a passed `random.Random`. It must not know routes, nor what is tried next.
"""

from collections import deque
from collections.abc import Sequence
from heapq import heapreplace
from random import Random

import msgspec

from fairlead.canonical.limits import DAY, SECOND, Limit, Rule, rule
from fairlead.canonical.routing import Answered, Failed, Outcome, Timeouts
from fairlead.policy.demands import ONE
from fairlead.policy.limits import take_bucket
from fairlead.simulator.chance import Distribution
from fairlead.simulator.faults import Fault, Struck
from fairlead.simulator.traffic import Arrival

KEPT = 100
"""The times of trouble that are remembered, for who wants to see them."""
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


class Trouble:
    """A time of trouble that comes and goes: a two-state Markov process in continuous time, which all whom it strikes
    share. `calm` and `lasting` are its mean times in seconds.
    """

    def __init__(self, struck: Struck, calm: float, lasting: float, rng: Random) -> None:
        self.struck = struck
        self._over: deque[tuple[float, float]] = deque(maxlen=KEPT)
        self._calm = calm
        self._lasting = lasting
        self._rng = rng
        self._begins = rng.expovariate(1.0) * calm
        self._ends = self._begins + rng.expovariate(1.0) * lasting

    def is_on(self, now: float) -> bool:
        """Whether there is trouble at `now`, no earlier than the last instant that was asked for."""
        while now >= self._ends:
            self._over.append((self._begins, self._ends))
            self._begins = self._ends + self._rng.expovariate(1.0) * self._calm
            self._ends = self._begins + self._rng.expovariate(1.0) * self._lasting
        return now >= self._begins

    def known(self, until: float) -> list[tuple[float, float]]:
        """The latest times of trouble that began before `until`."""
        return [*self._over, (self._begins, self._ends)] if self._begins < until else list(self._over)


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
        self._waiting: deque[float] = deque()
        """When those who wait begin to be worked on; places are given in the order of arrival."""

    def renew(self) -> None:
        """Chance begins anew: whatever has been drawn before, the next attempts find the same."""
        for rng in self._chances:
            rng.seed(self._seeds.getrandbits(64))

    def play(self, request: Arrival, now: float, timeouts: Timeouts, deadline: float) -> Played:
        """One attempt that begins at `now`. Whoever asks gives up as the gateway does."""
        rng, behavior = self._rng, self.behavior
        patience = min(now + timeouts.first_token, deadline)
        slower = 1.0
        struck = None
        for trouble in self.troubles:
            if trouble.is_on(now) and rng.random() < trouble.struck.rate:
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
        if struck is not None:
            stage = struck.fault.stage
            if stage == "refusal":
                return self._refused(struck.fault, now, patience)
            if stage == "silence":
                self._take_place(now, patience - now, patience)
                return Played(_failed(struck.fault, patience), patience)
            slower *= struck.times
        return self._answered(request, now, patience, deadline, slower, struck)

    def _answered(
        self, request: Arrival, now: float, patience: float, deadline: float, slower: float, struck: Struck | None
    ) -> Played:
        rng, behavior = self._rng, self.behavior
        first = self._first_token() * slower
        rest = self._per_token() * slower * (request.answer - 1)
        part = rng.random() if struck is not None and struck.fault.stage == "break" else 1.0
        rest *= part
        waited = 0.0
        if self._places:
            if behavior.queue is not None and self._in_queue(now) >= behavior.queue:
                return self._refused(OVERLOADED, now, patience)
            waited = self._take_place(now, first + rest, patience if not request.stream else deadline)
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

    def _refused(self, fault: Fault, now: float, patience: float) -> Played:
        at = now + self._refusal()
        if at >= patience:
            return Played(Failed(at=patience, kind="timeout"), patience)
        return Played(_failed(fault, at), at)

    def _take_place(self, now: float, duration: float, until: float) -> float:
        """Takes the place that is free first, for `duration` or as long as somebody waits; the seconds in the queue."""
        if not self._places:
            return 0.0
        begins = max(self._places[0], now)
        if begins < until:
            heapreplace(self._places, min(begins + duration, until))
            if begins > now:
                self._waiting.append(begins)
        return begins - now

    def _in_queue(self, now: float) -> int:
        while self._waiting and self._waiting[0] <= now:
            self._waiting.popleft()
        return len(self._waiting)

    def _over_quota(self, request: Arrival, now: float) -> float:
        """Seconds until the provider's own limit has room; 0: it has, and this attempt is counted."""
        micros = int(now * SECOND)
        taken: list[tuple[Rule, list[int]]] = []
        for bound, state in self._quota:
            amount = ONE.get(bound.unit, request.prompt + request.answer)
            after, standing = take_bucket(bound, state, micros, amount)
            if standing.wait:
                return standing.wait / SECOND if standing.wait > 0 else DAY / SECOND
            taken.append((bound, after))
        self._quota = taken
        return 0.0


def _drawn(faults: tuple[Struck, ...], rng: Random) -> Struck | None:
    ticket = rng.random()
    for struck in faults:
        ticket -= struck.rate
        if ticket < 0.0:
            return struck
    return None


def _failed(fault: Fault, at: float) -> Failed:
    return Failed(at=at, kind=fault.kind, status=fault.status, retry_after=fault.retry_after)
