"""A file that holds one value of a reader, such as how far it has read: replaced as a whole, or not at all.

It knows a file. It must not know what the value means.
"""

import os
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

Value = TypeVar("Value")


class Bookmark(Generic[Value]):
    """One value of a type that msgspec can encode, kept at `path` as JSON: it has integers of any size."""

    def __init__(self, path: Path, kind: type[Value]) -> None:
        self._path = path
        self._decoder = msgspec.json.Decoder(kind)

    def read(self) -> Value | None:
        """The value that was written last; None: there is none that can be read."""
        try:
            return self._decoder.decode(self._path.read_bytes())
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def write(self, value: Value) -> None:
        """Replaces the value. Whoever dies in the middle leaves the one before. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(".new")
        with beside.open("wb") as stream:
            stream.write(msgspec.json.encode(value))
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(self._path)
