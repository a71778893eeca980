"""How a call to an upstream fails, as one exception.

It knows the kinds (rows of `canonical.errors.KINDS`) and phases. It must not know models, nor carry what an upstream
sent: every message is our own words, so that it may be logged and shown.
"""

from typing import Literal

Kind = Literal["connect", "tls", "pool", "timeout", "cut", "protocol"]
Phase = Literal["connect", "first_byte", "idle", "total"]


class UpstreamError(Exception):
    """A call that gave no whole answer: `kind` says how, `message` says it in words without a byte of the upstream's.

    `phase` is set where `kind` is "timeout": which of the four clocks ran out.
    """

    def __init__(self, kind: Kind, message: str, *, phase: Phase | None = None) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.message = message
        self.phase: Phase | None = phase
