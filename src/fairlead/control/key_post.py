"""What the control process is told about keys when it is started. It imports no driver of a database."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from fairlead.control.wishes import Terms
from fairlead.database.place import Place


class KeyPost(msgspec.Struct, frozen=True, kw_only=True):
    """What keeping keys takes. The database's schema was made to fit before."""

    place: Place
    index: Path
    """The folder of this machine's index."""
    pepper: bytes
    """Of new keys."""
    terms: Callable[[], Terms]
    """What the newest configuration has that a key can name."""

    def __repr__(self) -> str:
        return f"KeyPost({self.place.name})"
