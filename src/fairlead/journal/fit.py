"""Makes a record fit into the room that was promised to it.

It knows which of a record's texts may grow without bound. It must not know files.
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from fairlead.canonical.routing import Content, RequestRecord
from fairlead.journal.frames import HEAD, pack

PLAIN = 16 * 1024
"""Bytes that are promised to a record; nearly all are below one tenth of it."""
CONTENT = 128 * 1024
"""Bytes that are promised on top to one with the texts of prompt and answer."""
MARGIN = 64
"""Bytes by which the lengths of what is cut may be off: MessagePack tells longer texts with longer numbers."""
CUTS = ((256, 8), (64, 3))
"""Characters of a text and entries of a list that are left where a record is too large; the second always fits."""
WHOLE = frozenset({"id", "hold", "cost", "price"})
"""Never cut: they name things, or are numbers, and each is short."""


def fitted(record: RequestRecord, room: int) -> bytes:
    """The payload of the record's frame, which has at most `room` bytes, its head included.

    What does not fit is cut, the texts of prompt and answer first, and the record says so (`trimmed`).
    """
    room -= HEAD
    payload = pack(record)
    if len(payload) <= room:
        return payload
    record = replace(record, trimmed=True)
    if record.content is not None:
        record = replace(record, content=_shorter(record.content, len(payload) + MARGIN - room))
        payload = pack(record)
    for characters, entries in CUTS:
        if len(payload) > room:
            record = replace(_cut(record, characters, entries), metadata="", content=None)
            payload = pack(record)
    return payload


def _shorter(content: Content, excess: int) -> Content | None:
    """The texts without so many bytes, taken from both alike; None: nothing would be left."""
    prompt, answer = content.prompt.encode(), content.answer.encode()
    both = len(prompt) + len(answer)
    if both <= excess:
        return None
    of_prompt, of_answer = (len(text) * (both - excess) // both for text in (prompt, answer))
    return Content(
        prompt=prompt[:of_prompt].decode("utf-8", "ignore"), answer=answer[:of_answer].decode("utf-8", "ignore")
    )


def _cut(value: Any, characters: int, entries: int) -> Any:
    """The same with shorter texts and shorter lists, whose last entries stay."""
    if isinstance(value, str):
        return value[:characters]
    if isinstance(value, tuple):
        return tuple([_cut(one, characters, entries) for one in value[-entries:]])
    if isinstance(value, msgspec.Struct):
        names = [name for name in value.__struct_fields__ if name not in WHOLE]
        return replace(value, **{name: _cut(getattr(value, name), characters, entries) for name in names})
    return value
