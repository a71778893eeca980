"""Server-sent events: bytes to frames, bytes to whole raw events, and frames to bytes.

It knows lines, fields and event boundaries as the HTML standard has them. It must not know what the data means.
"""

import re

import msgspec

LIMIT = 1024 * 1024
"""Bytes that one event may have."""

_BOM = b"\xef\xbb\xbf"
_BOUNDARY = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")


class EventTooLong(ValueError):  # noqa: N818 - it is named for what happened
    """An event passed its limit without an end. The parser that raised it is spent."""


class Frame(msgspec.Struct, frozen=True):
    """One event. `data` is the bytes of its data lines, joined with a line feed."""

    event: str | None
    data: bytes


def frame(data: bytes, event: str | None = None) -> bytes:
    """The wire form of one event; line breaks inside `data` become several data lines."""
    head = b"" if event is None else b"event: " + event.encode() + b"\n"
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))
    return head + b"data: " + data + b"\n\n"


def split(whole: bytes) -> list[bytes]:
    """The raw events of bytes that end where an event ends, as `Boundary` gives them; joined they are `whole` again."""
    if b"\r" not in whole:
        *ended, rest = whole.split(b"\n\n")
        return [event + b"\n\n" for event in ended] + ([rest] if rest else [])
    events, start = [], 0
    for boundary in _BOUNDARY.finditer(whole):
        events.append(whole[start : boundary.end()])
        start = boundary.end()
    return [*events, whole[start:]] if start < len(whole) else events


class Frames:
    """Bytes in, frames out: any cut of the bytes gives the same frames.

    Comments and the fields `id`, `retry` and unknown ones are dropped, and so are events without data.
    Lines end in LF, CRLF or CR and in nothing else. `feed` raises EventTooLong.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._held: list[bytes] = []
        self._held_size = 0
        self._after_cr = False
        self._at_start = True
        self._event: str | None = None
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes."""
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if b"\n" not in data and b"\r" not in data:
            self._hold(data)
            return []
        if self._held:
            data = b"".join((*self._held, data))
            self._held.clear()
            self._held_size = 0
        self._after_cr = data.endswith(b"\r")
        lines = data.splitlines()
        rest = b"" if data.endswith((b"\n", b"\r")) else lines.pop()
        frames = [frame for line in lines if (frame := self._line(line)) is not None]
        self._hold(rest)
        return frames

    def end(self) -> list[Frame]:
        """The clean end of the bytes: a last event needs no blank line."""
        last = b"".join(self._held)
        self._held.clear()
        frames = [self._line(line) for line in (last, b"")] if last else [self._line(b"")]
        return [frame for frame in frames if frame is not None]

    def _hold(self, data: bytes) -> None:
        if data:
            self._held.append(data)
            self._held_size += len(data)
        if self._size + self._held_size > self._limit:
            raise EventTooLong(f"an event is longer than {self._limit} bytes")

    def _line(self, line: bytes) -> Frame | None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value.decode(errors="replace")
        else:
            return None
        self._size += len(line)
        if self._size > self._limit:
            raise EventTooLong(f"an event is longer than {self._limit} bytes")
        return None

    def _dispatch(self) -> Frame | None:
        lines, event = self._data, self._event
        self._data, self._event, self._size = [], None, 0
        if not lines:
            return None
        return Frame(event or None, lines[0] if len(lines) == 1 else b"\n".join(lines))


class Boundary:
    """Bytes in, whole raw events out, unchanged: what comes back always ends where an event ends.

    The bytes of an event that has not ended are held back; `feed` raises EventTooLong when they pass the limit.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._held = bytearray()
        self._after_cr = False

    @property
    def rest(self) -> bytes:
        """The bytes held back: the beginning of an event without its end."""
        return bytes(self._held)

    def feed(self, data: bytes) -> bytes:
        """All that is whole by now, possibly nothing."""
        if not self._held and not self._after_cr and data.endswith(b"\n\n"):
            return data
        return self._slow(data)

    def _slow(self, data: bytes) -> bytes:
        if self._after_cr and data:
            self._after_cr = False
            if data.startswith(b"\n"):  # the second half of the CRLF that ended the last event
                return b"\n" + self.feed(data[1:])
        held = self._held
        seen = max(len(held) - 3, 0)
        held += data
        end = _last_boundary(held, seen)
        if len(held) - end > self._limit:
            raise EventTooLong(f"an event is longer than {self._limit} bytes")
        if not end:
            return b""
        whole = bytes(held[:end])
        del held[:end]
        self._after_cr = whole.endswith(b"\r") and not held
        return whole


def _last_boundary(data: bytearray, start: int) -> int:
    """Where the last whole event of `data` ends, looking from `start`; 0: nowhere."""
    if data.find(b"\r", start) < 0:
        return data.rfind(b"\n\n", start) + 2 if data.find(b"\n\n", start) >= 0 else 0
    end = 0
    for match in _BOUNDARY.finditer(data, start):
        end = match.end()
    return end
