"""What a worker knows while it serves: the current snapshot, made quick to look things up in, and its instruments.

It knows keys, routes and endpoints. It must not know files, secrets' origins or other processes.
"""

import hmac
import re
import secrets as entropy
import time
from random import Random
from typing import TYPE_CHECKING

from fairlead.canonical.errors import GatewayError
from fairlead.canonical.limits import Demand, Rule, Unit
from fairlead.canonical.routing import Deployment, Failed, Route, Snapshot, Try
from fairlead.canonical.tenants import VirtualKey
from fairlead.gateway.calls import Calls
from fairlead.gateway.holds import Holds
from fairlead.gateway.upstream import Request
from fairlead.http.client import Client
from fairlead.journal import Journal
from fairlead.policy.attempts import Plan
from fairlead.policy.estimate import Estimate, Rates, amounts, terms
from fairlead.policy.health import Fleet
from fairlead.policy.routes import Routes, covers
from fairlead.policy.rules import Rules
from fairlead.policy.select import Needs
from fairlead.tokens.counter import Counter
from fairlead.tokens.estimator import Way, estimated, vocabularies, ways

if TYPE_CHECKING:
    from fairlead.gateway.books import Books

ANYONE = VirtualKey(id="")
"""Who calls when no keys are configured."""

KEY_CARRIERS = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
BEARER = b"bearer "
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
LONGEST_TIMEOUT = 86_400_000
"""Milliseconds."""
ONE: dict[Unit, int] = {"requests": 1, "concurrency": 1}
"""What a request asks of the limits for which nothing needs to be counted."""
MOST_TAGS = 16
LONGEST_TAG = 64
MOST_ADMITTED = 4096
"""Keys of which a worker remembers what they stand for."""


class World:
    """One worker's view. `adopt` swaps the snapshot between two requests; a request keeps the routes that it found."""

    def __init__(self, client: Client, journal: Journal, holds: Holds, rng: Random) -> None:
        self.clock = time.monotonic  # uvloop's own clock is this one, but told in whole milliseconds once a turn
        self.wall = time.time
        self.client = client
        self.journal = journal
        self.holds = holds
        self.rng = rng
        self.fleet = Fleet(rng)
        self.snapshot = Snapshot(version="", routes=())
        self._routes = Routes(())
        self.rules = Rules(tiers={}, tenants={}, scoped=())
        self.counter = Counter()
        self._ways: dict[str, tuple[Way, ...]] = {}
        self._rates: dict[str, Rates | None] = {}
        self.calls = Calls({})
        self._admitted: dict[bytes, VirtualKey] = {}
        self._ids = entropy.token_hex(6)
        self._count = 0

    def adopt(self, snapshot: Snapshot) -> None:
        """Serves `snapshot` from the next request on; a credential that changed is no longer quarantined."""
        for name, secret in snapshot.secrets.items():
            if self.snapshot.secrets.get(name) != secret:
                self.fleet.pardon(name)
        self.snapshot = snapshot
        self._routes = Routes(snapshot.routes)
        self.rules = Rules(tiers=snapshot.tiers, tenants=snapshot.tenants, scoped=snapshot.scoped)
        self._rates = {c.deployment.name: terms(c.deployment).rates for r in snapshot.routes for c in r.choices}
        self._ways = {}
        self.calls = Calls(snapshot.secrets)
        self._admitted = {}

    def admit(self, headers: dict[bytes, bytes]) -> VirtualKey:
        """Whose key the request carries. Raises GatewayError `invalid_api_key`."""
        for carrier in KEY_CARRIERS:
            presented = headers.get(carrier)
            if presented is not None:
                break
        else:
            if self.snapshot.open:
                return ANYONE
            raise GatewayError("invalid_api_key", "no API key was given; send it as 'Authorization: Bearer <key>'")
        if presented[:7].lower() == BEARER:
            presented = presented[7:].strip()
        key = self._admitted.get(presented) or self._known(presented)
        if key is not None:
            return key
        if self.snapshot.open:
            return ANYONE
        raise GatewayError("invalid_api_key", "the API key is not known here; check it, or ask for a new one")

    def _known(self, presented: bytes) -> VirtualKey | None:
        """The key by its MAC. What was found is remembered for this snapshot: a MAC costs as much as a whole parse."""
        mac = hmac.digest(self.snapshot.pepper, presented, "sha256").hex()
        key = self.snapshot.keys.get(mac)
        if key is not None and len(self._admitted) < MOST_ADMITTED:
            self._admitted[presented] = key
        return key

    def route(self, model: str, key: VirtualKey) -> Route:
        """The route that serves `model`. Raises GatewayError `model_not_found` or `model_not_allowed`."""
        route = self._routes.find(model)
        if route is None:
            raise GatewayError("model_not_found", f"the model {model!r} does not exist here", param="model")
        if not self._may_use(key, model, route):
            raise GatewayError("model_not_allowed", f"this key may not use the model {model!r}", param="model")
        return route

    def models(self, key: VirtualKey) -> list[str]:
        """The models that this key may ask for, as configured."""
        return [route.model for route in self.snapshot.routes if self._may_use(key, route.model, route)]

    def _may_use(self, key: VirtualKey, model: str, route: Route) -> bool:
        if key.routes and route.model not in key.routes:
            return False
        lists = self.rules.models_of(key)
        return all(any(covers(pattern, model) for pattern in models) for models in lists)

    async def reserve(self, books: "Books", request: Request, route: Route) -> None:
        """Holds what the request's limits and budgets ask for, or raises what the client is told."""
        key, ask = books.key, request.ask
        books.tags = tags = self.rules.tags_of(key, said_tags(request.headers))
        rules = self.rules.of(key, ask.model, key.user or ask.user, tags)
        if rules:
            tenant = self.snapshot.tenants.get(key.tenant)
            demands = await self._demands(rules, books, request, route)
            await self.holds.take(demands, books, strict=tenant is not None and tenant.strict)

    async def reserve_attempt(self, books: "Books", request: Request, route: Route, step: Try) -> Failed | None:
        """Holds what the limits of the deployment itself ask for; or the failure that sends the request elsewhere."""
        rules = self.rules.of_deployment(step.deployment.name)
        if not rules:
            return None
        demands = await self._demands(rules, books, request, route)
        return await self.holds.take_attempt(demands, books, step, self.clock())

    async def _demands(
        self, rules: tuple[Rule, ...], books: "Books", request: Request, route: Route
    ) -> tuple[Demand, ...]:
        """How much the request wants of each rule. Its tokens are counted only where a rule asks for them."""
        wanted = ONE
        if any(rule.unit not in ONE for rule in rules):
            if books.estimate is None:
                books.estimate = await self._estimated(request, route)
            wanted = amounts(books.estimate)
        return tuple([Demand(rule, wanted[rule.unit]) for rule in rules])

    async def _estimated(self, request: Request, route: Route) -> Estimate:
        ask = request.ask
        over = self._ways.get(route.model)
        if over is None or route.model.endswith("*"):
            over = ways([choice.deployment for choice in route.choices], ask.model)
            self._ways[route.model] = over
            self.counter.prepare(vocabularies(over))
        return await estimated(self.counter, request.chat, over, max_tokens=ask.max_tokens, n=ask.n)

    def rates_of(self, served: Deployment | None) -> Rates | None:
        """What the deployment that answered charges; None: nobody answered, or it is not known."""
        return None if served is None else self._rates.get(served.name)

    def plan(self, books: "Books", request: Request, route: Route) -> Plan:
        ask = request.ask
        tenant = self.snapshot.tenants.get(books.key.tenant)
        session = request.headers.get(b"x-fairlead-session", b"") if route.select == "sticky" else b""
        needs = Needs(
            tools=ask.tools,
            images=ask.images,
            session=session.decode("latin-1") or ask.user or "",
            dialect=request.dialect.NAME if ask.n > 1 else "",
            region=(tenant.residency or "") if tenant else "",
            self_hosted=tenant.self_hosted if tenant else False,
            priced=any(is_hard_budget(demand.rule) for hold in books.holds for demand in hold.demands),
        )
        return Plan(route, self.fleet, self.rng, needs, self.snapshot.secrets)

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

    def attempt_begins(self, deployment: str) -> None:
        busy = self.fleet.busy
        busy[deployment] = busy.get(deployment, 0) + 1

    def attempt_ends(self, deployment: str) -> None:
        self.fleet.busy[deployment] -= 1


def is_hard_budget(rule: Rule) -> bool:
    return rule.unit == "money" and rule.hard


def said_tags(headers: dict[bytes, bytes]) -> tuple[tuple[str, str], ...]:
    """The tags of `x-fairlead-tags`: `team=search, beta`. Raises GatewayError for what is no list of tags."""
    said = headers.get(b"x-fairlead-tags")
    if said is None:
        return ()
    words = [word.strip() for word in said.decode("latin-1").split(",") if word.strip()]
    if len(words) > MOST_TAGS or any(len(word) > LONGEST_TAG or not word.isprintable() for word in words):
        raise GatewayError(
            "invalid_request_error",
            f"x-fairlead-tags takes at most {MOST_TAGS} tags of {LONGEST_TAG} characters: name=value, name",
            param="x-fairlead-tags",
        )
    return tuple([(name, value) for name, _, value in (word.partition("=") for word in words)])
