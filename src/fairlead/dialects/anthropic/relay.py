"""An Anthropic stream passed on as it is: whole events, their bytes unchanged, with an eye on how it goes.

It knows which events tell the usage and the end. It must not know, nor decode, what the model says.
"""

from fairlead.canonical.events import Broken
from fairlead.canonical.usage import Usage
from fairlead.dialects.anthropic.errors import decode_stream_error
from fairlead.dialects.anthropic.event import StreamEvent, decode_event
from fairlead.dialects.anthropic.usage import WireUsage, decode_usage, later_usage, read_counts
from fairlead.dialects.sse import Boundary, EventTooLong, Frame, Frames, split

_DELTA = b"event: content_block_delta\ndata: {"


class Relay:
    """Gives back what may go to the client now: nothing of an event that has not ended, of an error event (`broken`
    tells it) or of what follows the end.
    """

    def __init__(self, *, hide_usage: bool) -> None:  # noqa: ARG002 - Anthropic always tells the usage
        self.usage: Usage | None = None
        self.model = ""
        self.finished = False
        self.broken: Broken | None = None
        self.begun = False
        self._boundary = Boundary()
        self._counted: WireUsage | None = None

    def feed(self, data: bytes) -> bytes:
        if self.finished or self.broken is not None:
            return b""
        try:
            whole = self._boundary.feed(data)
        except EventTooLong as error:
            self.broken = Broken(kind="protocol", message=str(error))
            return b""
        if self.begun and _is_ordinary(whole):
            return whole if whole is data else whole + self._unended()
        return self._watch(whole) + self._unended()

    def end(self) -> bytes:
        """The socket's clean end: the stream is `broken` unless it was complete. There is nothing left to send."""
        if not self.finished and self.broken is None:
            self.broken = Broken(kind="cut", message="the stream ended before its message_stop")
        return b""

    def _watch(self, whole: bytes) -> bytes:
        """What of `whole` may pass, event by event."""
        passed = []
        for event in split(whole):
            if not (self.begun and _is_ordinary(event)):
                for frame in Frames().feed(event):
                    self._see(frame)
            if self.broken is not None:
                break
            passed.append(event)
            if self.finished:
                break
        return b"".join(passed)

    def _unended(self) -> bytes:
        """The last event when it has come without its blank line: a provider may close right behind it."""
        if self.finished or self.broken is not None or not self.begun:
            return b""
        rest = self._boundary.rest.rstrip(b"\r\n")
        if not rest.endswith(b"}") or b"message_stop" not in rest:
            return b""
        last = rest + b"\n\n"
        self.finished = any(_is_last(frame) for frame in Frames().feed(last))
        return last if self.finished else b""

    def _see(self, frame: Frame) -> None:
        if frame.event == "error":
            self.broken = decode_stream_error(frame.data)
            return
        try:
            self._note(decode_event(frame.data), frame.data)
        except ValueError as error:
            message = f"the stream holds an event that is none of Anthropic's: {error}"
            self.broken = Broken(kind="protocol", message=message)

    def _note(self, seen: StreamEvent, data: bytes) -> None:
        if seen.type == "error":
            self.broken = decode_stream_error(data)
        elif seen.type == "message_start":
            self._start(seen)
        elif not self.begun and seen.type.startswith(("content_", "message_")):
            raise ValueError(f"a {seen.type} before message_start")
        elif seen.type == "message_delta":
            self._count(read_counts(seen.usage))
        elif seen.type == "message_stop":
            self.finished = True

    def _start(self, seen: StreamEvent) -> None:
        if seen.message is None or self.begun:
            raise ValueError("a message_start without its message, or a second one")
        self.begun = True
        self.model = seen.message.model
        self._count(read_counts(seen.message.usage))

    def _count(self, said: WireUsage | None) -> None:
        self._counted = later_usage(self._counted, said)
        self.usage = decode_usage(self._counted)


def _is_last(frame: Frame) -> bool:
    try:
        return decode_event(frame.data).type == "message_stop"
    except ValueError:
        return False


def _is_ordinary(events: bytes) -> bool:
    """Whether every event here ends in an object, and none can start, count, end or break a message.

    One that can would hold one of these words. Text that a model wrote may hold them too, and is then looked at for
    nothing, as are line ends other than a line feed. A single delta, which nearly every event is, is told by its two
    ends: looking for one byte costs next to nothing.
    """
    if events.startswith(_DELTA) and events.endswith(b"}\n\n") and events.find(b"\n", len(_DELTA)) == len(events) - 2:
        return True
    return (
        b'"message_' not in events
        and b"error" not in events
        and events.count(b"\n\n") == events.count(b"}\n\n")
        and b"\r" not in events
    )
