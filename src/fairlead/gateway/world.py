"""What a worker knows while it serves: the current snapshot, made quick to look things up in, and its instruments.

It knows keys, routes and endpoints. It must not know files, secrets' origins or other processes.
"""

import hmac
import re
import secrets as entropy
import time
from collections.abc import Callable
from random import Random

import msgspec

from fairlead.canonical.errors import GatewayError
from fairlead.canonical.routing import Route, Snapshot
from fairlead.canonical.tenants import VirtualKey
from fairlead.gateway.bearers import Bearers, inherited
from fairlead.gateway.calls import Calls
from fairlead.gateway.presented import presented
from fairlead.gateway.upstream import Request
from fairlead.http.client import Client
from fairlead.journal import Journal
from fairlead.policy.attempts import Plan
from fairlead.policy.claims import Known
from fairlead.policy.health import Fleet
from fairlead.policy.routes import Routes, covers
from fairlead.policy.select import Needs

ANYONE = VirtualKey(id="")
"""Who calls when no keys are configured."""

REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
LONGEST_TIMEOUT = 86_400_000
"""Milliseconds."""
MOST_ADMITTED = 4096
"""Keys of which a worker remembers what they stand for."""


class World:
    """One worker's view. `adopt` swaps the snapshot between two requests; a request keeps the routes that it found."""

    def __init__(self, client: Client, journal: Journal, rng: Random) -> None:
        self.clock = time.monotonic  # uvloop's own clock is this one, but told in whole milliseconds once a turn
        self.wall = time.time
        self.client = client
        self.journal = journal
        self.rng = rng
        self.fleet = Fleet(rng)
        self.snapshot = Snapshot(version="", routes=())
        self._routes = Routes(())
        self.calls = Calls({})
        self._admitted: dict[bytes, VirtualKey] = {}
        self._bearers = Bearers((), self.wall)
        self.keys_wanted: Callable[[str], None] = lambda _: None
        """Told of an issuer that has signed with a key not known here."""
        self._ids = entropy.token_hex(6)
        self._count = 0

    def adopt(self, snapshot: Snapshot) -> None:
        """Serves `snapshot` from the next request on; a credential that changed is no longer quarantined."""
        for name, secret in snapshot.secrets.items():
            if self.snapshot.secrets.get(name) != secret:
                self.fleet.pardon(name)
        issuers = inherited(snapshot.issuers, self.snapshot.issuers)
        snapshot = msgspec.structs.replace(snapshot, issuers=issuers)
        self.snapshot = snapshot
        self._routes = Routes(snapshot.routes)
        self.calls = Calls(snapshot.secrets)
        self._admitted = {}
        self._bearers = Bearers(
            issuers,
            self.wall,
            known=Known(tenants=snapshot.tenants.keys(), tiers=snapshot.tiers.keys()),
            wanted=self.keys_wanted,
        )

    def admit(self, headers: dict[bytes, bytes], query: str) -> VirtualKey:
        """Whose key or token the request carries. Raises GatewayError, `invalid_api_key` above all."""
        credential = None if self.snapshot.open else presented(headers, query)
        if credential is None:
            if self.snapshot.open:
                return ANYONE
            raise GatewayError("invalid_api_key", "no API key was given; send it as 'Authorization: Bearer <key>'")
        key = self._admitted.get(credential) or self._known(credential) or self._bearers.caller(credential)
        if key is not None:
            return key
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
        if key.models and not any(covers(pattern, model) for pattern in key.models):
            raise GatewayError("model_not_allowed", f"this key may not use the model {model!r}", param="model")
        return route

    def models(self, key: VirtualKey) -> list[str]:
        """The models that this key may ask for, as configured."""
        names = [route.model for route in self.snapshot.routes]
        return [name for name in names if not key.models or any(covers(pattern, name) for pattern in key.models)]

    def plan(self, request: Request, route: Route) -> Plan:
        ask = request.ask
        session = request.headers.get(b"x-fairlead-session", b"") if route.select == "sticky" else b""
        needs = Needs(
            tools=ask.tools,
            images=ask.images,
            session=session.decode("latin-1") or ask.user or "",
            dialect=request.dialect.NAME if ask.n > 1 else "",
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
