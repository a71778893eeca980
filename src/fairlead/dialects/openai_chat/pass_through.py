"""A chat completion request on its way to a provider of the same dialect: what routing asks of it, and its two edits.

It knows the few members that steer. It must not understand the messages: they pass in the client's own bytes.
"""

import re
from typing import Annotated, Generic, TypeVar

import msgspec

from fairlead.canonical.errors import GatewayError
from fairlead.dialects import body as gate
from fairlead.dialects.ask import Ask

MODEL_LENGTH = 256
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_M = TypeVar("_M")
_Limit = Annotated[int, msgspec.Meta(ge=0)] | None


class _Part(msgspec.Struct, frozen=True, gc=False):
    type: str = ""


class _Message(msgspec.Struct, frozen=True, gc=False):
    role: str
    content: str | list[_Part] | None = None


class _FlatPart(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    type: str = ""
    text: str | None = None
    image_url: dict[str, str | None] | None = None
    refusal: str | None = None
    cache_control: dict[str, str] | None = None


class _FlatCalled(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    name: str = ""
    arguments: str = ""


class _FlatCall(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    id: str = ""
    type: str = ""
    function: _FlatCalled = _FlatCalled()


class _FlatMessage(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """A message without a member that could nest: to be one is the cheapest proof that it does not nest deep."""

    role: str
    content: str | list[_FlatPart] | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_FlatCall] | None = None
    tool_call_id: str | None = None


class _StreamOptions(msgspec.Struct, frozen=True, gc=False):
    include_usage: bool | None = None


class _Body(msgspec.Struct, Generic[_M], frozen=True):
    model: str
    messages: Annotated[list[_M], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: list[msgspec.Raw] | None = None
    functions: list[msgspec.Raw] | None = None
    max_tokens: _Limit = None
    max_completion_tokens: _Limit = None
    user: str | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    service_tier: str | None = None


class _FlatOptions(_StreamOptions, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    include_obfuscation: bool | None = None


class _FlatBody(_Body[_FlatMessage], frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A body of known, flat members: to be one proves in one reading that it is JSON, UTF-8 and nests nowhere deep."""

    stream_options: _FlatOptions | None = None
    tools: None = None
    functions: None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    reasoning_effort: str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    parallel_tool_calls: bool | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    prompt_cache_key: str | None = None


_SHORTEST_DOUBLE = b'"model":"x",'
_BARE_MESSAGE = b'{"role":"","content":""}'
_spelled = msgspec.json.Encoder().encode
_plain = msgspec.json.Decoder(_FlatBody).decode
_flat = msgspec.json.Decoder(_Body[_FlatMessage]).decode
_any = msgspec.json.Decoder(_Body[_Message]).decode
_options = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode


def ask(body: bytes) -> Ask:
    """What routing needs of `body`. Raises GatewayError for bad JSON and for wrong shapes, naming the member."""
    wire = _decode(body)
    check_model(wire.model)
    options = wire.stream_options
    return Ask(
        model=wire.model,
        stream=bool(wire.stream),
        include_usage=options is not None and bool(options.include_usage),
        tools=bool(wire.tools or wire.functions),
        images=_has_images(wire.messages),
        max_tokens=_most(wire.max_tokens, wire.max_completion_tokens),
        user=wire.user,
        n=wire.n or 1,
        dearer=wire.service_tier == "priority",
    )


def _most(older: int | None, newer: int | None) -> int | None:
    """The larger of the two spellings of one bound: it is for the server to say which of them it heeds."""
    return newer if older is None else older if newer is None else max(older, newer)


def _decode(body: bytes) -> _Body[_FlatMessage] | _Body[_Message]:
    try:
        plain = _plain(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # not plain, or not right: the careful reading tells
    else:
        if _says_no_more(body, plain) or gate.is_single(body):
            return plain
    members = gate.check(body, but="messages")
    try:
        return _flat(body)
    except msgspec.DecodeError:
        gate.check_depth(body, members)
    try:
        return _any(body)
    except msgspec.DecodeError as error:
        gate.refuse(body, error)


def _says_no_more(body: bytes, plain: _FlatBody) -> bool:
    """Whether `body` is too short to give a member twice: what it says once takes nearly all of it.

    Only a number can be longer here than in the body, and only a float is a number that may be.
    """
    if plain.temperature is not None or plain.top_p is not None:
        return False
    if plain.frequency_penalty is not None or plain.presence_penalty is not None:
        return False
    least = _least(plain)
    if least is not None and len(body) - least < len(_SHORTEST_DOUBLE):
        return True
    return len(body) - len(_spelled(plain)) < len(_SHORTEST_DOUBLE)


def _least(plain: _FlatBody) -> int | None:
    """Bytes that no spelling of `plain` can save, told without looking into its texts; None where that takes a look."""
    least = len(_spelled(msgspec.structs.replace(plain, messages=[])))
    for message in plain.messages:
        content = message.content
        if type(content) is not str or message.tool_calls is not None:
            return None
        least += len(message.role) + len(content) + len(_BARE_MESSAGE)
    return least


def _has_images(messages: list[_FlatMessage] | list[_Message]) -> bool:
    for message in messages:
        content = message.content
        if type(content) is list and any(part.type == "image_url" for part in content):
            return True
    return False


def check_model(model: str) -> None:
    if not model or len(model) > MODEL_LENGTH or _CONTROL.search(model):
        says = f"model: expected 1 to {MODEL_LENGTH} characters without control characters, got {model[:64]!r}"
        raise GatewayError("invalid_request_error", says, param="model")


def patch_request(body: bytes, ask: Ask, model: str) -> bytes:
    """The client's own bytes with the provider's model, and with usage asked for on a stream."""
    edits = {"model": msgspec.json.encode(model)}
    if ask.stream and not ask.include_usage:
        edits["stream_options"] = _with_usage(body)
    return gate.patch(body, edits)


def _with_usage(body: bytes) -> bytes:
    options = gate.members(body).get("stream_options") if b'"stream_options"' in body else None
    asked: dict[str, msgspec.Raw] = (_options(options) if options is not None else None) or {}
    return msgspec.json.encode({**asked, "include_usage": True})
