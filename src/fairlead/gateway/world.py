"""What a worker knows while it serves: the current snapshot, made quick to look things up in, and its instruments.

It knows keys, routes and endpoints. It must not know files, secrets' origins or other processes.
"""

import re
import secrets as entropy
import time
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from fairlead.canonical.errors import GatewayError
from fairlead.canonical.routing import Failed, Route, Snapshot, Trace, Try
from fairlead.canonical.tenants import Tenant, VirtualKey
from fairlead.gateway.callers import Callers
from fairlead.gateway.calls import Calls
from fairlead.gateway.demands import Demands
from fairlead.gateway.holds import Holds
from fairlead.gateway.said import said_metadata
from fairlead.gateway.texts import Texts
from fairlead.gateway.upstream import Request
from fairlead.http.client import Client
from fairlead.journal import CONTENT, Journal
from fairlead.policy.attempts import Plan
from fairlead.policy.demands import is_hard_budget
from fairlead.policy.health import Fleet
from fairlead.policy.routes import Routes
from fairlead.policy.select import Needs, for_tenant, resting
from fairlead.state.channel import Notice
from fairlead.telemetry import trace_context
from fairlead.tokens.counter import Counter

if TYPE_CHECKING:
    from fairlead.gateway.books import Books

REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
FULL_SOON = 1.0
"""Seconds after which there may be room for records again."""
LONGEST_TIMEOUT = 86_400_000
"""Milliseconds."""


class World:
    """One worker's view. `adopt` swaps the snapshot between two requests; a request keeps the routes that it found."""

    def __init__(self, client: Client, journal: Journal, callers: Callers, holds: Holds, rng: Random) -> None:
        self.clock = time.monotonic  # uvloop's own clock is this one, but told in whole milliseconds once a turn
        self.wall = time.time
        self.client = client
        self.journal = journal
        self.callers = callers
        self.holds = holds
        self.rng = rng
        self.fleet = Fleet(rng)
        self.snapshot = Snapshot(version="", routes=())
        self.counter = Counter()
        self.demands = Demands(self.snapshot, self.counter)
        self.tell: Callable[[Notice], None] = lambda _: None
        """How the control process is told what only it can mend."""
        self._routes = Routes(())
        self.calls = Calls({})
        self._ids = entropy.token_hex(6)
        self._count = 0

    def adopt(self, snapshot: Snapshot) -> None:
        """Serves `snapshot` from the next request on; a credential that changed is no longer quarantined."""
        for name, secret in snapshot.secrets.items():
            if self.snapshot.secrets.get(name) != secret:
                self.fleet.pardon(name)
        self.snapshot = snapshot
        self.callers.adopt(snapshot)
        self.demands = Demands(snapshot, self.counter)
        self._routes = Routes(snapshot.routes, snapshot.facts)
        self.calls = Calls(snapshot.secrets)

    def route(self, model: str, key: VirtualKey) -> Route:
        """The route that serves `model`. Raises GatewayError `model_not_found` or `model_not_allowed`."""
        route = self._routes.find(model)
        if route is None:
            raise GatewayError("model_not_found", f"the model {model!r} does not exist here", param="model")
        if not self.demands.rules.may_use(key, model, route):
            raise GatewayError("model_not_allowed", f"this key may not use the model {model!r}", param="model")
        return route

    def models(self, key: VirtualKey) -> list[str]:
        """The models that this key may ask for, as configured."""
        may_use = self.demands.rules.may_use
        return [route.model for route in self.snapshot.routes if may_use(key, route.model, route)]

    async def reserve(self, books: "Books", request: Request, route: Route) -> None:
        """Holds what the request's limits and budgets ask for, or raises what the client is told."""
        tenant = self._tenant(books.key)
        demands = await self.demands.of_request(books, request, route)
        if demands:
            await self.holds.take(demands, books, strict=tenant is not None and tenant.strict)

    async def reserve_attempt(self, books: "Books", request: Request, route: Route, step: Try) -> Failed | None:
        """Holds what the limits of the deployment itself ask for; or the failure that sends the request elsewhere."""
        demands = await self.demands.of_attempt(step.deployment, books, request, route)
        return await self.holds.take_attempt(demands, books, step, self.clock()) if demands else None

    def note_said(self, books: "Books", request: Request) -> None:
        """What the client says for its record, and whether the texts themselves belong into it.

        Raises GatewayError where there is no room for them: a record that is wanted with them is not written without.
        """
        books.metadata = said_metadata(request.headers)
        tenant = self.snapshot.tenants.get(books.key.tenant)
        said = tenant.content if tenant else None
        if self.snapshot.content if said is None else said:
            if not self.journal.promise(CONTENT):
                message = "there is no room to record the texts of this request; try again in a moment"
                raise GatewayError("ledger_unavailable", message, retry_after=FULL_SOON)
            books.texts = Texts(request)

    def plan(self, books: "Books", request: Request, route: Route) -> Plan:
        ask = request.ask
        tenant = self._tenant(books.key)
        session = request.headers.get(b"x-fairlead-session", b"") if route.select == "sticky" else b""
        priced = any(is_hard_budget(demand.rule) for hold in books.holds for demand in hold.demands)
        if priced and ask.dearer:
            message = "service_tier 'priority' has a price of its own, so a hard budget could not hold; leave it out"
            raise GatewayError("invalid_request_error", message, param="service_tier")
        books.needs = needs = self._needs(request, session, priced=priced, tenant=tenant)
        books.rested = resting(route, self.fleet, self.clock())
        return Plan(route, self.fleet, self.rng, needs, self.snapshot.secrets)

    @staticmethod
    def _needs(request: Request, session: bytes, *, priced: bool, tenant: Tenant | None) -> Needs:
        ask = request.ask
        needs = Needs(
            tools=ask.tools,
            images=ask.images,
            session=session.decode("latin-1") or ask.user or "",
            dialect=request.dialect.NAME if ask.n > 1 else "",
            priced=priced,
        )
        return for_tenant(needs, tenant)

    def _tenant(self, key: VirtualKey) -> Tenant | None:
        """The key's tenant. Raises GatewayError where a reload took it away since the key was let in: nobody knows
        any more where its data may go.
        """
        tenant = self.snapshot.tenants.get(key.tenant)
        if tenant is None and key.tenant:
            raise GatewayError("invalid_api_key", "the tenant of this API key is not served here any more")
        return tenant

    def time_allowed(self, headers: dict[bytes, bytes], route: Route) -> float:
        """Seconds for everything: the route's total, or less where the caller says so in `x-fairlead-timeout`."""
        asked = headers.get(b"x-fairlead-timeout")
        if asked is None:
            return route.timeouts.total
        if not asked.isdigit() or not 0 < int(asked[:12]) <= LONGEST_TIMEOUT:
            raise GatewayError(
                "invalid_request_error",
                f"x-fairlead-timeout is {asked.decode('latin-1')!r}; it takes whole milliseconds",
                param="x-fairlead-timeout",
            )
        return min(route.timeouts.total, int(asked) / 1000)

    def request_id(self, headers: dict[bytes, bytes]) -> str:
        """The caller's own id where it is safe to repeat, else a new one."""
        given = headers.get(b"x-request-id")
        if given is not None and REQUEST_ID.fullmatch(given):
            return given.decode("ascii")
        self._count += 1
        return f"req_{self._ids}{self._count:x}"

    def trace(self, headers: dict[bytes, bytes]) -> Trace | None:
        """The request's place in its caller's trace, or a new trace where somebody takes them; else none."""
        given = trace_context.parse(headers.get(b"traceparent"), headers.get(b"tracestate"))
        if given is None and not self.snapshot.tracing:
            return None
        if given is None:
            return Trace(trace_id=f"{self.rng.getrandbits(128) | 1:032x}", span_id=self.span_id())
        trace_id, parent_id, sampled, state = given
        return Trace(trace_id=trace_id, span_id=self.span_id(), parent_id=parent_id, sampled=sampled, state=state)

    def span_id(self) -> str:
        """A new one; never all zeros, which would be none."""
        return f"{self.rng.getrandbits(64) | 1:016x}"

    def attempt_begins(self, deployment: str) -> None:
        busy = self.fleet.busy
        busy[deployment] = busy.get(deployment, 0) + 1

    def attempt_ends(self, deployment: str) -> None:
        self.fleet.busy[deployment] -= 1
