"""Secrets in the configuration: a reference to where the value is, or the value itself.

It must not print a value, ever: not in a repr, not in a message. Where a value comes from (the environment, a file)
is passed in.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from fairlead.config.units import Unit

_SCHEME = re.compile(r"([a-z][a-z0-9-]*)://")
_LITELLM = "os.environ/"
_READABLE = ("env", "file")
_LATER = ("vault", "aws-sm", "aws-ssm", "gcp-sm", "azure-kv", "k8s")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class UnresolvedError(Exception):
    """The reference names something that is not there; the message names it and holds no secret."""


class Secret:
    """A reference or a literal value. Printing it shows the reference, never a literal."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    @property
    def reference(self) -> str | None:
        """`scheme://…` (LiteLLM's `os.environ/NAME` becomes `env://NAME`); None: the text is the secret itself."""
        if self._text.startswith(_LITELLM):
            return "env://" + self._text.removeprefix(_LITELLM)
        return self._text if _SCHEME.match(self._text) else None

    def reveal(self) -> str:
        """The text as it was written: the secret itself unless `reference` is set."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({self.reference or '***'})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def read_text(path: str) -> str:
    """The text of a secret's file. Raises OSError or ValueError."""
    return Path(path).read_text(encoding="utf-8")


def resolve(secret: Secret, environ: Mapping[str, str], read_file: Callable[[str], str] = read_text) -> str:
    """The secret's value. Raises UnresolvedError when there is none."""
    reference = secret.reference
    if reference is None:
        return secret.reveal()
    scheme, _, rest = reference.partition("://")
    value = _from_env(rest, environ) if scheme == "env" else _from_file(rest, read_file)
    if not value.isprintable():
        raise UnresolvedError(f"{reference} holds line breaks or control characters; it must be one line")
    return value


def _from_env(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise UnresolvedError(f"the environment variable {name} is not set")
    return value


def _from_file(path: str, read_file: Callable[[str], str]) -> str:
    try:
        value = read_file(path).strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UnresolvedError(f"the file {path} cannot be read: {reason}") from None
    if not value:
        raise UnresolvedError(f"the file {path} is empty")
    return value


def parse_secret(text: str) -> Secret:
    """A Secret whose reference, if it is one, can be resolved by this version. Raises ValueError."""
    secret = Secret(text)
    reference = secret.reference
    if reference is None:
        if not text.strip() or not text.isprintable():
            raise ValueError("must not be empty or hold control characters")
        return secret
    scheme, _, rest = reference.partition("://")
    if scheme in _LATER:
        raise ValueError(f"{scheme}:// references are not in this version yet; use env://NAME or file:///path")
    if scheme not in _READABLE:
        raise ValueError(f"unknown kind of reference {scheme}://; use env://NAME or file:///path")
    if scheme == "env" and _NAME.fullmatch(rest) is None:
        raise ValueError("env:// must be followed by the name of an environment variable")
    if scheme == "file" and not rest.startswith("/"):
        raise ValueError("file:// must be followed by an absolute path: file:///run/secrets/name")
    return secret


SECRET = Unit(name="secret", parse=parse_secret, format=lambda secret: secret.reference or "***")
