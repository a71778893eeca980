"""What looks like a secret is taken out of what is told: the last net, for what should never have come so far.

Pure. It must not know which secrets there are: it goes by the shapes of keys, tokens and passwords.
"""

import re
from functools import lru_cache
from typing import Any

HIDDEN = "***"
SHORT = 128
"""Characters up to which it is remembered what becomes of a text."""
_SHAPES = (
    r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)",
    r"\bfl_[A-Za-z0-9]{4,}_[A-Za-z0-9]{8,}",
    r"\b(?:sk|pk|rk|gsk|xai|pplx|hf|ghp|gho|xox[abps])[-_][A-Za-z0-9_-]{8,}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\bAIza[A-Za-z0-9_-]{20,}|\bhv[sb]\.[A-Za-z0-9_-]{8,}",
    r"\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*",
    r"(?i:\b(?:bearer|basic))\s+[A-Za-z0-9._~+/=-]{8,}",
    r"(?<=://)[^\s/:@]*:[^\s/@]+(?=@)",
)
"""Secrets that are known by themselves."""
_BEGINNINGS = (
    r"(?i:(?:password|passwd|pwd)[\"']?\s*[:=]\s*[\"']?)(?=[^\s\"',;&]{4})",
    r"(?i:(?:api|access|account|private|signing)[_-]?key[\"']?\s*[:=]\s*[\"']?)(?=[^\s\"',;&]{6})",
    r"(?i:(?:secret|token|signature)[\"']?\s*[:=]\s*[\"']?)(?=[^\s\"',;&]*[0-9])(?=[^\s\"',;&]{12})",
)
"""What a secret is known by that comes after it: a name. A reference such as `env://KEY` is none, and neither is what
our own findings say of a key of the configuration: `providers.openai.api_key: warning: …`.
"""
_SHAPE = re.compile("|".join(_SHAPES), re.DOTALL)
_NAMED = re.compile(rf"({'|'.join(_BEGINNINGS)})(?![a-z+]+://|(?:warning|error): )[^\s\"',;&]+")
_SHAPE_HINT = re.compile(r"://|[-_.]|eyJ|AKIA|ASIA|AIza|(?i:bearer|basic)")
_NAME_HINT = re.compile(r"[:=]")
_NAMES = frozenset({
    "api_key", "authorization", "client_secret", "cookie", "password", "private_key", "secret", "secret_id",
    "set-cookie", "token", "x-api-key",
})  # fmt: skip
"""Names of fields whose values are secrets, whatever these look like."""


def redacted(value: Any) -> Any:
    """`value` with every secret in any of its texts replaced by `***`, however deep it lies."""
    match value:
        case str():
            return _short(value) if len(value) <= SHORT else _text(value)
        case dict():
            return {_name(key): HIDDEN if _is_secret(key, item) else redacted(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [redacted(item) for item in value]
        case None | bool() | int() | float():
            return value
    return redacted(str(value))


def _text(text: str) -> str:
    if _SHAPE_HINT.search(text):
        text = _SHAPE.sub(HIDDEN, text)
    return _NAMED.sub(rf"\1{HIDDEN}", text) if _NAME_HINT.search(text) else text


@lru_cache(4096)
def _short(text: str) -> str:
    """The same for a name or a word, most of which come with every line."""
    return _text(text)


@lru_cache(256)
def _name(name: Any) -> Any:
    """A field's name: they are few, and each is asked for with every line."""
    return redacted(name)


def _is_secret(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, str) and value != "" and name.lower() in _NAMES
