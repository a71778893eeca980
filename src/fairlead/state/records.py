"""What engines write down of a hold, so that it can be settled by whoever finds it overdue.

It must not know where that is written.
"""

import msgspec

from fairlead.canonical.limits import Demand, Rule
from fairlead.state.port import Hold, Overdue

_encode = msgspec.msgpack.Encoder().encode


class Record(msgspec.Struct, frozen=True, array_like=True):
    demands: tuple[tuple[Rule, int], ...]
    note: bytes
    part: bool = False
    """Of a hold whose own record is in another slot: it is only there so that what it holds is not lost."""


_decode = msgspec.msgpack.Decoder(Record).decode


def encode_rule(rule: Rule) -> msgspec.Raw:
    """To be kept: a rule is part of many records."""
    return msgspec.Raw(_encode(rule))


def encode_record(demands: list[tuple[msgspec.Raw, int]], note: bytes, *, part: bool = False) -> bytes:
    return _encode((demands, note, True) if part else (demands, note))


def decode_record(data: bytes) -> Record:
    return _decode(data)


def overdue(hold: str, since: int, record: Record) -> Overdue:
    demands = tuple(Demand(rule, amount) for rule, amount in record.demands)
    return Overdue(Hold(hold, demands, since), record.note)
