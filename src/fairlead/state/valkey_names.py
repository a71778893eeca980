"""How the rules and slots of `policy` are called on a Redis or Valkey server, and how a rule is told to `limits.lua`.

Keys are named `fl:{slot}:…`: of such a name a cluster hashes the slot only, so that a slot's keys lie together.
It must not know connections.
"""

from binascii import crc_hqx
from itertools import count
from typing import Literal, NamedTuple

import msgspec

from fairlead.canonical.limits import Rule
from fairlead.policy.budget import rolling_grain
from fairlead.policy.limits import bucket_capacity, grain_width
from fairlead.state.records import encode_rule

SLOTS = 16_384
"""Into so many parts a cluster divides its keys."""
KNOWN = 50_000
"""Rules, and slots, of which a process keeps the names."""
Mechanism = Literal["bucket", "window", "fixed", "gauge", "calendar", "rolling"]
MECHANISMS: dict[str, Mechanism] = {
    "token_bucket": "bucket",
    "gcra": "bucket",
    "sliding_window": "window",
    "sliding_log": "window",
    "fixed_window": "fixed",
    "concurrency": "gauge",
    "calendar": "calendar",
    "rolling": "rolling",
}
_encode = msgspec.msgpack.Encoder().encode


class _Wire(msgspec.Struct, frozen=True):
    """A rule as the script reads it."""

    mechanism: Mechanism
    limit: int
    tick: int
    ticks: int
    burst: int
    hard: bool
    width: int
    """Of a grain: ticks, or microseconds where it is a rolling budget."""
    capacity: int


class Known(NamedTuple):
    """A rule in the forms in which it is sent. The rule itself is here so that its id is not given to another one."""

    rule: Rule
    key: bytes
    wire: msgspec.Raw
    stored: msgspec.Raw


class Slot(NamedTuple):
    """The keys of a slot beside its rules' states."""

    holds: bytes
    leases: bytes


class Names:
    """The names of rules and slots, kept ready."""

    def __init__(self) -> None:
        self._rules: dict[int, Known] = {}
        self._slots: dict[str, Slot] = {}

    def slot(self, name: str) -> Slot:
        slot = self._slots.get(name)
        if slot is None:
            if len(self._slots) >= KNOWN:
                self._slots.clear()
            slot = self._slots[name] = Slot(_key(name, "holds"), _key(name, "leases"))
        return slot

    def rule(self, rule: Rule) -> Known:
        known = self._rules.get(id(rule))
        if known is None:
            if len(self._rules) >= KNOWN:
                self._rules.clear()
            wire = msgspec.Raw(_encode(_wire(rule)))
            known = Known(rule, _key(rule.slot, f"s:{rule.key}"), wire, encode_rule(rule))
            self._rules[id(rule)] = known
        return known


def bill_key(slot: str, bill: str) -> bytes:
    """The mark of a bill that was paid."""
    return _key(slot, f"paid:{bill}")


def slot_of(key: bytes) -> int:
    """The hash slot of a key (Redis cluster specification): of its first `{…}` alone, unless that is empty."""
    begin = key.find(b"{")
    end = key.find(b"}", begin + 1) if begin >= 0 else -1
    return crc_hqx(key[begin + 1 : end] if end > begin + 1 else key, 0) % SLOTS


def probe_key(begin: int, end: int) -> str:
    """A key whose hash slot is one of `begin` to before `end`."""
    return next(key for key in map("fl:probe:{}".format, count()) if begin <= slot_of(key.encode()) < end)


def _wire(rule: Rule) -> _Wire:
    mechanism = MECHANISMS[rule.algorithm]
    return _Wire(
        mechanism=mechanism,
        limit=rule.limit,
        tick=rule.tick,
        ticks=rule.ticks,
        burst=rule.burst,
        hard=rule.hard,
        width=rolling_grain(rule) if mechanism == "rolling" else grain_width(rule),
        capacity=bucket_capacity(rule),
    )


def _key(slot: str, rest: str) -> bytes:
    """A name of which the server hashes the slot only."""
    return f"fl:{{{slot.replace('}', '%7D')}}}:{rest}".encode()
