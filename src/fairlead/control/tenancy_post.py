"""What the control process is told about tenants when it is started. It imports no driver of a database."""

from pathlib import Path

import msgspec

from fairlead.database.place import Place


class TenancyPost(msgspec.Struct, frozen=True, kw_only=True):
    """Where this machine keeps what belongs to tenants."""

    place: Place
    """The database."""
    index: Path
    """The folder of this machine's index of keys."""
    limits: Path
    """The folder of this machine's own counts."""
    journals: Path
    machine: str
    """What names this machine among those that share a state."""

    def __repr__(self) -> str:
        return f"TenancyPost({self.place.name})"
