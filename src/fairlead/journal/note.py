"""What a worker leaves beside a hold, so that there can be a record of its request should the worker die.

It knows a few facts of a request. It must not know limits or engines: to them a note is bytes.
"""

import msgspec


class Note(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The facts of a `RequestRecord` that are known before anything is sent."""

    id: str
    tenant: str = ""
    key: str = ""
    dialect: str = ""
    asked: str = ""
    user: str = ""
    tags: tuple[tuple[str, str], ...] = ()


encode_note = msgspec.msgpack.Encoder().encode
decode_note = msgspec.msgpack.Decoder(Note).decode
