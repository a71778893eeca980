"""How records lie in a journal file: length, checksum, MessagePack.

A frame is a 4-byte big-endian length, the 4-byte big-endian CRC-32 of the payload, and the payload. A file that was
cut in the middle of a frame (a torn tail) reads as if the frame were not there.
"""

from collections.abc import Iterator
from struct import Struct
from zlib import crc32

import msgspec

from fairlead.canonical.routing import RequestRecord

_HEAD = Struct(">II")
_ENCODER = msgspec.msgpack.Encoder(decimal_format="string")
_DECODER = msgspec.msgpack.Decoder(RequestRecord)


def encode(record: RequestRecord) -> bytes:
    """One frame."""
    payload = _ENCODER.encode(record)
    return _HEAD.pack(len(payload), crc32(payload)) + payload


def decode(data: bytes) -> Iterator[RequestRecord]:
    """The records of a whole file, in order, up to the first frame that is torn or damaged."""
    return iter(Frames(data))


class Frames:
    """Iterates over the records in `data`; afterwards `end` is the offset behind the last whole one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.end = 0

    def __iter__(self) -> Iterator[RequestRecord]:
        while self.end + _HEAD.size <= len(self._data):
            length, checksum = _HEAD.unpack_from(self._data, self.end)
            start = self.end + _HEAD.size
            payload = self._data[start : start + length]
            if len(payload) < length or crc32(payload) != checksum:
                return
            self.end = start + length
            yield _DECODER.decode(payload)
