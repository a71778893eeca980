"""What a fake provider is told to do: which fault meets which request, and how fast an answer comes.

Values only. How a fault looks on the wire is in `faults`.
"""

import random
from collections.abc import Mapping

import msgspec

FAULT_NAMES: dict[str, str] = {
    "ok": "a good answer",
    "429": "429 with Retry-After in seconds (amount, default 1)",
    "429_date": "429 with Retry-After as an HTTP date (amount seconds ahead, default 2)",
    "429_ms": "429 with retry-after-ms (amount, default 50)",
    "429_plain": "429 without any hint",
    "429_quota": "429 because the account has no credit",
    "500": "500",
    "502": "502, an HTML page as proxies send it",
    "503": "503 (with an amount: Retry-After in seconds)",
    "529": "529, overloaded",
    "400": "400, a wrong request",
    "400_context": "400, the prompt is too long",
    "400_policy": "400, the prompt breaks the content policy",
    "401": "401, a wrong key",
    "403": "403, a key without the permission",
    "404": "404, no such model",
    "422": "422, a wrong request",
    "reset": "the connection is reset before any answer",
    "hangup": "the connection is closed before any answer",
    "refuse": "reset, and the port refuses connections for amount seconds (default 1)",
    "stall": "no answer, ever, on an open connection",
    "stall_stream": "the answer stops after amount events (default 2) and the connection stays open",
    "slow": "the head comes at once, the first event after amount seconds (default 1)",
    "cut": "the connection is closed after amount events (default 2)",
    "cut_reset": "the connection is reset after amount events (default 2)",
    "ended_early": "a clean HTTP end after amount events (default 2)",
    "no_terminal": "everything but the terminal event, and a clean HTTP end",
    "error_event": "an error event after amount events (default 0: it is the first)",
    "bad_event": "an event that is not JSON after amount events (default 2), then the rest",
    "bad_sse": "lines that are no server-sent events after amount events (default 2), then the rest",
    "json_for_stream": "a whole JSON answer although a stream was asked for",
    "html": "200 with an HTML page",
    "bad_json": "200 with broken JSON",
    "empty": "200 with an empty body",
    "empty_object": "200 with {}",
    "no_choices": "200 with an answer that holds nothing",
    "error_in_200": "200 with an error object",
    "truncated": "fewer bytes than Content-Length says",
    "redirect": "302 to another path of this server, which would answer",
    "huge": "200 with amount MiB (default 64) of valid JSON",
    "gzip": "a good answer, compressed although nobody asked",
    "garbage": "bytes that are not HTTP",
}
"""Every fault by name. After a colon it takes an amount: `429:3`, `cut:5`, `slow:0.2`."""


class Fault(msgspec.Struct, frozen=True):
    """One row of FAULT_NAMES, with its amount where one was given."""

    name: str = "ok"
    amount: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """`NAME` or `NAME:AMOUNT`. Raises ValueError, naming what exists."""
        name, _, amount = text.strip().partition(":")
        if name not in FAULT_NAMES:
            raise ValueError(f"unknown fault {name!r}; there are {', '.join(FAULT_NAMES)}")
        return cls(name, float(amount) if amount else None)

    @property
    def written(self) -> str:
        """As `parse` takes it."""
        return self.name if self.amount is None else f"{self.name}:{self.amount:g}"

    def or_default(self, default: float) -> float:
        return default if self.amount is None else self.amount


OK = Fault()


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast an answer comes: seconds to the first event and between events."""

    first: float = 0.0
    interval: float = 0.0
    jitter: float = 0.0
    """Each wait is multiplied by a number drawn from [1 - jitter, 1 + jitter]."""
    chunks: int | None = None
    """Plain answers get exactly so many words, one per event; None: as many as they have."""


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """First `sequence`, one fault per request; after it each request draws from `rates`."""

    sequence: tuple[Fault, ...] = ()
    rates: tuple[tuple[Fault, float], ...] = ()
    """Faults and their probabilities; what is missing to 1 is `ok`."""
    pace: Pace = Pace()

    @classmethod
    def of(cls, *faults: str, rates: Mapping[str, float] | None = None, pace: Pace | None = None) -> "Script":
        """`Script.of("429", "ok", rates={"503": 0.1})`. Raises ValueError for names and rates that cannot be."""
        drawn = tuple((Fault.parse(name), rate) for name, rate in (rates or {}).items())
        if any(rate < 0 for _, rate in drawn) or sum(rate for _, rate in drawn) > 1:
            raise ValueError(f"rates must not be negative and add up to at most 1, not {dict(rates or {})}")
        return cls(sequence=tuple(map(Fault.parse, faults)), rates=drawn, pace=pace or Pace())


def parse_rates(text: str) -> dict[str, float]:
    """`429=0.2,503=0.1` as a mapping. Raises ValueError."""
    rates: dict[str, float] = {}
    for entry in filter(None, text.split(",")):
        name, equals, rate = entry.partition("=")
        if not equals:
            raise ValueError(f"{entry!r} is not NAME=RATE")
        rates[name.strip()] = float(rate)
    return rates


def draw(rates: tuple[tuple[Fault, float], ...], chance: random.Random) -> Fault:
    """One fault by its probability."""
    if not rates:
        return OK
    ticket = chance.random()
    for fault, rate in rates:
        ticket -= rate
        if ticket < 0:
            return fault
    return OK
