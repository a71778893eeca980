"""What the gateway needs of a chat request without understanding its messages.

It knows no wire format: every dialect fills the same record.
"""

import msgspec


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a request that routing, limits and pass-through read."""

    model: str
    stream: bool = False
    include_usage: bool = False
    """Whether the client asked for usage on the stream (dialects that always send it say True)."""
    tools: bool = False
    """Whether the model is offered tools."""
    images: bool = False
    """Whether a message holds an image."""
    max_tokens: int | None = None
    user: str | None = None
    n: int = 1
    """How many answers the client wants."""
    dearer: bool = False
    """Whether it asks for a service that costs more than the model's price."""
