"""The books of one request: opened at its start, closed however it ends, one record for the journal.

They know what happened and when. They decide nothing and must not raise.
"""

from urllib.parse import quote

from msgspec.structs import replace

from fairlead.canonical.events import Broken
from fairlead.canonical.limits import Demand
from fairlead.canonical.routing import (
    Answered,
    AttemptRecord,
    Deployment,
    Ended,
    Failed,
    Outcome,
    RequestRecord,
    Try,
)
from fairlead.canonical.tenants import VirtualKey
from fairlead.canonical.usage import Usage, cost
from fairlead.dialects.ask import Ask
from fairlead.gateway.callers import ANYONE
from fairlead.gateway.upstream import Answer, served_model
from fairlead.gateway.world import World
from fairlead.http.server import Exchange
from fairlead.journal.note import Note, encode_note
from fairlead.policy.estimate import Amounts, Estimate, partial, spent
from fairlead.state.channel import Notice
from fairlead.state.port import Hold, Settlement

NOTHING = spent(None, None)
MOST_USED = 10**12
"""More than any request can use; a provider that tells more is not believed."""
PLAIN = "/.:@-_"
"""What a client's model name may put into a header as it is, besides letters and digits."""


class Books:
    """What is known of a request so far."""

    __slots__ = (
        "_busy",
        "_dialect",
        "_of_attempt",
        "_try_at",
        "_waited",
        "_world",
        "ask",
        "attempts",
        "code",
        "ended",
        "estimate",
        "first_token",
        "hold",
        "holds",
        "id",
        "key",
        "limit",
        "limit_fields",
        "opened_at",
        "received",
        "reserved",
        "served",
        "status",
        "tags",
        "usage",
    )

    def __init__(self, world: World, exchange: Exchange, dialect: str) -> None:
        self._world = world
        self._dialect = dialect
        self.opened_at = world.clock()
        self._try_at = 0.0
        self._waited = 0.0
        self._busy = ""
        self.id = world.request_id(exchange.headers)
        self.key: VirtualKey = ANYONE
        self.ask: Ask | None = None
        self.attempts: list[AttemptRecord] = []
        self.served: Deployment | None = None
        self.usage: Usage | None = None
        self.first_token: float | None = None
        self.status = 200
        self.code = ""
        self.ended: Ended = "finished"
        self.tags: tuple[tuple[str, str], ...] = ()
        self.estimate: Estimate | None = None
        """The most that the request can come to; None: nothing wants to know."""
        self.hold = ""
        """What the names of its holds begin with; a dot and a number follow."""
        self.reserved = 0
        self.holds: list[Hold] = []
        self._of_attempt = 0
        self.limit = ""
        self.limit_fields = ""
        """Header lines that tell how the limits stand."""
        self.received = 0
        """Bytes of an answer that came."""

    def begin(self, step: Try, pause: float) -> None:
        """An attempt starts, after a pause of so many seconds (none where it is negative)."""
        if pause > 0:
            self._waited += pause
        self._try_at = self._world.clock()
        self._busy = step.deployment.name
        self._of_attempt = len(self.holds)
        self._world.attempt_begins(self._busy)

    def learn(self, step: Try, result: Answer | Failed) -> Outcome:
        """An attempt came to something; gives the outcome that policy weighs."""
        now = self._world.clock()
        lasted = now - self._try_at
        self._waited += lasted
        name = self._name(step.deployment)
        started_at = self._try_at - self.opened_at
        if isinstance(result, Failed):
            self._release()
            self._settle(self._of_attempt, NOTHING)
            if result.kind == "auth":
                self._world.tell(Notice("credential", step.deployment.credential))
            self._entered(name, started_at, lasted, result)
            return result
        attempt = AttemptRecord(
            deployment=name, started_at=started_at, duration=lasted, outcome="answered", status=200, retry_after=None
        )
        self.attempts.append(attempt)
        self.served = step.deployment
        self.usage = result.usage
        self.received = result.received
        self.first_token = now - self.opened_at
        return Answered(at=now, first_token=lasted)

    def refused(self, status: int, code: str) -> None:
        """The client is told `code` instead of an answer."""
        self.status, self.code = status, code
        self.ended = "failed" if self.attempts else "refused"

    def cut(self, broken: Broken) -> None:
        """The stream broke after its first event."""
        self.ended = "cut"
        self.code = broken.kind

    def overhead(self) -> float:
        """Seconds in which the gateway itself had the request so far."""
        return self._world.clock() - self.opened_at - self._waited

    def cost(self) -> str | None:
        """US dollars as a decimal; None where no price or no usage is known."""
        served = self.served
        if served is None or served.price is None or self.usage is None:
            return None
        return f"{cost(self.usage, served.price):f}"

    def note(self) -> bytes:
        """What the control process is told of the request, should this worker die: see `control.sweeper`."""
        ask = self.ask
        return encode_note(
            Note(
                id=self.id,
                tenant=self.key.tenant,
                key=self.key.id,
                dialect=self._dialect,
                asked=ask.model if ask else "",
                user=self._user(),
                tags=self.tags,
            )
        )

    def close(self) -> None:
        """Releases what the request held and writes its record. The last thing that happens to a request."""
        world, served, ask = self._world, self.served, self.ask
        usage = self._used()
        self._release()
        used = spent(usage, world.demands.rates_of(served))
        duration = world.clock() - self.opened_at
        world.journal.append(
            RequestRecord(
                id=self.id,
                at=world.wall() - duration,
                tenant=self.key.tenant,
                key=self.key.id,
                dialect=self._dialect,
                asked=ask.model if ask else "",
                served=self.attempts[-1].deployment if served else "",
                wildcard=served.name if served and served.model == "*" else "",
                stream=ask.stream if ask else False,
                status=self.status,
                ended=self.ended,
                code=self.code,
                attempts=tuple(self.attempts),
                usage=usage,
                cost=self.cost(),
                price=served.price.version if served and served.price else "",
                first_token=self.first_token,
                duration=duration,
                user=self._user(),
                tags=self.tags,
                hold=self.hold,
                charged=used["money"],
                estimated=usage is not self.usage,
                limit=self.limit,
                overhead_us=int((duration - self._waited) * 1e6),
            )
        )
        self._settle(0, used)

    def _used(self) -> Usage | None:
        """The usage as the answer told it, or as far as anything was counted beforehand.

        A stream that did not come to its end has told its output as it was at the beginning (Anthropic) or not at all:
        what came is counted then. A client that left while an attempt was under way has had its input read. A failed
        attempt costs nothing.
        """
        told = self.usage
        if self.estimate is None or (told is not None and self.ended == "finished"):
            return told
        if self.served is None and not (self._busy and self.ended == "client_gone"):
            return None
        guessed = partial(self.estimate, self.received)
        return guessed if told is None else replace(told, output=max(told.output, guessed.output))

    def _settle(self, first: int, used: Amounts) -> None:
        """The end of all holds from the `first` on: a request counts as one once anything was tried for it."""
        ended = self.holds[first:]
        if ended:
            final = _refused if self.ended == "refused" else _final
            self._world.holds.settle(
                [Settlement(hold, tuple([final(demand, used) for demand in hold.demands])) for hold in ended]
            )
            del self.holds[first:]

    def _user(self) -> str:
        return self.key.user or (self.ask.user if self.ask else None) or ""

    def _entered(self, name: str, started_at: float, lasted: float, failure: Failed) -> None:
        self.attempts.append(
            AttemptRecord(
                deployment=name,
                started_at=started_at,
                duration=lasted,
                outcome=failure.kind,
                status=failure.status,
                retry_after=failure.retry_after,
            )
        )

    def _name(self, deployment: Deployment) -> str:
        """`provider/model`, with the model that was really asked for where the deployment is a wildcard."""
        if deployment.model != "*" or self.ask is None:
            return deployment.name
        return f"{deployment.provider}/{quote(served_model(deployment, self.ask.model), safe=PLAIN)}"

    def _release(self) -> None:
        if self._busy:
            self._world.attempt_ends(self._busy)
            self._busy = ""


def _refused(_demand: Demand, _used: Amounts) -> int:
    return 0


def _final(demand: Demand, used: Amounts) -> int:
    return demand.amount if demand.rule.unit == "requests" else min(used[demand.rule.unit], MOST_USED)
