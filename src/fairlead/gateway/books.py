"""The books of one request: opened at its start, closed however it ends, one record for the journal.

They know what happened and when. They decide nothing and must not raise.
"""

from collections.abc import Callable

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
    Route,
    Try,
)
from fairlead.canonical.tenants import VirtualKey
from fairlead.canonical.usage import SELF_HOSTED, Usage, cost
from fairlead.dialects.ask import Ask
from fairlead.gateway.callers import ANYONE
from fairlead.gateway.stopwatch import ANSWER, CONNECT, FIRST_TOKEN, GATEWAY, Stopwatch
from fairlead.gateway.texts import Texts
from fairlead.gateway.upstream import Answer, Begun
from fairlead.gateway.world import World
from fairlead.http.server import Exchange
from fairlead.journal import CONTENT, PLAIN
from fairlead.journal.note import Note, encode_note
from fairlead.policy.demands import taken
from fairlead.policy.estimate import MAY_BE_CHARGED, Amounts, Estimate, partial, rough, spent
from fairlead.policy.routes import served_name
from fairlead.policy.select import NO_NEEDS, Needs, untried
from fairlead.state.channel import Notice
from fairlead.state.port import Hold, Settlement
from fairlead.telemetry import trace_context

NOTHING = spent(None, None)
NOBODY: dict[str, str] = {}


class Books:
    """What is known of a request so far."""

    __slots__ = (
        "_busy",
        "_connected",
        "_cost",
        "_costed",
        "_dialect",
        "_of_attempt",
        "_span_id",
        "_tried",
        "_try_at",
        "_world",
        "ask",
        "attempts",
        "began",
        "body_size",
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
        "metadata",
        "model",
        "needs",
        "pieces",
        "received",
        "reserved",
        "rested",
        "route",
        "served",
        "status",
        "tags",
        "texts",
        "trace",
        "usage",
        "watch",
    )

    def __init__(self, world: World, exchange: Exchange, dialect: str) -> None:
        self._world = world
        self._dialect = dialect
        self.watch = Stopwatch(world.clock)
        self.began = world.wall()
        """Unix seconds: prices are those of this instant."""
        self._try_at = 0.0
        self._connected = 0.0
        self._cost: str | None = None
        self._costed: Usage | None = None
        self._busy: Deployment | None = None
        self._tried: list[str] = []
        self._span_id = ""
        self.id = world.request_id(exchange.headers)
        self.trace = world.trace(exchange.headers)
        self.key: VirtualKey = ANYONE
        self.ask: Ask | None = None
        self.body_size = 0
        self.route: Route | None = None
        self.needs: Needs = NO_NEEDS
        self.rested: dict[str, str] = NOBODY
        """The route's deployments that were better left alone when the request began, and why."""
        self.metadata = ""
        self.texts: Texts | None = None
        """Where prompt and answer are kept, for a tenant that wants that."""
        self.attempts: list[AttemptRecord] = []
        self.served: Deployment | None = None
        self.usage: Usage | None = None
        self.model = ""
        """What the provider calls the model that answered."""
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
        self.pieces = 0
        """In how many pieces a stream came."""

    def begin(self, step: Try) -> bytes:
        """An attempt starts; gives the header lines that tell the provider of the trace it belongs to."""
        self._try_at = self.watch.lap(GATEWAY)
        self._connected = self.watch.parts[CONNECT]
        self._busy = step.deployment
        name = step.deployment.name
        self._of_attempt = len(self.holds)
        if name not in self._tried:
            self._tried.append(name)
        self._world.attempt_begins(name)
        if self.trace is None:
            return b""
        self._span_id = self._world.span_id()
        return trace_context.fields(self.trace, self._span_id)

    def learn(self, step: Try, result: Answer | Failed) -> Outcome:
        """An attempt came to something; gives the outcome that policy weighs."""
        now = self.watch.lap(GATEWAY)
        if isinstance(result, Failed):
            self._release()
            self._settle(self._of_attempt, NOTHING)
            if result.kind == "auth":
                self._world.tell(Notice("credential", step.deployment.credential))
            self._entered(step.deployment, now, result)
            return result
        self._entered(step.deployment, now, None)
        self.served = step.deployment
        self.usage = result.usage
        self.model = result.model
        self.received = result.received
        self.first_token = now - self.watch.started_at
        return Answered(at=now, first_token=now - self._try_at)

    def passes(self, answer: bytes) -> None:
        """A whole answer goes to the client."""
        if self.texts is not None:
            self.texts.take(answer)

    def noting(self, write: Callable[[bytes], None]) -> Callable[[bytes], None]:
        """`write`, for a stream that goes to the client; its texts are kept where the tenant wants that."""
        texts = self.texts
        if texts is None:
            return write

        def noted(data: bytes) -> None:
            texts.take(data)
            write(data)

        return noted

    def relayed(self, stream: Begun) -> None:
        """What is known of a stream once nothing more of it comes."""
        self.watch.lap(ANSWER)
        self.usage = stream.usage
        self.model = stream.model
        self.received = stream.received
        self.pieces = stream.pieces

    def refused(self, status: int, code: str) -> None:
        """The client is told `code` instead of an answer."""
        self.status, self.code = status, code
        self.ended = "failed" if self.attempts else "refused"

    def cut(self, broken: Broken) -> None:
        """The stream broke after its first event."""
        self.ended = "cut"
        self.code = broken.kind

    def cost(self) -> str | None:
        """US dollars as a decimal; None where no price or no usage is known. Reckoned once, for header and record."""
        if self._costed is not self.usage:
            self._cost, self._costed = self._priced(self.usage, self.served), self.usage
        return self._cost

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
        if self.served is None and self._busy is not None and self.ended == "client_gone":
            self._left(self._busy)
        world, served, ask = self._world, self.served, self.ask
        usage = self._used()
        self._release()
        used = spent(usage, world.demands.rates_of(served, self.began))
        duration = self.watch.lap(GATEWAY) - self.watch.started_at
        world.journal.append(
            RequestRecord(
                id=self.id,
                at=self.began,
                tenant=self.key.tenant,
                key=self.key.id,
                dialect=self._dialect,
                asked=ask.model if ask else "",
                route=self.route.model if self.route else "",
                config=world.snapshot.version,
                served=self.attempts[-1].deployment if served else "",
                wildcard=served.name if served and served.model == "*" else "",
                response_model=self.model,
                stream=ask.stream if ask else False,
                status=self.status,
                ended=self.ended,
                code=self.code,
                attempts=tuple(self.attempts),
                skipped=untried(self.route, self._tried, self.rested, self.needs) if self.route else (),
                usage=usage,
                cost=self.cost() if usage is self.usage else self._priced(usage, served),
                price=_priced_by(served) if served else "",
                first_token=self.first_token,
                duration=duration,
                latency=self.watch.latency(),
                chunks=self.pieces,
                user=self._user(),
                tags=self.tags,
                metadata=self.metadata,
                hold=self.hold,
                charged=used["money"],
                estimated=usage is not self.usage,
                limits=tuple([demand.rule.label for hold in self.holds for demand in hold.demands]),
                limit=self.limit,
                overhead_us=int(self.watch.parts[GATEWAY] * 1e6),
                trace=self.trace,
                content=self.texts.content() if self.texts else None,
            ),
            PLAIN if self.texts is None else PLAIN + CONTENT,
        )
        self._settle(0, used)

    def _used(self) -> Usage | None:
        """The usage as the answer told it, or as far as anything is known without that.

        A stream that did not come to its end has told its output as it was at the beginning (Anthropic) or not at all:
        what came is counted then.
        """
        told = self.usage
        if told is not None and self.ended == "finished":
            return told
        if self.served is None or (told is None and self.ended == "finished" and self.estimate is None):
            return None
        guessed = partial(self._held(), self.received)
        return guessed if told is None else replace(told, output=max(told.output, guessed.output))

    def _settle(self, first: int, used: Amounts) -> None:
        """The end of all holds from the `first` on: a request counts as one once anything was tried for it."""
        ended = self.holds[first:]
        if ended:
            final = _refused if self.ended == "refused" else taken
            self._world.holds.settle(
                [Settlement(hold, tuple([final(demand, used) for demand in hold.demands])) for hold in ended]
            )
            del self.holds[first:]

    def _user(self) -> str:
        return self.key.user or (self.ask.user if self.ask else None) or ""

    def _held(self) -> Estimate:
        return self.estimate or rough(self.body_size)

    def _left(self, busy: Deployment) -> None:
        """The client left before `busy` had answered: the request is booked to it, for it has read the input."""
        now = self.watch.lap(FIRST_TOKEN)
        self._entered(busy, now, Failed(at=now, kind="client_gone"))
        self.served = busy

    def _entered(self, deployment: Deployment, now: float, failure: Failed | None) -> None:
        """An attempt for the record. One that failed and may be charged has had its input read, at least."""
        charged = failure is not None and failure.kind in MAY_BE_CHARGED and _priced_by(deployment) != SELF_HOSTED
        usage = partial(self._held(), 0) if charged else None
        self.attempts.append(
            AttemptRecord(
                deployment=self._name(deployment),
                started_at=self._try_at - self.watch.started_at,
                duration=now - self._try_at,
                outcome=failure.kind if failure else "answered",
                status=failure.status if failure else 200,
                retry_after=failure.retry_after if failure else None,
                connect=self.watch.parts[CONNECT] - self._connected,
                usage=usage,
                cost=self._priced(usage, deployment),
                span_id=self._span_id,
            )
        )

    def _name(self, deployment: Deployment) -> str:
        return deployment.name if self.ask is None else served_name(deployment, self.ask.model)

    def _priced(self, usage: Usage | None, deployment: Deployment | None) -> str | None:
        if usage is None or deployment is None or deployment.price is None:
            return None
        dollars = cost(usage, deployment.price, self.began)
        return None if dollars is None else f"{dollars:f}"

    def _release(self) -> None:
        if self._busy is not None:
            self._world.attempt_ends(self._busy.name)
            self._busy = None


def _priced_by(deployment: Deployment) -> str:
    """The price table's version, or that it is our own; empty: nothing knows a price."""
    if deployment.price is not None:
        return deployment.price.version
    return SELF_HOSTED if deployment.self_hosted else ""


def _refused(_demand: Demand, _used: Amounts) -> int:
    return 0
