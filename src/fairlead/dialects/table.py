"""The dialects by name, the shape that each of them has, and a stream's way from one to another.

A new wire format is a module of this shape and a row in `DIALECTS`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

from fairlead.canonical.chat import Answer, ChatRequest
from fairlead.canonical.errors import Refused
from fairlead.canonical.events import Broken, Event, Finished, Started
from fairlead.canonical.routing import Deployment, Failed
from fairlead.canonical.usage import Usage
from fairlead.dialects import anthropic, openai_chat
from fairlead.dialects.ask import Ask


class StreamDecoder(Protocol):
    def feed(self, data: bytes) -> list[Event]: ...
    def end(self) -> list[Event]: ...


class StreamEncoder(Protocol):
    def encode(self, event: Event) -> bytes: ...


class Stream(Protocol):
    """A provider's stream on its way to the client: bytes in, bytes out, and what was learned from them."""

    @property
    def usage(self) -> Usage | None: ...
    @property
    def model(self) -> str: ...
    @property
    def finished(self) -> bool: ...
    @property
    def broken(self) -> Broken | None: ...
    @property
    def begun(self) -> bool: ...
    def feed(self, data: bytes) -> bytes: ...
    def end(self) -> bytes: ...


class Dialect(Protocol):
    """A wire format, used on both sides. `docs/design.md` says what each name promises."""

    NAME: str
    TARGET: str
    PASSED_ON: tuple[bytes, ...]

    def fields(self, api_version: str | None, /) -> tuple[tuple[str, str], ...]: ...
    def ask(self, body: bytes, /) -> Ask: ...
    def decode_request(self, body: bytes, /) -> ChatRequest: ...
    def encode_request(self, request: ChatRequest, deployment: Deployment, /) -> bytes: ...
    def patch_request(self, body: bytes, ask: Ask, model: str, /) -> bytes: ...
    def decode_answer(self, body: bytes, /) -> Answer: ...
    def encode_answer(self, answer: Answer, /) -> bytes: ...
    def read_usage(self, body: bytes, /) -> tuple[str, Usage | None]: ...
    def Decoder(self) -> StreamDecoder: ...  # noqa: N802 - a class of each module
    def Encoder(self, *, include_usage: bool) -> StreamEncoder: ...  # noqa: N802
    def Relay(self, *, hide_usage: bool) -> Stream: ...  # noqa: N802
    def decode_error(
        self, status: int, headers: Mapping[bytes, bytes], body: bytes, /, *, at: float, wall: float
    ) -> Failed: ...
    def encode_error(self, refused: Refused, /) -> bytes: ...
    def encode_stream_error(self, refused: Refused, /) -> bytes: ...
    def encode_models(self, models: Sequence[str], /) -> bytes: ...


DIALECTS: dict[str, Dialect] = {"openai_chat": openai_chat, "anthropic": anthropic}


class Translation:
    """A `Stream` between two dialects. A broken stream gives no bytes of its own: its driver words the error.

    `created` (Unix seconds) stands in where the source's dialect tells no such time.
    """

    def __init__(self, source: Dialect, target: Dialect, *, include_usage: bool, created: int) -> None:
        self._created = created
        self._decoder = source.Decoder()
        self._encoder = target.Encoder(include_usage=include_usage)
        self.usage: Usage | None = None
        self.model = ""
        self.finished = False
        self.broken: Broken | None = None
        self.begun = False

    def feed(self, data: bytes) -> bytes:
        return b"".join([self._encode(event) for event in self._decoder.feed(data)])

    def end(self) -> bytes:
        """The socket's clean end: `broken`, or the last of what the client gets."""
        return b"".join([self._encode(event) for event in self._decoder.end()])

    def _encode(self, event: Event) -> bytes:
        match event:
            case Broken():
                self.broken = event
                return b""
            case Finished(usage=usage):
                self.finished = True
                self.usage = usage
            case Started(usage=usage, model=model):
                self.begun = True
                self.usage = usage
                self.model = model
                event = dated(event, self._created)
            case _:
                self.begun = True
        return self._encoder.encode(event)


Dated = TypeVar("Dated", Answer, Started)


def dated(told: Dated, created: int) -> Dated:
    """With a time of creation, if it has none."""
    return told if told.created else msgspec.structs.replace(told, created=created)
