"""A stream of chunks passed on as it is: whole events, their bytes unchanged, with an eye on how it goes.

It knows which events tell the usage and the end. It must not know, nor decode, what the model says.
"""

from fairlead.canonical.events import Broken
from fairlead.canonical.usage import Usage
from fairlead.dialects.openai_chat.chunks import DONE, Chunk, decode_chunk
from fairlead.dialects.openai_chat.errors import decode_stream_error
from fairlead.dialects.openai_chat.stream_decode import CUT
from fairlead.dialects.openai_chat.usage import decode_usage
from fairlead.dialects.sse import Boundary, EventTooLong, Frames, split

_PLAIN_ENDS = (
    b'"finish_reason":null}]}\n\n',
    b'"finish_reason":null}],"usage":null}\n\n',
)
"""How OpenAI and most servers of its dialect end an event that is nothing but a delta."""
DONE_EVENT = b"data: [DONE]\n\n"


class Relay:
    """Gives back what may go to the client now: nothing of an event that has not ended, of an error event (`broken`
    tells it) or of what follows the end.

    Every event is read until the answer has begun, and later ones only where they look like more than a delta.
    """

    def __init__(self, *, hide_usage: bool) -> None:
        self.usage: Usage | None = None
        self.model = ""
        self.finished = False
        self.broken: Broken | None = None
        self.begun = False
        self._hide_usage = hide_usage
        self._service: object = None
        self._open: set[int] = set()
        self._closed: set[int] = set()
        self._boundary = Boundary()

    def feed(self, data: bytes) -> bytes:
        if self.finished or self.broken is not None:
            return b""
        try:
            whole = self._boundary.feed(data)
        except EventTooLong as error:
            self.broken = Broken(kind="protocol", message=str(error))
            return b""
        if self.begun and is_plain(whole):
            return whole if whole is data else whole + self._unended()
        return self._watch(whole) + self._unended()

    def end(self) -> bytes:
        """The socket's clean end, and what the client still needs. Where every choice has its finish reason, only the
        end marker is missing; a last event needs no blank line.
        """
        if self.finished or self.broken is not None:
            return b""
        rest = self._boundary.rest.strip()
        last = self._watch(rest + b"\n\n") if rest else b""
        return last + self._marked()

    def _marked(self) -> bytes:
        if self.finished or self.broken is not None:
            return b""
        if not self._closed or self._open != self._closed:
            self.broken = CUT
            return b""
        self.finished = True
        return DONE_EVENT

    def _watch(self, whole: bytes) -> bytes:
        """What of `whole` may pass, event by event."""
        passed = []
        for event in split(whole):
            if self.begun and is_plain(event):
                passed.append(event)
                continue
            shown = all(self._see(frame.data) for frame in Frames().feed(event))
            if self.broken is not None:
                break
            if shown:
                passed.append(event)
            if self.finished:
                break
        return b"".join(passed)

    def _see(self, data: bytes) -> bool:
        """Takes note of one event's data; False: it is not for the client."""
        if data.strip() == DONE:
            return self._finish()
        try:
            chunk = decode_chunk(data) if data else Chunk()
        except ValueError as error:
            self.broken = Broken(kind="protocol", message=str(error))
            return False
        if chunk.error:
            self.broken = decode_stream_error(chunk.error)
            return False
        return self._note(chunk)

    def _note(self, chunk: Chunk) -> bool:
        self.model = self.model or chunk.model or ""
        self._service = chunk.service_tier or self._service
        usage = decode_usage(chunk.counted, self._service)
        self.usage = usage or self.usage
        self.begun = self.begun or bool(chunk.choices)
        for choice in chunk.choices or ():
            self._open.add(choice.index)
            if choice.finish_reason:
                self._closed.add(choice.index)
        return bool(chunk.choices) or usage is None or not self._hide_usage

    def _finish(self) -> bool:
        if self.begun:
            self.finished = True
        else:
            self.broken = Broken(kind="protocol", message="the stream ended without an answer")
        return self.begun

    def _unended(self) -> bytes:
        """The end marker when it has come without its blank line: a provider may close right behind it."""
        if self.finished or self.broken is not None:
            return b""
        rest = self._boundary.rest.strip()
        if rest.removeprefix(b"data:").strip() != DONE or rest == DONE:
            return b""
        return rest + b"\n\n" if self._finish() else b""


def is_plain(whole: bytes) -> bool:
    """Whether each of these events is one chunk with one delta and nothing more; an unusual spelling is only slower.

    Inside a JSON string a quote has a backslash before it, so what is found here are members, or at worst look so.
    Looking for one byte and at the end is cheap, so that is done first; nearly every event is told by it.
    """
    if whole.find(b"\r") >= 0:
        return False
    if whole.find(b"\n") == len(whole) - 2 and whole.endswith(_PLAIN_ENDS) and b'"index":0' in whole:
        return True
    return b'"error"' not in whole and _are_plain(whole)


def _are_plain(whole: bytes) -> bool:
    """The same by counting: what one event must have, all must have."""
    events = whole.count(b"\n\n")
    return (
        (whole.count(b'"finish_reason":null') == events or whole.count(b'"finish_reason": null') == events)
        and (
            whole.count(b'"usage":null') == events or b'"usage"' not in whole or whole.count(b'"usage": null') == events
        )
        and (whole.count(b'"index":0') >= events or whole.count(b'"index": 0') >= events)
        and (events == 1 or DONE not in whole)
    )
