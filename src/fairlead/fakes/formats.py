"""What the fakes' wire formats have in common: the port, and the errors they word.

It knows no provider's spelling.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
import msgspec.json

from fairlead.fakes.model import Question, Reply

JsonObject = dict[str, Any]
CREATED = 1_767_225_600
"""The `created` of every fake answer: answers are the same in every run."""


class RefusedError(Exception):
    """The request is refused. `kind` is a row of ERRORS."""

    def __init__(self, kind: str, message: str | None = None, param: str | None = None) -> None:
        super().__init__(message or ERRORS[kind].message)
        self.kind = kind
        self.message = message or ERRORS[kind].message
        self.param = param

    @property
    def status(self) -> int:
        return ERRORS[self.kind].status


class ErrorWords(msgspec.Struct, frozen=True):
    """An error in OpenAI's and in Anthropic's words."""

    status: int
    openai_type: str
    openai_code: str | None
    anthropic_type: str
    message: str


ERRORS: dict[str, ErrorWords] = {
    "invalid": ErrorWords(400, "invalid_request_error", None, "invalid_request_error", "The request is wrong."),
    "unprocessable": ErrorWords(
        422, "invalid_request_error", None, "invalid_request_error", "The request cannot be processed."
    ),
    "context": ErrorWords(
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "invalid_request_error",
        "prompt is too long: 200251 tokens > 200000 maximum context length",
    ),
    "policy": ErrorWords(
        400,
        "invalid_request_error",
        "content_policy_violation",
        "invalid_request_error",
        "Your request was rejected because it breaks the content policy: Output blocked by content filtering policy",
    ),
    "key": ErrorWords(
        401, "invalid_request_error", "invalid_api_key", "authentication_error", "Incorrect API key provided."
    ),
    "permission": ErrorWords(
        403, "invalid_request_error", "permission_denied", "permission_error", "This key may not do that."
    ),
    "not_found": ErrorWords(
        404,
        "invalid_request_error",
        "model_not_found",
        "not_found_error",
        "The model does not exist or you do not have access to it.",
    ),
    "rate": ErrorWords(429, "requests", "rate_limit_exceeded", "rate_limit_error", "Rate limit reached for requests."),
    "quota": ErrorWords(
        429,
        "insufficient_quota",
        "insufficient_quota",
        "rate_limit_error",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "server": ErrorWords(
        500, "server_error", None, "api_error", "The server had an error while processing your request."
    ),
    "unavailable": ErrorWords(503, "server_error", None, "api_error", "The engine is currently unavailable."),
    "overloaded": ErrorWords(529, "server_error", "overloaded", "overloaded_error", "Overloaded"),
}


class Format(Protocol):
    """One wire format, provider's side."""

    name: str
    targets: tuple[str, ...]
    """The paths, after an optional `/v1`, on which it answers."""

    def key_of(self, headers: Mapping[str, str]) -> str | None: ...
    def read(self, body: bytes, headers: Mapping[str, str]) -> Question: ...
    def whole(self, question: Question, reply: Reply, number: int) -> JsonObject: ...
    def events(self, question: Question, reply: Reply, number: int) -> list[bytes]: ...
    def nothing(self, question: Question, number: int) -> JsonObject: ...
    def error(self, wrong: RefusedError, number: int) -> JsonObject: ...
    def error_event(self, wrong: RefusedError, number: int) -> bytes: ...
    def fields(self, number: int) -> tuple[tuple[str, str], ...]: ...
    def models(self) -> JsonObject: ...


def json(value: Any) -> bytes:
    return msgspec.json.encode(value)


def read_json(body: bytes) -> JsonObject:
    """The request's object. Raises RefusedError."""
    try:
        return msgspec.json.decode(body, type=JsonObject)
    except msgspec.DecodeError as error:
        raise RefusedError("invalid", f"We could not parse the JSON body of your request: {error}") from error


def require(body: Mapping[str, Any], name: str, kind: type) -> Any:
    """`body[name]`. Raises RefusedError when it is missing or of another type."""
    value = body.get(name)
    if value is None:
        raise RefusedError("invalid", f"Missing required parameter: '{name}'.", name)
    if not isinstance(value, kind):
        raise RefusedError("invalid", f"Invalid type for '{name}': expected {kind.__name__}.", name)
    return value


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or a list of parts of which the text ones count."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return " ".join(part["text"] for part in content if isinstance(part, dict) and "text" in part)
