"""The admin port: a table of what is answered there, and who is let in.

JSON in, JSON out, but for the metrics. It knows the admin key, routes and errors. It must not know what an entry does.
"""

import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from fairlead.config.units import is_loopback
from fairlead.control.wishes import RefusedError
from fairlead.database.place import DatabaseError
from fairlead.http import fields
from fairlead.http.server import Exchange
from fairlead.policy.failures import Guesses

log = logging.getLogger("fairlead.control")

JSON = fields.encode([("content-type", "application/json"), ("cache-control", "no-store")])
STATUSES = {
    "invalid_json": 400,
    "invalid_api_key": 401,
    "cross_origin": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "invalid_request_error": 422,
    "too_many_attempts": 429,
    "database_unavailable": 503,
    "state_unavailable": 503,
    "audit_unavailable": 503,
}
"""Every code that the admin port answers with; a refusal of the HTTP layer has `invalid_request` and its own status."""

READING = frozenset({"GET", "HEAD", "OPTIONS"})
UNTOLD = frozenset({"too_many_attempts", "audit_unavailable"})
"""Refusals that the audit trail is not told of: the first of their kind are, or it is the trail that refuses."""
PLACES = "/healthz, /metrics or, below /admin/v1, keys, requests, usage, audit"
"""Where somebody who is lost may go on."""
MOST_GUESSES = 10
"""Wrong admin keys of an address within a minute."""
MOST_QUERY = 2048
"""Characters of a query; a cursor fits many times."""


class Call(msgspec.Struct, frozen=True):
    """A request for one entry: `ids` are what stands in the path's braces."""

    exchange: Exchange
    ids: tuple[str, ...]

    @property
    def id(self) -> str:
        """What stands in the first braces."""
        return self.ids[0]

    async def body(self) -> bytes:
        return await self.exchange.read()

    def query(self, known: frozenset[str]) -> dict[str, str]:
        """The query's parameters. Raises RefusedError for one that is not known here or there twice."""
        text = self.exchange.query
        try:
            pairs = parse_qsl(text[:MOST_QUERY], keep_blank_values=True, strict_parsing=bool(text), errors="strict")
        except ValueError:
            raise RefusedError("invalid_request_error", "the query is not made of name=value pairs") from None
        found = dict(pairs)
        strange = found.keys() - known
        if strange or len(found) < len(pairs) or len(text) > MOST_QUERY:
            param = next(iter(sorted(strange)), None)
            allowed = ", ".join(sorted(known)) or "nothing"
            raise RefusedError("invalid_request_error", f"the query takes {allowed}, each once", param)
        return found


class Answer(msgspec.Struct, frozen=True):
    """What is answered: `body` as JSON, or as the bytes that it is where another `content_type` is named."""

    body: Any
    status: int = 200
    content_type: str = ""

    def encoded(self) -> tuple[bytes, bytes]:
        """The header block and the body."""
        if not self.content_type:
            return JSON, msgspec.json.encode(self.body) + b"\n"
        return fields.encode([("content-type", self.content_type), ("cache-control", "no-store")]), self.body


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is answered. `{}` in the path stands for any one segment."""

    method: str
    path: str
    run: Callable[[Call], Awaitable[Answer]]
    open: bool = False
    """Whether it is answered without the admin key."""


class Admin:
    """The handler of every exchange on the admin port."""

    def __init__(
        self,
        entries: Sequence[Entry],
        key: str | None,
        clock: Callable[[], float],
        *,
        guarded: bool = False,
        refused: Callable[[str, str, str], None] = lambda *_: None,
    ) -> None:
        """`guarded`: a key is wanted, also while none is known, when nobody is let in.

        `refused` is told the method, the path and the code of every change that is refused.
        """
        self._refused = refused
        self._entries = [(entry, entry.path.split("/")) for entry in entries]
        self._guarded = guarded
        self._expected: bytes | None = None
        self.guard(key)
        self._clock = clock
        self._guesses = Guesses(MOST_GUESSES)

    def guard(self, key: str | None) -> None:
        """The key has this value from now on; None: the last one stays."""
        if key is not None:
            self._guarded, self._expected = True, f"Bearer {key}".encode()

    async def __call__(self, exchange: Exchange) -> None:
        found = self._at(exchange.path)
        entry = next((one for one in found if one[0].method == _asked(exchange)), None)
        try:
            if entry is None or not entry[0].open:
                self._check(exchange)
            if entry is None:
                code = _refuse_way(exchange, [one.method for one, _ in found])
                self._tell(exchange, code)
            else:
                answer = await entry[0].run(Call(exchange, entry[1]))
                exchange.send(answer.status, *answer.encoded())
        except RefusedError as refused:
            self._tell(exchange, refused.code)
            _send_error(exchange, refused.code, str(refused), param=refused.param)
        except DatabaseError as error:
            _send_error(exchange, "database_unavailable", str(error))

    def _tell(self, exchange: Exchange, code: str) -> None:
        if exchange.method not in READING and code not in UNTOLD:
            self._refused(exchange.method, exchange.path, code)

    def _at(self, path: str) -> list[tuple[Entry, tuple[str, ...]]]:
        """The entries at `path`, with what stands in their braces."""
        given = path.split("/")
        found = []
        for entry, pattern in self._entries:
            if len(pattern) == len(given) and all(p in (g, "{}") for p, g in zip(pattern, given, strict=True)):
                found.append((entry, tuple(g for p, g in zip(pattern, given, strict=True) if p == "{}")))
        return found

    def _check(self, exchange: Exchange) -> None:
        """Raises RefusedError unless the caller may use this port."""
        host, origin = (exchange.headers.get(name, b"").decode("latin-1") for name in (b"host", b"origin"))
        if origin and origin.partition("://")[2].lower() != host.lower():
            raise RefusedError("cross_origin", "a page of another site may not use the admin port")
        if not self._guarded:
            # Open on loopback. A page whose name was made to point here must not be let in with whoever reads it.
            if not is_loopback(_hostname(host)):
                raise RefusedError(
                    "cross_origin", "without admin.key this port is for http://127.0.0.1 and localhost only"
                )
            return
        now = self._clock()
        if self._guesses.wait(exchange.peer, now):
            raise RefusedError("too_many_attempts", "too many wrong admin keys from this address; wait a minute")
        given = exchange.headers.get(b"authorization", b"")
        if self._expected is None or not hmac.compare_digest(given, self._expected):
            if given:
                self._guessed(exchange.peer, now)
            raise RefusedError("invalid_api_key", "the admin port wants its key: Authorization: Bearer <admin.key>")

    def _guessed(self, peer: str, now: float) -> None:
        """A key that was wrong, and not merely missing: whoever probes without one locks nobody out."""
        self._guesses.failed(peer, now)
        if seconds := self._guesses.wait(peer, now):
            log.warning("admin_locked", extra={"peer": peer, "seconds": round(seconds)})


def refuse(status: int, reason: str) -> tuple[bytes, bytes]:
    """How the HTTP layer's own refusals read here."""
    del status
    return JSON, _error("invalid_request", reason)


def _asked(exchange: Exchange) -> str:
    return "GET" if exchange.method == "HEAD" else exchange.method


def _refuse_way(exchange: Exchange, methods: list[str]) -> str:
    """Sends the refusal; its code."""
    if not methods:
        _send_error(exchange, "not_found", f"nothing is here; try {PLACES}")
        return "not_found"
    allowed = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))
    _send_error(exchange, "method_not_allowed", f"here one may {allowed}", more=[("allow", allowed)])
    return "method_not_allowed"


def _send_error(
    exchange: Exchange, code: str, message: str, *, param: str | None = None, more: Sequence[tuple[str, str]] = ()
) -> None:
    if code == "too_many_attempts":
        more = [("retry-after", "60")]
    exchange.send(STATUSES[code], JSON + fields.encode(more), _error(code, message, param))


def _error(code: str, message: str, param: str | None = None) -> bytes:
    return msgspec.json.encode({"error": {"message": message, "code": code, "param": param}}) + b"\n"


def _hostname(host: str) -> str:
    """The host of a Host header without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
