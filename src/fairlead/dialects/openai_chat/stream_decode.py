"""A provider's stream of chat completion chunks → events.

It knows the order in which chunks may come and the habits of single providers. It must not know who reads the events.
"""

from collections.abc import Iterator

from fairlead.canonical.events import (
    Broken,
    Event,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from fairlead.canonical.usage import Usage
from fairlead.dialects.openai_chat.chunks import DONE, Chunk, ChunkChoice, Delta, ToolCallWire, decode_chunk
from fairlead.dialects.openai_chat.errors import decode_stream_error
from fairlead.dialects.openai_chat.usage import decode_finish, decode_usage
from fairlead.dialects.sse import EventTooLong, Frames

CUT = Broken(kind="cut", message="the stream ended before the answer did")


class Decoder:
    """Bytes in, events out; any cut of the bytes gives the same events.

    Only the first choice is told. After `Finished` or `Broken` nothing more comes, whatever the provider still sends.
    """

    def __init__(self) -> None:
        self._frames = Frames()
        self._started = False
        self._over = False
        self._id = ""
        self._model = ""
        self._usage: Usage | None = None
        self._service: object = None
        self._finish: str | None = None
        self._parts = Parts()

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes."""
        if self._over:
            return []
        try:
            frames = self._frames.feed(data)
        except EventTooLong as error:
            return self._break(Broken(kind="protocol", message=str(error)))
        return [event for frame in frames for event in self._decode(frame.data)]

    def end(self) -> list[Event]:
        """The socket's clean end. Some providers send no end marker: a finish reason will do."""
        if self._over:
            return []
        events = [event for frame in self._frames.end() for event in self._decode(frame.data)]
        if events and isinstance(events[-1], Finished | Broken):
            return events
        return [*events, *(self._end() if self._finish else self._break(CUT))]

    def _decode(self, data: bytes) -> list[Event]:
        if self._over or not data:
            return []
        if data.strip() == DONE:
            return self._end()
        try:
            chunk = decode_chunk(data)
        except ValueError as error:
            return self._break(Broken(kind="protocol", message=str(error)))
        if chunk.error:
            return self._break(decode_stream_error(chunk.error))
        return list(self._chunk(chunk))

    def _chunk(self, chunk: Chunk) -> Iterator[Event]:
        """A chunk without choices may come first (Azure's verdict on the prompt) or last (the usage)."""
        self._id = self._id or chunk.id or ""
        self._model = self._model or chunk.model or ""
        self._service = chunk.service_tier or self._service
        self._usage = decode_usage(chunk.counted, self._service) or self._usage
        choice = next((choice for choice in chunk.choices or () if choice.index == 0), None)
        if choice is None:
            return
        if not self._started:
            self._started = True
            yield Started(id=self._id, model=self._model, created=int(chunk.created or 0))
        yield from self._choice(choice)

    def _choice(self, choice: ChunkChoice) -> Iterator[Event]:
        if choice.delta is not None and self._finish is None:
            yield from self._parts.read(choice.delta)
        self._finish = self._finish or choice.finish_reason

    def _end(self) -> list[Event]:
        if not self._started:
            return self._break(Broken(kind="protocol", message="the stream ended without an answer"))
        self._over = True
        reason = decode_finish(self._finish, calls=self._parts.calls > 0, refused=self._parts.refused)
        return [Finished(reason=reason, usage=self._usage, raw_reason=self._finish)]

    def _break(self, broken: Broken) -> list[Event]:
        self._over = True
        return [broken]


class Parts:
    """Which canonical index each part of the answer has: they are given out in the order in which parts begin."""

    def __init__(self) -> None:
        self.calls = 0
        self._count = 0
        self._indexes: dict[str, int] = {}
        self._open_calls: dict[int, tuple[int, str]] = {}

    @property
    def refused(self) -> bool:
        return "refusal" in self._indexes

    def read(self, delta: Delta) -> Iterator[Event]:
        reasoning = delta.reasoning_content or delta.reasoning
        if reasoning:
            yield ReasoningDelta(index=self._index("reasoning"), text=reasoning)
        if delta.content:
            yield TextDelta(index=self._index("text"), text=delta.content)
        if delta.refusal:
            yield RefusalDelta(index=self._index("refusal"), text=delta.refusal)
        for call in delta.tool_calls or ():
            yield from self._call(call)

    def _call(self, call: ToolCallWire) -> Iterator[Event]:
        """A piece of a tool call. A new id begins a new call, even where a provider numbers all calls alike."""
        number = self._number(call)
        index, call_id = self._open_calls.get(number, (-1, ""))
        if index < 0 or (call.id and call.id != call_id):
            index, call_id = self._next(), call.id or f"call_{self.calls}"
            self._open_calls[number] = index, call_id
            self.calls += 1
            yield ToolCallStarted(index=index, id=call_id, name=call.function.name or "")
        if call.function.arguments:
            yield ToolCallDelta(index=index, arguments=call.function.arguments)

    def _number(self, call: ToolCallWire) -> int:
        """The provider's number of the call; without one, a call with an id is new and one without goes on."""
        if call.index is not None:
            return call.index
        return self.calls if call.id else max(self.calls - 1, 0)

    def _index(self, part: str) -> int:
        if part not in self._indexes:
            self._indexes[part] = self._next()
        return self._indexes[part]

    def _next(self) -> int:
        self._count += 1
        return self._count - 1
