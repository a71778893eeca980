"""How well a deployment is doing, and when it is left alone: cooldown, breaker, quarantine, retry budget.

Pure transitions: each takes a state, the time and what happened, and gives the next state. `Fleet` is the one place
that holds the states of a worker; it decides nothing. Nothing here knows routes, HTTP or a clock.

Counts decay exponentially instead of sitting in buckets: a call weighs exp(-age / WINDOW), which is one number where a
sliding window needs thirty.
"""

from math import exp
from random import Random

import msgspec

from fairlead.canonical.errors import KINDS
from fairlead.canonical.routing import Answered, Cooldown, Deployment, Failed, Outcome

WINDOW = 30.0
"""Seconds in which a call's weight falls to 1/e."""
ENOUGH_CALLS = 20.0
FAILING = 0.5
SLOW = 0.8
LONGEST = 300.0
"""Seconds; the longest cooldown that repeated opening grows to (unless the route's own is longer)."""
UNTOLD_LIMIT = 1.0
"""Seconds for which a 429 without Retry-After cools a deployment."""
QUARANTINE = 60.0
PROBES = 3
GOOD_PROBES = 2
TTFT_WEIGHT = 0.3
TTFT_MEMORY = 60.0
"""Seconds after which an old latency has lost most of its say, so that a slow deployment is looked at again."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment as one worker sees it. Instants are on the caller's clock."""

    cooldown_until: float = 0.0
    cause: str = ""
    """Why it cools: a row of KINDS, or `slow`."""
    failures_in_row: int = 0
    openings: int = 0
    """How often the breaker opened without closing since; above 0 and past the cooldown it is half open."""
    probes: int = 0
    good_probes: int = 0
    calls: float = 0.0
    failures: float = 0.0
    slow: float = 0.0
    counted_at: float = 0.0
    ttft: float = 0.0
    """Seconds to the first token, a moving average; 0: never measured."""


HEALTHY = Health()


def is_cooling(health: Health, now: float) -> bool:
    return now < health.cooldown_until


def is_available(health: Health, now: float) -> bool:
    """Not cooling, and when half open not beyond its probes."""
    return now >= health.cooldown_until and (health.openings == 0 or health.probes < PROBES)


def expected_ttft(health: Health, now: float) -> float:
    """The first-token latency to reckon with, in seconds: what was measured, fading with age."""
    return health.ttft * exp(-max(now - health.counted_at, 0.0) / TTFT_MEMORY)


def tried(health: Health) -> Health:
    """An attempt begins: a half-open deployment has one probe more under way."""
    if health.openings == 0:
        return health
    return msgspec.structs.replace(health, probes=health.probes + 1)


def answered(health: Health, now: float, ttft: float, slow_after: float) -> Health:
    """The attempt gave its first event after `ttft` seconds; it is slow when that took over `slow_after`."""
    fade = _fade(now - health.counted_at)
    openings, good = health.openings, 0
    if openings:
        good = health.good_probes + 1
        if good >= GOOD_PROBES:
            openings = good = 0
    closes = health.openings > openings
    return Health(
        cooldown_until=health.cooldown_until,
        cause=health.cause,
        openings=openings,
        probes=max(health.probes - 1, 0) if openings else 0,
        good_probes=good,
        calls=health.calls * fade + 1.0,
        failures=0.0 if closes else health.failures * fade,
        slow=health.slow * fade + (ttft > slow_after),
        counted_at=now,
        ttft=health.ttft + TTFT_WEIGHT * (ttft - health.ttft) if health.ttft else ttft,
    )


def failed(health: Health, failure: Failed, cooldown: Cooldown, rng: Random) -> Health:
    """The attempt failed. A provider's Retry-After cools it for that long, but only sickness opens the breaker."""
    kind = KINDS[failure.kind]
    if failure.kind == "limited":
        return _probed(health)  # a limit of ours is looked at each time, and may be free before it said
    asked = failure.retry_after or 0.0
    if not kind.sickness:
        wait = asked or (UNTOLD_LIMIT if failure.kind == "rate_limited" else 0.0)
        return _cooled(_probed(health), failure.at + wait, failure.kind) if wait else _probed(health)
    fade = _fade(failure.at - health.counted_at)
    counted = msgspec.structs.replace(
        _probed(health),
        failures_in_row=health.failures_in_row + 1,
        calls=health.calls * fade + 1.0,
        failures=health.failures * fade + 1.0,
        slow=health.slow * fade,
        counted_at=failure.at,
    )
    already_open = health.openings > 0 and is_cooling(health, failure.at)
    if not already_open and _is_failing(counted, cooldown):
        return _opened(counted, failure.at, failure.kind, cooldown, rng, asked)
    return _cooled(counted, failure.at + asked, failure.kind) if asked else counted


def slowed(health: Health, now: float, cooldown: Cooldown, rng: Random) -> Health:
    """Opens the breaker of a deployment that answers, but nearly always too slowly."""
    if health.calls < ENOUGH_CALLS or health.slow < SLOW * health.calls:
        return health
    return _opened(health, now, "slow", cooldown, rng, 0.0)


def _is_failing(health: Health, cooldown: Cooldown) -> bool:
    if health.openings > 0 or health.failures_in_row >= cooldown.after:
        return True
    return health.calls >= ENOUGH_CALLS and health.failures >= FAILING * health.calls


def _opened(health: Health, now: float, cause: str, cooldown: Cooldown, rng: Random, asked: float) -> Health:
    longest = max(LONGEST, cooldown.duration)
    lasting = min(cooldown.duration * 2.0 ** min(health.openings, 30), longest) * rng.uniform(0.8, 1.2)
    opened = msgspec.structs.replace(
        health, openings=health.openings + 1, failures_in_row=0, probes=0, good_probes=0, slow=0.0
    )
    return _cooled(opened, now + max(lasting, asked), cause)


def _cooled(health: Health, until: float, cause: str) -> Health:
    """The longer of the cooldown that stands and the new one."""
    if until <= health.cooldown_until:
        return health
    return msgspec.structs.replace(health, cooldown_until=until, cause=cause)


def _probed(health: Health) -> Health:
    return msgspec.structs.replace(health, probes=max(health.probes - 1, 0)) if health.openings else health


class Retries(msgspec.Struct, frozen=True):
    """The retries that a deployment got lately; they fade as its calls do."""

    count: float = 0.0
    at: float = 0.0


RESERVE = 30.0
"""Retries that are allowed however little traffic there is; they come back at RESERVE / WINDOW a second."""


def retried(retries: Retries, health: Health, now: float, share: float) -> Retries | None:
    """Takes one retry from the deployment's budget; None when it is used up.

    The bound that it keeps over any time t: retries <= share * calls + RESERVE * (1 + t / WINDOW).
    """
    count = retries.count * _fade(now - retries.at) + 1.0
    calls = health.calls * _fade(now - health.counted_at)
    return Retries(count, now) if count <= share * calls + RESERVE else None


def _fade(age: float) -> float:
    return exp(-age / WINDOW) if age > 0.0 else 1.0


class Fleet:
    """The health of every deployment as one worker sees it. It keeps the states; the functions above decide.

    Each dictionary is bounded by the deployments and routes that configurations have named.
    """

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.health: dict[str, Health] = {}
        self.troubled: set[str] = set()
        """The deployments whose health may ask for rest; of all others nothing need be looked up."""
        self.busy: dict[str, int] = {}
        """Attempts under way by deployment, streams included."""
        self.turns: dict[str, int] = {}
        """Requests by route, for taking turns."""
        self.quarantined_until: dict[str, float] = {}
        """By credential name: a key that the provider refused."""
        self._retries: dict[str, Retries] = {}

    def of(self, deployment: Deployment) -> Health:
        return self.health.get(deployment.name, HEALTHY)

    def resting(self, now: float) -> int:
        """How many deployments cool down, or are quarantined by their credential."""
        cooling = sum(not is_available(self.health.get(name, HEALTHY), now) for name in self.troubled)
        return cooling + sum(now < until for until in self.quarantined_until.values())

    def is_quarantined(self, deployment: Deployment, now: float) -> bool:
        return now < self.quarantined_until.get(deployment.credential, 0.0)

    def try_begins(self, deployment: Deployment) -> None:
        """An attempt on this deployment."""
        health = self.health.get(deployment.name)
        if health is not None and health.openings:
            self.health[deployment.name] = tried(health)

    def try_abandoned(self, deployment: Deployment) -> None:
        """The attempt came to nothing that says anything: nobody waited for it any longer."""
        health = self.health.get(deployment.name)
        if health is not None:
            self.health[deployment.name] = _probed(health)

    def retry_allowed(self, deployment: Deployment, now: float, share: float) -> bool:
        """Takes one retry from the deployment's budget, if there is one."""
        name = deployment.name
        paid = retried(self._retries.get(name, Retries()), self.of(deployment), now, share)
        if paid is None:
            return False
        self._retries[name] = paid
        return True

    def learn(self, deployment: Deployment, outcome: Outcome, cooldown: Cooldown, slow_after: float) -> None:
        """What an attempt came to."""
        before = self.health.get(deployment.name, HEALTHY)
        if isinstance(outcome, Answered):
            after = answered(before, outcome.at, outcome.first_token, slow_after)
            if after.slow >= SLOW * ENOUGH_CALLS:
                after = slowed(after, outcome.at, cooldown, self.rng)
        else:
            after = failed(before, outcome, cooldown, self.rng)
            if outcome.kind in {"auth", "quota"} and deployment.credential:
                self.quarantined_until[deployment.credential] = outcome.at + QUARANTINE
        self.health[deployment.name] = after
        if after.openings or after.cooldown_until > outcome.at:
            self.troubled.add(deployment.name)
        elif self.troubled:
            self.troubled.discard(deployment.name)

    def pardon(self, credential: str) -> None:
        """The credential was renewed: its quarantine ends."""
        self.quarantined_until.pop(credential, None)
