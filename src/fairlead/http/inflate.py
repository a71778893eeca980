"""Compressed bodies, decoded in bounded steps.

It knows content codings and what a bomb looks like. It must not know connections: bytes in, bytes out.
"""

import sys
import zlib
from collections.abc import Callable
from typing import Any, Protocol, cast

from fairlead.http.errors import UpstreamError

STEP = 64 * 1024
"""The most that one step decodes, in bytes."""
SLICE = 4 * 1024
"""The most compressed bytes that a codec holds at a time, so that what it has read is known closely."""
BOMB_SIZE = 8 * 1024 * 1024
BOMB_RATIO = 100
"""Past BOMB_SIZE decoded bytes, an answer that grew more than BOMB_RATIO-fold is a bomb, not text."""


class Codec(Protocol):
    """One content coding. `pull` is called until it gives b"" before the next `push`."""

    def push(self, data: bytes) -> None: ...
    def pull(self, limit: int) -> bytes: ...

    @property
    def finished(self) -> bool:
        """The compressed form's own end was read."""
        ...


class CodingError(Exception):
    """Bytes that their coding does not allow."""


class Inflater:
    """Decodes one body. Any cut of the input gives the same output; any failure is UpstreamError "protocol"."""

    __slots__ = ("_codec", "_decoded", "_pending", "_read")

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._pending: list[memoryview] = []
        self._read = 0
        self._decoded = 0

    def feed(self, data: bytes) -> None:
        """Take compressed bytes; nothing is decoded yet."""
        view = memoryview(data)
        slices = [view[at : at + SLICE] for at in range(0, len(view), SLICE)]
        self._pending[:0] = reversed(slices)

    def step(self, limit: int = STEP) -> bytes:
        """The next decoded bytes, at most `limit`; b"" when more input is needed."""
        while not (piece := self._pull(limit)):
            if not self._pending:
                return b""
            self._push(self._pending.pop())
        self._decoded += len(piece)
        if self._decoded > BOMB_SIZE and self._decoded > self._read * BOMB_RATIO:
            raise UpstreamError("protocol", f"the answer grew more than {BOMB_RATIO}-fold when decompressed")
        return piece

    @property
    def whole(self) -> bool:
        """Whether the compressed body came to its own end; an empty body needs none."""
        return self._codec.finished or not self._read

    def _pull(self, limit: int) -> bytes:
        try:
            return self._codec.pull(limit)
        except _errors() as error:
            raise UpstreamError("protocol", "the answer's compression is broken") from error

    def _push(self, data: memoryview) -> None:
        self._read += len(data)
        try:
            if self._codec.finished:
                raise CodingError("bytes after the end")
            self._codec.push(bytes(data))
        except CodingError as error:
            raise UpstreamError("protocol", "the answer has bytes after its compressed body") from error


def open_inflater(encoding: str) -> Inflater:
    """The inflater for one of ENCODINGS. UpstreamError: its library is not installed."""
    try:
        return Inflater(ENCODINGS[encoding]())
    except ImportError as error:
        hint = "install Fairlead with its extra 'compression' or do not ask for it"
        raise UpstreamError("protocol", f"the answer is {encoding}-compressed; {hint}") from error


class Zlib:
    """gzip and deflate. Some servers send deflate without the zlib wrapper, so the first byte decides."""

    __slots__ = ("_inflate", "_tail", "_window")

    def __init__(self, window: int | None) -> None:
        self._window = window
        self._inflate: Any = None
        self._tail = b""

    def push(self, data: bytes) -> None:
        if self._inflate is None:
            wrapped = data[0] & 0x0F == 8
            self._inflate = zlib.decompressobj(self._window or (15 if wrapped else -15))
        self._tail = data

    def pull(self, limit: int) -> bytes:
        if self._inflate is None:
            return b""
        piece: bytes = self._inflate.decompress(self._tail, limit)
        self._tail = self._inflate.unconsumed_tail
        if self._inflate.unused_data:
            raise CodingError("bytes after the end")
        return piece

    @property
    def finished(self) -> bool:
        return self._inflate is not None and bool(self._inflate.eof)


class Brotli:
    """The library decodes blocks of up to 32 KiB whatever the limit, so what is beyond it waits in `_spare`."""

    __slots__ = ("_inflate", "_pushed", "_spare")

    def __init__(self) -> None:
        import brotli

        self._inflate = brotli.Decompressor()
        self._pushed = b""
        self._spare = b""

    def push(self, data: bytes) -> None:
        self._pushed = data

    def pull(self, limit: int) -> bytes:
        pushed, self._pushed = self._pushed, b""
        if not self._spare and (pushed or not self.finished):
            self._spare = self._inflate.process(pushed, output_buffer_limit=min(limit, 32_000))
        piece, self._spare = self._spare[:limit], self._spare[limit:]
        return piece

    @property
    def finished(self) -> bool:
        return bool(self._inflate.is_finished())


class Zstd:
    """zstandard pulls its input from us; `read` raises when there is none, which loses nothing.

    The library does not tell where a frame ends, so `ZstdFrame` watches the bytes go by.
    """

    __slots__ = ("_frame", "_pushed", "_reader")

    def __init__(self) -> None:
        import zstandard

        decompressor = zstandard.ZstdDecompressor(max_window_size=8 * 1024 * 1024)
        self._reader = decompressor.stream_reader(cast("Any", self))
        self._pushed = b""
        self._frame = ZstdFrame()

    def push(self, data: bytes) -> None:
        if self._frame.walk(data):
            raise CodingError("bytes after the end")
        self._pushed = data

    def pull(self, limit: int) -> bytes:
        try:
            piece: bytes = self._reader.read1(limit)
        except BlockingIOError:
            return b""
        return piece

    def read(self, _size: int) -> bytes:
        """What the reader calls for its input; SLICE bounds what it gets."""
        if not self._pushed:
            raise BlockingIOError
        pushed, self._pushed = self._pushed, b""
        return pushed

    @property
    def finished(self) -> bool:
        return self._frame.finished


class ZstdFrame:
    """Finds the end of one zstd frame (RFC 8878, 3.1.1) without decoding it."""

    __slots__ = ("_checksum", "_field", "_next", "_skip", "_want", "finished")

    def __init__(self) -> None:
        self.finished = False
        self._checksum = 0
        self._skip = 0
        self._field = bytearray()
        self._want = 5
        self._next = self._header

    def walk(self, data: bytes) -> bool:
        """Read on; True: there are bytes after the end."""
        at = 0
        while at < len(data) and not self.finished:
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
            else:
                step = min(self._want - len(self._field), len(data) - at)
                self._field += data[at : at + step]
            at += step
            if not self._skip and len(self._field) == self._want:
                self._next()
        return at < len(data)

    def _header(self) -> None:
        flags = self._field[4]
        single = flags >> 5 & 1
        size = (single, 2, 4, 8)[flags >> 6]
        self._checksum = 4 * (flags >> 2 & 1)
        self._skip = size + (0, 1, 2, 4)[flags & 3] + 1 - single
        self._expect(3, self._block)

    def _block(self) -> None:
        block = int.from_bytes(self._field, "little")
        repeats = block >> 1 & 3 == 1
        self._skip = 1 if repeats else block >> 3
        if not block & 1:
            self._expect(3, self._block)
            return
        self._skip += self._checksum
        self._expect(0, self._end)
        if not self._skip:
            self._end()

    def _end(self) -> None:
        self.finished = True

    def _expect(self, want: int, then: Callable[[], None]) -> None:
        self._field.clear()
        self._want = want
        self._next = then


ENCODINGS: dict[str, Callable[[], Codec]] = {
    "gzip": lambda: Zlib(31),
    "deflate": lambda: Zlib(None),
    "br": Brotli,
    "zstd": Zstd,
}
"""Every coding that `accept_encoding` may name."""


def _errors() -> tuple[type[Exception], ...]:
    """What the codecs in use raise; only asked for when one has raised, by which time its library is loaded."""
    optional = (("brotli", "error"), ("zstandard", "ZstdError"))
    return (
        CodingError,
        zlib.error,
        *(getattr(sys.modules[name], error) for name, error in optional if name in sys.modules),
    )
