"""How records lie in a journal file: a header, then frames of length, checksum and MessagePack.

A frame is a 4-byte big-endian length, the 4-byte big-endian CRC-32 of the payload, and the payload. The checksum starts
from the file's own salt, a number that nobody outside can know: so text that a client sent is never taken for a frame,
however it looks. The header is `FLJ1` and the salt three times, so that one damaged word of it costs nothing.

It knows bytes. It must not know files, nor how long a record may be (`fit`).
"""

import os
import re
from collections.abc import Iterator
from struct import Struct
from zlib import crc32

import msgspec

from fairlead.canonical.routing import RequestRecord

MAGIC = b"FLJ1"
_HEAD = Struct(">II")
_WORDS = Struct(">4sIII")
HEAD = _HEAD.size
"""Bytes of a frame beside its payload."""
HEADER = _WORDS.size
"""Bytes of a file before its first frame."""
LARGEST = 2 * 1024 * 1024
"""No payload is larger: a length beyond it is damage."""

_BEGIN = re.compile(rb"(?=\x00[\x00-\x20].{6}[\x80-\x8f\xde])", re.DOTALL)
"""Where a frame may begin: a length that is not beyond LARGEST, and a payload that is a map."""
_ENCODER = msgspec.msgpack.Encoder(decimal_format="string")
_DECODER = msgspec.msgpack.Decoder(RequestRecord)

pack = _ENCODER.encode
"""The payload of a record's frame."""


def new_salt() -> int:
    """Any number but 0, so that zeros are no header."""
    return int.from_bytes(os.urandom(4), "big") or 1


def header(salt: int) -> bytes:
    """What a file begins with."""
    return _WORDS.pack(MAGIC, salt, salt, salt)


def salt_of(head: bytes) -> int | None:
    """The salt that a file's first bytes tell; None: it has no header."""
    if len(head) < HEADER:
        return None
    magic, *salts = _WORDS.unpack_from(head)
    likely = sorted(salts)[1]  # two that agree have the middle
    agreed = salts.count(likely)
    return likely if likely and (agreed == 3 or (magic == MAGIC and agreed == 2)) else None


def frame(payload: bytes, salt: int) -> bytes:
    return _HEAD.pack(len(payload), crc32(payload, salt)) + payload


def encode(record: RequestRecord, salt: int = 0) -> bytes:
    """One frame."""
    return frame(pack(record), salt)


def decode(data: bytes) -> Iterator[RequestRecord]:
    """The records of a whole file, in order; what is torn or damaged is not among them."""
    salt = salt_of(data)
    return iter(Frames(data) if salt is None else Frames(data[HEADER:], salt))


class Frames:
    """Iterates over the records in `data`, a file's bytes from a frame's begin on.

    Afterwards `end` is the offset behind the last whole frame, and `damage` has the ranges before it that are none.
    Behind a damaged frame it goes on where a whole one is found again. What follows the last whole frame may be torn,
    still being written, or zeros that a crash of the machine left; it is not called damage.
    """

    def __init__(self, data: bytes, salt: int = 0) -> None:
        self._data = data
        self._salt = salt
        self.end = 0
        self.damage: list[tuple[int, int]] = []

    def __iter__(self) -> Iterator[RequestRecord]:
        while True:
            payload = self._payload(self.end)
            if payload is None:
                if not self._skip():
                    return
                continue
            start, self.end = self.end, self.end + HEAD + len(payload)
            try:
                record = _DECODER.decode(payload)
            except msgspec.MsgspecError:  # it is whole, and yet no record that this version knows
                self.damage.append((start, self.end))
                continue
            yield record

    def _payload(self, start: int) -> bytes | None:
        """What the whole frame at `start` holds; None: there is none."""
        if start + HEAD >= len(self._data):
            return None
        length, checksum = _HEAD.unpack_from(self._data, start)
        payload = self._data[start + HEAD : start + HEAD + length] if 0 < length <= LARGEST else b""
        if not payload or len(payload) < length or crc32(payload, self._salt) != checksum:
            return None
        return payload

    def _skip(self) -> bool:
        """Goes to the next whole frame behind what is none; False: there is none."""
        for found in _BEGIN.finditer(self._data, self.end + 1):
            if self._payload(found.start()) is not None:
                self.damage.append((self.end, found.start()))
                self.end = found.start()
                return True
        return False
