"""What a client says about its request besides the request itself: tags and metadata.

It knows two headers and their bounds. It must not know what the words are for.
"""

import msgspec

from fairlead.canonical.errors import GatewayError

MOST_TAGS = 16
LONGEST_TAG = 64
LONGEST_METADATA = 2048

Tags = tuple[tuple[str, str], ...]
_object = msgspec.json.Decoder(dict[str, object]).decode


def said_tags(headers: dict[bytes, bytes]) -> Tags:
    """The tags of `x-fairlead-tags`: `team=search, beta`. Raises GatewayError for what is no list of tags."""
    said = headers.get(b"x-fairlead-tags")
    if said is None:
        return ()
    words = [word.strip() for word in said.decode("latin-1").split(",") if word.strip()]
    if len(words) > MOST_TAGS or any(len(word) > LONGEST_TAG or not word.isprintable() for word in words):
        raise GatewayError(
            "invalid_request_error",
            f"x-fairlead-tags takes at most {MOST_TAGS} tags of {LONGEST_TAG} characters: name=value, name",
            param="x-fairlead-tags",
        )
    return tuple([(name, value) for name, _, value in (word.partition("=") for word in words)])


def said_metadata(headers: dict[bytes, bytes]) -> str:
    """The JSON object of `x-fairlead-metadata`, as it came. Raises GatewayError for what is none."""
    said = headers.get(b"x-fairlead-metadata")
    if said is None:
        return ""
    try:
        _object(said)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        said = b""
    if not 0 < len(said) <= LONGEST_METADATA:
        raise GatewayError(
            "invalid_request_error",
            f"x-fairlead-metadata takes a JSON object of at most {LONGEST_METADATA} bytes",
            param="x-fairlead-metadata",
        )
    return said.decode()
