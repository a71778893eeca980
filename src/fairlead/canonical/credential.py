"""The form of a virtual key: `fl_<id>_<secret><checksum>`, and the MAC under which one is known.

Pure: entropy and the pepper are arguments. It must not know where keys are kept, nor what a key may do.

The id names the key in lists and logs, the secret has 256 bits, and the checksum (CRC-32 of all that stands before it)
lets garbage be refused before anything is looked up. A checksum is no proof: only the MAC is.
"""

import hmac
import re
import zlib

import msgspec

MARK = b"fl_"
ENTROPY = 40
"""Random bytes that one key takes."""
MAC_SIZE = 32

_ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID, _SECRET, _CHECKSUM = 10, 43, 6
_ID_BYTES = ENTROPY - 32
_FORM = re.compile(rb"fl_[0-9A-Za-z]{%d}_[0-9A-Za-z]{%d}" % (_ID, _SECRET + _CHECKSUM))
_ID_FORM = re.compile(f"[0-9A-Za-z]{{{_ID}}}")


class Minted(msgspec.Struct, frozen=True):
    """A new key: `text` is shown once and kept nowhere."""

    id: str
    text: str

    def __repr__(self) -> str:
        return f"Minted({self.id})"


def mint(entropy: bytes, id: str | None = None) -> Minted:  # noqa: A002 - the word for it everywhere else
    """A key from ENTROPY random bytes; with `id`, another secret for the key of that id."""
    if len(entropy) != ENTROPY:
        raise ValueError(f"a key takes {ENTROPY} random bytes, not {len(entropy)}")
    name = id.encode() if id else _base62(int.from_bytes(entropy[:_ID_BYTES], "big") % 62**_ID, _ID)
    body = MARK + name + b"_" + _base62(int.from_bytes(entropy[_ID_BYTES:], "big"), _SECRET)
    return Minted(name.decode(), (body + _base62(zlib.crc32(body), _CHECKSUM)).decode())


def is_well_formed(presented: bytes) -> bool:
    """Whether `presented` has the form of a minted key, its checksum included."""
    if _FORM.fullmatch(presented) is None:
        return False
    return presented[-_CHECKSUM:] == _base62(zlib.crc32(presented[:-_CHECKSUM]), _CHECKSUM)


def is_garbage(presented: bytes) -> bool:
    """Whether it claims to be a minted key and cannot be one: nothing need be looked up."""
    return presented.startswith(MARK) and not is_well_formed(presented)


def is_id(text: str) -> bool:
    """Whether `text` has the form of a minted key's id."""
    return _ID_FORM.fullmatch(text) is not None


def mac(pepper: bytes, presented: bytes) -> bytes:
    """What a key is known by: HMAC-SHA256 under the pepper."""
    return hmac.digest(pepper, presented, "sha256")


def _base62(number: int, width: int) -> bytes:
    digits = bytearray(width)
    for place in range(width - 1, -1, -1):
        number, digit = divmod(number, 62)
        digits[place] = _ALPHABET[digit]
    return bytes(digits)
