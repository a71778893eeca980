"""W3C Trace Context (https://www.w3.org/TR/trace-context/, level 1): the headers `traceparent` and `tracestate`.

Pure: header values in, a place in a trace out, and back. It must not know who makes spans.
"""

import re
from typing import NamedTuple

from fairlead.canonical.routing import Trace

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MEMBER = re.compile(
    rb"((?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}))"
    rb"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
LONGEST_STATE = 512
"""Characters of a `tracestate` that are passed on."""
MOST_MEMBERS = 32
_NO_TRACE, _NO_SPAN = b"0" * 32, b"0" * 16
SAMPLED = 1


class Parent(NamedTuple):
    """What the caller says of its trace."""

    trace_id: str
    span_id: str
    sampled: bool
    state: str
    """Its `tracestate`; empty: none that may be passed on."""


def parse(traceparent: bytes | None, tracestate: bytes | None) -> Parent | None:
    """The caller's place in its trace; None where it named none, or not as the standard wants it.

    A later version than 00 may have more behind the flags, which is left out. Without a good `traceparent` nothing is
    made of `tracestate`.
    """
    if traceparent is None:
        return None
    found = _PARENT.fullmatch(traceparent.strip(b" \t"))
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == b"ff" or (rest and version == b"00") or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    state = _state(tracestate) if tracestate else ""
    return Parent(trace_id.decode(), span_id.decode(), bool(int(flags, 16) & SAMPLED), state)


def fields(trace: Trace, span_id: str) -> bytes:
    """The header lines that make the span `span_id` of `trace` the parent of whatever is asked with them."""
    lines = f"traceparent: 00-{trace.trace_id}-{span_id}-0{trace.sampled:d}\r\n"
    if trace.state:
        lines += f"tracestate: {trace.state}\r\n"
    return lines.encode()


def _state(tracestate: bytes) -> str:
    """The members that are passed on: none where one of them is wrong or comes twice, else as many as there is room
    for, the first ones first.
    """
    members = [member for one in tracestate.split(b",") if (member := one.strip(b" \t"))]
    found = [_MEMBER.fullmatch(member) for member in members]
    keys = {one[1] for one in found if one is not None}
    if len(keys) < len(members) or len(members) > MOST_MEMBERS:
        return ""
    while members and sum(map(len, members)) + len(members) - 1 > LONGEST_STATE:
        members.pop()
    return b",".join(members).decode()
