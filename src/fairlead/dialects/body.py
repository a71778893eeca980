"""The gate that every JSON request body passes, and edits of a body that leave its other bytes alone.

It knows JSON and the three members that every dialect steers by. It must not know the shape of any request.
"""

import json
import re
from typing import NoReturn

import msgspec

from fairlead.canonical.errors import GatewayError

DEPTH = 64
"""How deep arrays and objects may nest."""

STEERING = ("model", "stream", "messages")
"""Top-level members that may not be given twice: two readers would follow two different ones."""

ROUTING = frozenset({
    "api_base", "api_key", "api_type", "api_version", "apikey", "aws_access_key_id", "aws_bedrock_runtime_endpoint",
    "aws_profile_name", "aws_region_name", "aws_role_name", "aws_secret_access_key", "aws_session_name",
    "aws_session_token", "aws_sts_endpoint", "aws_web_identity_token", "azure_ad_token", "azure_endpoint", "base_url",
    "custom_llm_provider", "default_headers", "deployment_id", "endpoint", "extra_body", "extra_headers",
    "extra_query", "fallbacks", "headers", "http_client", "litellm_params", "model_list", "models", "organization",
    "project", "provider", "proxies", "proxy", "route", "ssl_verify", "vertex_ai_credentials", "vertex_ai_location",
    "vertex_ai_project", "vertex_credentials", "vertex_location", "vertex_project",
})  # fmt: skip
"""Top-level members with which other gateways, libraries and aggregators let a caller say where its request goes, as
whom, or to which other model. That is for the configuration to say: they are refused, not dropped, in any case of
letters.
"""

Members = dict[str, msgspec.Raw]

_MEMBERS = msgspec.json.Decoder(Members)
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_ARRAY = ord("[")
_SMALL = 4096
_GROUP = 16
_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_HUGE = re.compile(rb"-?[0-9.]+[eE]\+?[0-9]{3,}")
_BYTE = re.compile(r" \(byte (\d+)\)$")
_PATH = re.compile(r" - at `\$\.?(.*?)`$")
_MISSING = re.compile(r"missing required field `(.+?)`")
_MODEL_FIRST = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"model"[ \t\r\n]*:[ \t\r\n]*("[^"\\]*")')
_FLAT = rb'[ \t\r\n]*"[^"\\]*"[ \t\r\n]*:[ \t\r\n]*(?:"[^"\\]*"|[-+.0-9A-Za-z]++)[ \t\r\n]*'
_MODEL_LAST = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*("[^"\\]*")[ \t\r\n]*(?:,' + _FLAT + rb")*+\}[ \t\r\n]*")


def check(body: bytes, *, but: str | None = None) -> Members:
    """The top-level members of a JSON object, each still in its own bytes.

    `but` names a member whose nesting the caller proves, by its shape or with `check_depth`.

    Raises GatewayError `invalid_json` with a position for anything that two JSON readers could take for two different
    things: bad or other encodings, a byte order mark, half surrogate pairs, trailing text, NaN and its kin, a number
    out of range, nesting over DEPTH, a steering member given twice. A body that is JSON but no object, that says how to
    route it, or that has a steering member in other letters is an `invalid_request_error`.
    """
    _check_encoding(body)
    try:
        members = _MEMBERS.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        refuse(body, error)
    check_depth(body, members, but=but)
    _check_steering(body, members)
    _check_names(members)
    return members


def is_single(body: bytes) -> bool:
    """Whether a glance proves that no steering member is given twice: none of their names stands there twice, and
    none can be spelled with escapes.
    """
    count = body.count
    return b"\\u00" not in body and count(b'"model"') < 2 and count(b'"messages"') < 2 and count(b'"stream"') < 2


def check_depth(body: bytes, members: Members, *, but: str | None = None) -> None:
    """Refuses a body that nests deeper than DEPTH in any of its members `but` one.

    Counts brackets where that proves enough, and only where it does not drops the strings first.
    """
    if len(body) < _SMALL and _brackets(body) <= DEPTH:
        return
    for name, value in members.items():
        if len(value) <= DEPTH or name == but:
            continue
        items, room = [value], DEPTH - 1
        if memoryview(value)[0] == _ARRAY:
            items, room = _ITEMS.decode(value), DEPTH - 2
        if not all(_fits(items[at : at + _GROUP], room) for at in range(0, len(items), _GROUP)):
            raise _invalid(body, f"nesting is deeper than {DEPTH}", None)


def refuse(body: bytes, error: Exception) -> NoReturn:
    """Raises the GatewayError that a decoder's `error` about `body` means to the client.

    Broken JSON is `invalid_json` with its position; a value of the wrong shape is `invalid_request_error` with `param`.
    """
    text = str(error)
    if isinstance(error, msgspec.ValidationError):
        raise _misshapen(text) from None
    if isinstance(error, RecursionError):
        raise _invalid(body, f"nesting is deeper than {DEPTH}", None) from None
    half = next((escape.start() for escape in _ESCAPES.finditer(body) if escape["half"]), None)
    if half is not None:
        raise _invalid(body, "half of a surrogate pair", half) from None
    at = _BYTE.search(text)
    reason = _BYTE.sub("", text).removeprefix("JSON is malformed: ").lower()
    raise _invalid(body, reason, int(at.group(1)) if at else len(body)) from None


def members(body: bytes) -> Members:
    """The top-level members of a body that has passed `check`."""
    return _MEMBERS.decode(body)


def mend(data: bytes) -> bytes:
    """JSON with each half of a surrogate pair made U+FFFD: providers cut emoji in two, and no decoder takes halves."""
    return _ESCAPES.sub(lambda escape: rb"\ufffd" if escape["half"] else escape[0], data)


def patch(body: bytes, edits: dict[str, bytes]) -> bytes:
    """`body` with top-level members replaced or added; every other value keeps its bytes and its place.

    `body` has passed `check`; the values of `edits` are JSON.
    """
    if edits.keys() == {"model"}:
        span = _model_span(body)
        if span is not None:
            return body[: span[0]] + edits["model"] + body[span[1] :]
    edited: dict[str, msgspec.Raw | bytes] = {**members(body), **edits}
    pieces: list[bytes | msgspec.Raw] = []
    for key, value in edited.items():
        pieces += (b",", msgspec.json.encode(key), b":", value)
    pieces[:1] = [b"{"]
    return b"".join((*pieces, b"}")) if edited else b"{}"


def _misshapen(text: str) -> GatewayError:
    found = _PATH.search(text)
    at = found.group(1) if found else ""
    message = _PATH.sub("", text)
    missing = _MISSING.search(message)
    param = ".".join(filter(None, (at, missing.group(1) if missing else "")))
    return GatewayError("invalid_request_error", f"{at or 'the request body'}: {message}", param=param or None)


def _check_encoding(body: bytes) -> None:
    if body.startswith(b"\xef\xbb\xbf"):
        raise _invalid(body, "it starts with a byte order mark", 0)
    if body.startswith((b"\xff\xfe", b"\xfe\xff")) or 0 in body[:4]:
        raise _invalid(body, "it is not UTF-8 but UTF-16 or UTF-32", 0)
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise _invalid(body, "it is not UTF-8", error.start) from None


def _fits(items: list[msgspec.Raw], room: int) -> bool:
    """Whether none of `items` nests deeper than `room`; few brackets in all of them prove it."""
    return _brackets(b"".join(items)) <= room or all(_depth(bytes(item)) <= room for item in items)


def _brackets(body: bytes) -> int:
    return body.count(b"{") + body.count(b"[")


def _depth(body: bytes) -> int:
    """How deep `body` nests, counted only as far as it matters: a number over DEPTH, or at most DEPTH."""
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in body else body
    brackets = b"".join(plain.split(b'"')[::2]).translate(None, _BRACKETS)
    while len(brackets) > DEPTH:
        smaller = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(brackets) - len(smaller) < len(brackets) // 8:
            return _deepest(brackets)
        brackets = smaller
    return _deepest(brackets)


def _deepest(brackets: bytes) -> int:
    depth = deepest = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
        if depth > DEPTH:
            break
    return deepest


def _check_steering(body: bytes, members: Members) -> None:
    """Looks exactly only where a steering member's name stands twice, or could be spelled with escapes."""
    for value in members.values():
        if _HUGE.fullmatch(value):
            _check_number(body, value)
    if is_single(body):
        return
    keys = [key for key, _ in json.loads(body, object_pairs_hook=list)]
    for name in STEERING:
        if keys.count(name) > 1:
            again = body.rfind(f'"{name}"'.encode())
            where = _position(body, again) if again > 0 else ""
            raise GatewayError("invalid_json", f"the request body gives {name!r} twice{where}", param=name)


def _check_names(members: Members) -> None:
    """Some readers (Go's, for one) match names without regard to case, and would follow another `Model` than we do."""
    names = "\n".join(members)
    if names == names.casefold() and ROUTING.isdisjoint(members):
        return
    for name in members:
        folded = name.casefold()
        if folded in ROUTING:
            says = f"{name!r} is not for callers to set: where a request goes is the gateway's own to say; remove it"
            raise GatewayError("invalid_request_error", says, param=name)
        if folded in STEERING and name not in STEERING:
            raise GatewayError("invalid_request_error", f"{name!r} must be written {folded!r}", param=name)


def _check_number(body: bytes, value: msgspec.Raw) -> None:
    try:
        msgspec.json.decode(value)
    except msgspec.ValidationError:
        raise _invalid(body, "number out of range", body.find(bytes(value))) from None


def _model_span(body: bytes) -> tuple[int, int] | None:
    """Where the value of the top-level `model` lies, when that is plain without reading the whole body.

    It is when the object begins with it, or ends with it and flat members only: then the enclosing object is the body.
    """
    found = _MODEL_FIRST.match(body)
    if found is None:
        at = body.rfind(b'"model"')
        found = _MODEL_LAST.fullmatch(body, at) if at > 0 and body[at - 1 : at] != b"\\" else None
    return found.span(1) if found else None


def _invalid(body: bytes, reason: str, at: int | None) -> GatewayError:
    where = "" if at is None else _position(body, at)
    return GatewayError("invalid_json", f"the request body is not valid JSON{where}: {reason}")


def _position(body: bytes, at: int) -> str:
    before = body[:at]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode(errors="replace")) + 1
    return f" at line {line}, column {column} (byte {at})"
