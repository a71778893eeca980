"""What requests hold of limits and budgets: reserved before they are sent anywhere, settled when their books close.

It knows which rules a request meets and how an engine's verdict is told to a client. It must not know how rules are
counted (policy) nor where (state). The journal has a request's record before its hold is settled: whoever finds a
hold that nobody renews looks there first, so that nothing is counted twice or for free.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fairlead.canonical.errors import GatewayError
from fairlead.canonical.limits import (
    DOLLAR,
    NEVER,
    SECOND,
    Demand,
    Denied,
    Granted,
    Rule,
    Standing,
    Unavailable,
    Unseeded,
    Verdict,
)
from fairlead.canonical.routing import Failed, Try
from fairlead.policy.demands import limited, tightest
from fairlead.policy.holds import smaller
from fairlead.policy.limits import SOON
from fairlead.state.channel import Notice
from fairlead.state.local import LocalState
from fairlead.state.port import RENEW_EVERY, Hold, Settlement, State, StateError

if TYPE_CHECKING:
    from fairlead.gateway.books import Books

SEEDING = 2.0
"""Seconds that a request waits for the control process to tell a budget's past."""
SEED_POLL, SEED_POLL_MOST = 0.005, 0.1
"""Seconds until a request looks again: twice as long each time, as there may be thousands of them."""
LEDGER_SOON = 5.0
"""Seconds after which it may be worth asking again when limits could not be looked at."""
QUOTA_SOON = 120 * SECOND
"""A budget that is free again sooner is worth waiting for."""
UNKNOWN = Standing(0, SECOND, wait=SECOND)
"""How a deployment's limits stand where nobody can tell."""
MOST_UNSETTLED = 100_000
"""Settlements kept for a state that cannot be reached; beyond them leases run out instead."""


class Holds:
    """The holds of one worker."""

    state: State
    """Where it is counted; a worker learns that with its first snapshot."""

    def __init__(self, prefix: str, *, tell: Callable[[Notice], None], written: Callable[[], None]) -> None:
        """`prefix` makes a hold's name unique over all machines; `written` sees that records are in the journal."""
        self._prefix = prefix
        self._tell = tell
        self._written = written
        self._count = 0
        self._held: dict[str, Hold] = {}
        self._ended: list[Settlement] = []
        self._scheduled = False
        self._settling: asyncio.Task[None] | None = None

    async def take(self, demands: tuple[Demand, ...], books: "Books", *, strict: bool) -> None:
        """Holds all demands for a request, or raises what the client is told."""
        verdict = await self._reserve(demands, books, strict=strict)
        if isinstance(verdict, Granted):
            books.limit_fields = limit_fields(demands, verdict.standings)
            self._alert(demands, verdict)
            return
        if isinstance(verdict, Denied):
            books.limit_fields = limit_fields(demands, verdict.standings)
            refusal, books.limit = refused(demands, verdict.standings)
            raise refusal
        message = "the limits of this key cannot be looked at now; try again in a moment"
        raise GatewayError("ledger_unavailable", message, retry_after=LEDGER_SOON)

    async def take_attempt(self, demands: tuple[Demand, ...], books: "Books", step: Try, now: float) -> Failed | None:
        """Holds what an attempt asks of its deployment's own limits; or the failure that sends it elsewhere."""
        verdict = await self._reserve(demands, books, strict=False)
        if isinstance(verdict, Granted):
            return None
        standings = verdict.standings if isinstance(verdict, Denied) else (UNKNOWN,)
        return limited(step.deployment.name, standings, now)

    def settle(self, settlements: Sequence[Settlement]) -> None:
        """The end of these holds, told to the state once this turn's records are in the journal."""
        for settlement in settlements:
            self._held.pop(settlement.hold.id, None)
        if len(self._ended) < MOST_UNSETTLED:
            self._ended += settlements
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    async def renew(self) -> None:
        """Keeps the leases of what is under way, for ever; tells again what could not be told."""
        while True:
            await asyncio.sleep(RENEW_EVERY)
            with contextlib.suppress(StateError):
                await self.state.renew(list(self._held.values()))
            if self._ended:
                self.settle(())

    async def settled(self) -> None:
        """Waits for the settlements under way."""
        if self._scheduled:
            await asyncio.sleep(0)  # one turn of the loop
        if self._settling is not None:
            await self._settling

    async def _reserve(self, demands: tuple[Demand, ...], books: "Books", *, strict: bool) -> Verdict:
        if not books.hold:
            self._count += 1
            books.hold = f"{self._prefix}-{self._count:x}"
        books.reserved += 1
        name = f"{books.hold}.{books.reserved}"
        note = books.note()
        try:
            verdict = await self._weighed(name, demands, note, strict=strict)
            if isinstance(verdict, Denied):
                content = smaller(demands, verdict.standings)
                if content is not None:
                    demands = content
                    verdict = await self._weighed(name, demands, note, strict=strict)
        except StateError:
            verdict = Unavailable()
        if isinstance(verdict, Granted):
            hold = Hold(name, demands, verdict.since)
            self._held[name] = hold
            books.holds.append(hold)
        return verdict

    async def _weighed(self, name: str, demands: tuple[Demand, ...], note: bytes, *, strict: bool) -> Verdict:
        """The state's verdict. Where a budget has no past, the control process is asked for it until it is there.

        Who is not strict goes on without it then, on what this machine allows by itself.
        """
        verdict = await self.state.reserve(name, demands, note, strict=strict)
        if not isinstance(verdict, Unseeded):
            return verdict
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SEEDING
        pause = SEED_POLL
        while isinstance(verdict, Unseeded) and loop.time() < deadline:
            self._tell(Notice("seed", rule=verdict.rule))
            await asyncio.sleep(pause)
            pause = min(2 * pause, SEED_POLL_MOST)
            verdict = await self.state.reserve(name, demands, note, strict=strict)
        if isinstance(verdict, Unseeded) and not strict:
            return await self.state.reserve_alone(name, demands, note)
        return verdict

    def _alert(self, demands: Sequence[Demand], granted: Granted) -> None:
        """Tells of each budget that may have reached one of its degrees, were all that is held spent as well."""
        for demand, standing in zip(demands, granted.standings, strict=True):
            rule = demand.rule
            if not rule.alerts:
                continue
            used = 100 * (rule.limit - standing.remaining) // rule.limit
            percent = max((degree for degree in rule.alerts if degree <= used), default=0)
            if percent:
                notice = Notice(
                    "alert", rule=rule, percent=percent, period=_period(rule, granted.since, standing.reset)
                )
                self._tell(notice)

    def _flush(self) -> None:
        """At the end of the turn: an engine of this machine is told at once, another in the background."""
        self._scheduled = False
        if not isinstance(self.state, LocalState):
            if self._settling is None:
                self._settling = asyncio.get_running_loop().create_task(self._settle())
            return
        batch, self._ended = self._ended, []
        self._written()
        try:
            self.state.settle_now(batch)
        except StateError:
            self._ended = batch + self._ended

    async def _settle(self) -> None:
        """Tells the state of every hold that has ended; what cannot be told is kept for the next renewal."""
        while self._ended:
            batch, self._ended = self._ended, []
            self._written()
            try:
                await self.state.settle(batch)
            except StateError:
                self._ended = batch + self._ended
                break
        self._settling = None


def _period(rule: Rule, now: int, reset: int) -> int:
    """Which of a budget's periods it is: the same number throughout a period, another one in the next."""
    return now + reset if rule.algorithm == "calendar" else now // (rule.tick * rule.ticks)


def refused(demands: Sequence[Demand], standings: Sequence[Standing]) -> tuple[GatewayError, str]:
    """The client's error for the tightest of the rules that refused, and that rule in words."""
    demand, standing = tightest(demands, standings)
    rule, wait = demand.rule, standing.wait
    code = "insufficient_quota" if rule.unit == "money" else "rate_limit_exceeded"
    asked = _asked(demand, standing)
    if wait == NEVER:
        message = f"this request alone is more than the limit allows: {rule.label}{asked}; send less or set max_tokens"
        return GatewayError(code, message, retry=False), rule.label
    soon = rule.unit != "money" or wait <= QUOTA_SOON
    when = f"it is free again in {_duration(wait)}"
    if rule.unit == "concurrency":
        when = "try again when one of them has ended"
    elif rule.unit == "money" and wait <= SOON:
        when = "requests under way hold the rest; try again when they have ended"
    message = f"limit reached: {rule.label}{asked}; {when}"
    return GatewayError(code, message, retry=soon, retry_after=wait / SECOND if soon else None), rule.label


def _asked(demand: Demand, standing: Standing) -> str:
    """What a request may come to and what is left for it, where the client can do something about that."""
    unit = demand.rule.unit
    if unit == "money":
        return f" (it may cost ${_dollars(demand.amount)}, ${_dollars(standing.remaining)} is left)"
    if _TOLD.get(unit) != "tokens":
        return ""
    return f" (it may take {demand.least or demand.amount}, {standing.remaining} are left)"


def _dollars(micros: int) -> str:
    return f"{micros // DOLLAR}.{micros % DOLLAR:06d}"


def limit_fields(demands: Sequence[Demand], standings: Sequence[Standing]) -> str:
    """OpenAI's `x-ratelimit-*` header lines for the limit on requests and on tokens that has least left, and what a
    budget has. A request that was denied took nothing, so what a rule would have given it is still there.
    """
    denied = any(standing.wait for standing in standings)
    tightest: dict[str, tuple[int, int, Standing]] = {}
    for demand, standing in zip(demands, standings, strict=True):
        told = _TOLD.get(demand.rule.unit)
        if told is not None:
            left = standing.remaining + demand.amount if denied and not standing.wait else standing.remaining
            other = tightest.get(told)
            if other is None or left < other[0]:
                tightest[told] = (left, demand.rule.limit, standing)
    return "".join([_FIELDS[told](*figures) for told, figures in tightest.items()])


def _rates(unit: str) -> Callable[[int, int, Standing], str]:
    def lines(left: int, limit: int, standing: Standing) -> str:
        return (
            f"x-ratelimit-limit-{unit}: {limit}\r\nx-ratelimit-remaining-{unit}: {left}\r\n"
            f"x-ratelimit-reset-{unit}: {_duration(standing.reset)}\r\n"
        )

    return lines


_TOLD = {
    "requests": "requests",
    "tokens": "tokens",
    "input_tokens": "tokens",
    "output_tokens": "tokens",
    "money": "money",
}
_FIELDS: dict[str, Callable[[int, int, Standing], str]] = {
    "requests": _rates("requests"),
    "tokens": _rates("tokens"),
    "money": lambda left, _, __: f"x-fairlead-budget-remaining: {_dollars(left)}\r\n",
}


def _duration(micros: int) -> str:
    """As Go writes durations, and OpenAI with it: `6m0s`, `1.500s`, `12ms`; rounded up to milliseconds."""
    millis = -(-micros // 1000)
    if millis < 1000:
        return f"{millis}ms"
    seconds, millis = divmod(millis, 1000)
    minutes, seconds = divmod(seconds, 60)
    rest = f"{seconds}.{millis:03d}s" if millis else f"{seconds}s"
    if not minutes:
        return rest
    return f"{minutes}m{rest}" if minutes < 60 else f"{minutes // 60}h{minutes % 60}m{rest}"
