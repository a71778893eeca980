"""The data of one event of an Anthropic stream, as far as anyone here reads it.

It knows the members of events. It must not know their order, nor what they add up to.
"""

import msgspec

from fairlead.dialects import body as gate
from fairlead.dialects.anthropic.answer import Block, StopDetails

KNOWN = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "ping",
        "error",
    }
)


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The message of a `message_start`."""

    id: str
    model: str
    usage: msgspec.Raw = msgspec.Raw(b"")


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """The delta of a block or of the whole message."""

    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class StreamEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Any event's data; a member is at its default where the event's type has no such member."""

    type: str = ""
    message: Head | None = None
    index: int = 0
    content_block: Block | None = None
    delta: Delta = Delta()
    usage: msgspec.Raw = msgspec.Raw(b"")


class _Typed(msgspec.Struct, frozen=True, kw_only=True):
    type: str = ""


_decode = msgspec.json.Decoder(StreamEvent).decode
_decode_typed = msgspec.json.Decoder(_Typed).decode


def decode_event(data: bytes) -> StreamEvent:
    """ValueError: no event. Emoji cut in two between events come as U+FFFD.

    An event of a type that is younger than this code may hold anything, and is told bare.
    """
    try:
        return _decode(data)
    except msgspec.ValidationError:
        kind = _decode_typed(data).type
        if kind in KNOWN:
            raise
        return StreamEvent(type=kind)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return _decode(gate.mend(data))
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
