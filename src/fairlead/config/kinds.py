"""The scalars and the base of every section of `fairlead.yaml`.

It must not know any particular key.
"""

import re
from typing import Annotated, ClassVar

import msgspec

from fairlead.config.secrets import LOCAL_SECRET, SECRET, Secret
from fairlead.config.units import BOOLEAN, Unit, matching, shown

_OWN_HEADERS = frozenset({
    "authorization", "connection", "content-encoding", "content-length", "content-type", "expect", "host",
    "keep-alive", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", "x-api-key", "api-key",
})  # fmt: skip


def _header_name(text: str) -> str:
    """In lower case; fields that frame a message or carry the credential are the gateway's own."""
    if re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", text) is None:
        raise ValueError(f"{shown(text)} is not a header's name")
    if text.lower() in _OWN_HEADERS:
        raise ValueError(f"{shown(text)} is set by the gateway itself")
    return text.lower()


Doc = msgspec.Meta
SecretText = Annotated[Secret, SECRET]
LocalSecret = Annotated[Secret, LOCAL_SECRET]
Flag = Annotated[bool, BOOLEAN]
Deploy = Annotated[
    str, matching("provider/model", r"[^\s/*]+/(?:[^\s*]+|\*)", "provider/model, such as openai/gpt-4o-mini")
]
ModelName = Annotated[
    str, matching("model name", r"[^\s*]*\*|[^\s*]+", "a model name; a * may stand at its end and nowhere else")
]
Dollars = Annotated[
    str, matching("dollars", r"\d{1,6}(?:\.\d{1,9})?", "a price in US dollars per million tokens, such as 0.15")
]
Percent = Annotated[str, matching("percent", r"\d{1,4}(?:\.\d{1,4})?%", "a share in percent, such as 15%")]
Name = Annotated[
    str, matching("name", r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "a name of letters, digits, '.', '_' and '-'")
]
HeaderName = Annotated[str, Unit(name="header name", parse=_header_name)]
HeaderValue = Annotated[str, matching("header value", r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", "one line of ASCII")]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping with known keys. `later` names keys of the full configuration that this version has not yet."""

    later: ClassVar[tuple[str, ...]] = ()
    shorthand: ClassVar[str | None] = None
