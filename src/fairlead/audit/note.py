"""Signed notes and checkpoints as C2SP has them (c2sp.org/signed-note, c2sp.org/tlog-checkpoint), signed by Ed25519.

It must not know where notes are kept, nor whose keys they are.
"""

import base64
import binascii
import re
from hashlib import sha256

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

ED25519 = b"\x01"
DASH = "\u2014"
LARGEST = 65536
"""Bytes of a note, and more than 16 signatures take."""
PKCS8 = bytes.fromhex("302e020100300506032b657004220420")
"""What stands before the 32 bytes of a private key in the form that `openssl genpkey -algorithm ed25519` writes."""

_PEM = re.compile(r"\s*-----BEGIN PRIVATE KEY-----\s([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----\s*")
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


class NoteError(ValueError):
    """It is no note, no key, or not signed by whom it should be; the message says which."""


class Checkpoint(msgspec.Struct, frozen=True):
    """The size and root of a log's tree."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


class Signer:
    """A private key with the name that it signs under."""

    def __init__(self, name: str, seed: bytes) -> None:
        _check_name(name)
        self._key = SigningKey(seed)
        self.verifier = Verifier(name, self._key.verify_key.encode())

    def sign(self, text: str) -> str:
        """The note that says `text`, which ends in a newline."""
        signature = self.verifier.id + self.raw(text.encode())
        return f"{text}\n{DASH} {self.verifier.name} {base64.b64encode(signature).decode()}\n"

    def raw(self, message: bytes) -> bytes:
        """The 64 bytes of a signature."""
        return self._key.sign(message).signature


class Verifier:
    """A public key with the name that it verifies."""

    def __init__(self, name: str, public: bytes) -> None:
        _check_name(name)
        self.name = name
        self._public = public
        self._key = VerifyKey(public)
        self.id = sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]

    @property
    def vkey(self) -> str:
        """As it is handed to whoever verifies."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(ED25519 + self._public).decode()}"

    def verifies(self, message: bytes, signature: bytes) -> bool:
        try:
            self._key.verify(message, signature)
        except (BadSignatureError, ValueError):
            return False
        return True


def verifier_of(vkey: str) -> Verifier:
    """The key that `vkey` writes out. Raises NoteError."""
    try:
        name, key_id, encoded = vkey.strip().split("+", 2)
        material = base64.b64decode(encoded, validate=True)
        if material[:1] != ED25519 or len(material) != 33:
            raise NoteError("it is no Ed25519 key")
        found = Verifier(name, material[1:])
        if found.id.hex() != key_id:
            raise NoteError("its id does not fit its name and key")
    except NoteError as error:
        raise NoteError(f"the key {vkey[:80]!r} cannot be used: {error}") from None
    except (ValueError, binascii.Error):
        raise NoteError(f"the key {vkey[:80]!r} is not of the form name+id+key") from None
    return found


def text_of(note: str, *known: Verifier) -> str:
    """What a note says that one of the `known` keys has signed. Raises NoteError."""
    text, signatures = _parts(note)
    keys = {(one.name, one.id): one for one in known}
    verified = False
    for name, signature in signatures:
        if key := keys.get((name, signature[:4])):
            if not key.verifies(text.encode(), signature[4:]):
                raise NoteError(f"the signature of {name} is wrong")
            verified = True
    if not verified:
        raise NoteError("no known key has signed it")
    return text


def checkpoint_of(text: str) -> Checkpoint:
    """The checkpoint that a note says. Raises NoteError."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]) or not _NUMBER.fullmatch(lines[1]):
        raise NoteError("it is no checkpoint: origin, size and root on a line each")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except (ValueError, binascii.Error):
        root = b""
    if len(root) != 32 or base64.b64encode(root).decode() != lines[2]:
        raise NoteError("its root is not 32 bytes of base64")
    return Checkpoint(lines[0], int(lines[1]), root)


def claimed(note: str) -> Checkpoint:
    """The checkpoint that a note claims, whoever has signed it. Raises NoteError."""
    return checkpoint_of(_parts(note)[0])


def opened(note: str, *known: Verifier) -> Checkpoint:
    """The checkpoint of a note that one of the `known` keys has signed. Raises NoteError."""
    return checkpoint_of(text_of(note, *known))


def seed_of(pem: str) -> bytes:
    """The private key that a PEM file holds. Raises NoteError, without a word of what is in it."""
    found = _PEM.fullmatch(pem)
    try:
        der = base64.b64decode("".join(found.group(1).split()), validate=True) if found else b""
    except (ValueError, binascii.Error):
        der = b""
    if len(der) != len(PKCS8) + 32 or not der.startswith(PKCS8):
        raise NoteError("it is no Ed25519 key in PEM (PKCS #8); make one with: openssl genpkey -algorithm ed25519")
    return der[len(PKCS8) :]


def pem_of(seed: bytes) -> str:
    """The PEM file of a private key."""
    return f"-----BEGIN PRIVATE KEY-----\n{base64.b64encode(PKCS8 + seed).decode()}\n-----END PRIVATE KEY-----\n"


def _parts(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """The text and the signatures (key's name, key's id and signature)."""
    if len(note) > LARGEST or any(ord(char) < 32 and char != "\n" for char in note):
        raise NoteError("it is no note: too long, or it has control characters")
    body, blank, tail = note.rpartition("\n\n")
    if not blank or not tail.endswith("\n"):
        raise NoteError("it is no note: there is no blank line before the signatures")
    return body + "\n", [_signature(line) for line in tail[:-1].split("\n")]


def _signature(line: str) -> tuple[str, bytes]:
    try:
        dash, name, encoded = line.split(" ")
        signature = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise NoteError("a signature's line is not of the form: dash, name, base64") from None
    if dash != DASH or not _NAME.fullmatch(name) or len(signature) < 5:
        raise NoteError("a signature's line is not of the form: dash, name, base64")
    return name, signature


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise NoteError(f"{name!r} is no name of a key: it may have no space and no plus sign")
