"""What waits in the database until it is in the trail: an entry, and what of it is personal.

Pure. It must not know the database.
"""

import msgspec

from fairlead.audit.entry import Entry


class Change(msgspec.Struct, frozen=True):
    """An entry of an administrative change, in the open only for as long as it waits."""

    entry: Entry
    subject: str = ""
    """Under whose key `personal` will be sealed."""
    personal: str = ""
    """JSON; empty: nothing is."""


encode_change = msgspec.json.Encoder(order="sorted").encode
decode_change = msgspec.json.Decoder(Change).decode
