"""One entry of the trail and its bytes: a line of JSON with sorted keys, whole numbers and no spaces.

Pure. Times are whole microseconds, money is text, so that the same entry has the same bytes everywhere. It must not
know where lines are kept.
"""

from typing import Any, Literal

import msgspec

FIRST = "0" * 64
"""What the first entry has in the place of the hash before it."""

Outcome = Literal["done", "denied", "failed"]


class Sealed(msgspec.Struct, frozen=True, array_like=True):
    """Personal fields, encrypted. Whoever destroys the key has erased them."""

    key: str
    """The key's id, which says nothing of whose it is."""
    box: str
    """Nonce and ciphertext (XSalsa20-Poly1305) in base64."""


class Read(msgspec.Struct, frozen=True, array_like=True):
    """The journal from `start` to `end` is in the entries that end with this one."""

    file: str
    start: int
    end: int


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened. `seq` and `prev` are given by the trail."""

    seq: int = -1
    prev: str = ""
    """The leaf hash of the entry before, in hex."""
    at: int
    """Microseconds since the epoch."""
    action: str
    """A row of docs/audit.md."""
    actor: str = "system"
    """Who: a key's id, `admin`, `cli`, `file`, or `system` for the gateway itself."""
    tenant: str = ""
    object: str = ""
    """What it was done to: a model, a key's id, a configuration's version."""
    outcome: Outcome = "done"
    request: str = ""
    """The request's id."""
    detail: dict[str, Any] | None = None
    sealed: Sealed | None = None
    journal: Read | None = None
    outbox: int | None = None
    """The number under which the database kept the entry until it was here."""


class Link(msgspec.Struct, frozen=True):
    """What of an entry holds the trail together."""

    seq: int
    prev: str
    action: str
    journal: Read | None = None
    outbox: int | None = None


_encoder = msgspec.json.Encoder(order="sorted", decimal_format="string")
encode = _encoder.encode
"""The bytes of an entry, without the newline."""
decode = msgspec.json.Decoder(Entry, strict=True).decode
"""The entry that a line holds. Raises msgspec.MsgspecError, or UnicodeDecodeError."""
link_of = msgspec.json.Decoder(Link, strict=True).decode
"""The link that a line holds, which is quicker to read. Raises msgspec.MsgspecError, or UnicodeDecodeError."""
