"""An Anthropic stream → canonical events.

It knows the order of Anthropic's events and what each kind of block gives. It must not know where the bytes came from.
"""

from collections.abc import Callable, Iterator

import msgspec

from fairlead.canonical.chat import Reasoning, Text, ToolCall
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
from fairlead.dialects.anthropic.answer import decode_block
from fairlead.dialects.anthropic.errors import decode_stream_error
from fairlead.dialects.anthropic.event import Delta, StreamEvent, decode_event
from fairlead.dialects.anthropic.usage import WireUsage, decode_usage, finish_reason, later_usage, read_counts
from fairlead.dialects.sse import EventTooLong, Frame, Frames


class _Open(msgspec.Struct, kw_only=True):
    """A block that has begun. `index` is None until it gives its first event, and stays so where it gives none."""

    type: str
    index: int | None = None
    whole: str = ""
    """The arguments of a call that came whole at its start, should no piece follow."""


class Decoder:
    """Any cut of the bytes gives the same events. After `Finished` or `Broken` there are no more."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._started = False
        self._over = False
        self._blocks: dict[int, _Open] = {}
        self._parts = 0
        self._usage: WireUsage | None = None
        self._last = Delta()

    def feed(self, data: bytes) -> list[Event]:
        if self._over:
            return []
        try:
            frames = self._frames.feed(data)
        except EventTooLong as error:
            return [self._broken(str(error))]
        return self._events(frames)

    def end(self) -> list[Event]:
        """The socket's clean end: whatever has not finished by now was cut."""
        if self._over:
            return []
        cut = Broken(kind="cut", message="the stream ended before its message_stop")
        events = self._events(self._frames.end())
        self._over = True
        match events:
            case [*_, Finished()]:
                return events
            case [*told, Broken()]:
                return [*told, cut]  # the last event itself was cut
        return [*events, cut]

    def _events(self, frames: list[Frame]) -> list[Event]:
        events: list[Event] = []
        for frame in frames:
            events += self._decode(frame)
            if self._over:
                break
        return events

    def _decode(self, frame: Frame) -> list[Event]:
        if frame.event == "error":
            self._over = True
            return [decode_stream_error(frame.data)]
        try:
            event = decode_event(frame.data)
            if event.type == "error":
                self._over = True
                return [decode_stream_error(frame.data)]
            return list(_STEPS.get(event.type, _ignore)(self, event))
        except ValueError as error:
            return [self._broken(f"the stream holds an event that is none of Anthropic's: {error}")]

    def _broken(self, message: str) -> Broken:
        self._over = True
        return Broken(kind="protocol", message=message)

    def _start(self, event: StreamEvent) -> Iterator[Event]:
        if event.message is None or self._started:
            raise ValueError("a message_start without its message, or a second one")
        self._started = True
        head = event.message
        self._usage = read_counts(head.usage)
        yield Started(id=head.id, model=head.model, usage=decode_usage(self._usage))

    def _block_start(self, event: StreamEvent) -> Iterator[Event]:
        block = event.content_block
        if block is None or not self._started:
            raise ValueError("a content_block_start without its block, or before message_start")
        opened = self._blocks[event.index] = _Open(type=block.type)
        match decode_block(block):
            case ToolCall(id=call_id, name=name, arguments=arguments):
                opened.whole = "" if arguments in ("{}", "null") else arguments
                yield ToolCallStarted(index=self._index(opened), id=call_id, name=name)
            case Reasoning(redacted=str(redacted)):
                yield ReasoningDelta(index=self._index(opened), redacted=redacted)
            case Reasoning(text=text, signature=signature):
                yield from self._piece(opened, Delta(thinking=text, signature=signature or ""))
            case Text(text=text):
                yield from self._piece(opened, Delta(text=text))

    def _block_delta(self, event: StreamEvent) -> Iterator[Event]:
        opened = self._blocks.get(event.index)
        if opened is None:
            raise ValueError(f"a delta for block {event.index}, which is not open")
        yield from self._piece(opened, event.delta)

    def _piece(self, opened: _Open, delta: Delta) -> Iterator[Event]:
        match opened.type:
            case "text" if delta.text:
                yield TextDelta(index=self._index(opened), text=delta.text)
            case "thinking" if delta.thinking or delta.signature:
                signature = delta.signature or None
                yield ReasoningDelta(index=self._index(opened), text=delta.thinking, signature=signature)
            case "tool_use" if delta.partial_json:
                opened.whole = ""
                yield ToolCallDelta(index=self._index(opened), arguments=delta.partial_json)

    def _block_stop(self, event: StreamEvent) -> Iterator[Event]:
        opened = self._blocks.pop(event.index, None)
        if opened is not None and opened.whole:
            yield ToolCallDelta(index=self._index(opened), arguments=opened.whole)

    def _message_delta(self, event: StreamEvent) -> Iterator[Event]:
        self._usage = later_usage(self._usage, read_counts(event.usage))
        self._last = event.delta
        yield from ()

    def _stop(self, event: StreamEvent) -> Iterator[Event]:  # noqa: ARG002 - one shape for every step
        if not self._started:
            raise ValueError("a message_stop before message_start")
        last = self._last
        if last.stop_details is not None and last.stop_details.explanation:
            yield RefusalDelta(index=self._parts, text=last.stop_details.explanation)
        self._over = True
        yield Finished(
            reason=finish_reason(last.stop_reason),
            raw_reason=last.stop_reason,
            stop_sequence=last.stop_sequence,
            usage=decode_usage(self._usage),
        )

    def _index(self, opened: _Open) -> int:
        if opened.index is None:
            opened.index = self._parts
            self._parts += 1
        return opened.index


def _ignore(decoder: Decoder, event: StreamEvent) -> Iterator[Event]:  # noqa: ARG001 - one shape for every step
    """Pings, and events that are younger than this code."""
    return iter(())


_STEPS: dict[str, Callable[[Decoder, StreamEvent], Iterator[Event]]] = {
    "message_start": Decoder._start,  # noqa: SLF001 - the decoder's own table
    "content_block_start": Decoder._block_start,  # noqa: SLF001
    "content_block_delta": Decoder._block_delta,  # noqa: SLF001
    "content_block_stop": Decoder._block_stop,  # noqa: SLF001
    "message_delta": Decoder._message_delta,  # noqa: SLF001
    "message_stop": Decoder._stop,  # noqa: SLF001
}
