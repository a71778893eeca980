"""What the control process is told about the audit trail when it is started. It imports nothing that signs."""

from pathlib import Path

import msgspec


class AuditPost(msgspec.Struct, frozen=True, kw_only=True):
    """Where this machine keeps its trail."""

    folder: Path
    """The trail, which may be copied to others."""
    private: Path
    """Its keys, which may not."""
    machine: str
    """What names this machine among others."""

    def __repr__(self) -> str:
        return f"AuditPost({self.folder})"
