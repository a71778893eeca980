"""The wire shape of one streamed chunk, as far as a reader of streams needs it.

It knows no state: which chunk came before is its readers' business.
"""

from typing import Any

import msgspec

from fairlead.dialects import body as gate

NOTHING = msgspec.Raw(b"")
DONE = b"[DONE]"


class CallDelta(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class ToolCallWire(msgspec.Struct, frozen=True):
    index: int | None = None
    id: str | None = None
    function: CallDelta = CallDelta()


class Delta(msgspec.Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCallWire] | None = None


class ChunkChoice(msgspec.Struct, frozen=True):
    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None


class Groq(msgspec.Struct, frozen=True):
    usage: msgspec.Raw = NOTHING


class Chunk(msgspec.Struct, frozen=True):
    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: list[ChunkChoice] | None = None
    usage: msgspec.Raw = NOTHING
    service_tier: Any = None
    x_groq: Groq | None = None
    error: Any = None

    @property
    def counted(self) -> msgspec.Raw:
        """The usage, wherever this provider put it; empty or null where it is not here."""
        groq = self.x_groq
        return groq.usage if groq is not None and groq.usage else self.usage


_decode = msgspec.json.Decoder(Chunk).decode


def decode_chunk(data: bytes) -> Chunk:
    """Raises ValueError for anything that is no chunk. Emoji cut in two between chunks come as U+FFFD."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return _decode(gate.mend(data))
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"not a chunk: {error}") from None
