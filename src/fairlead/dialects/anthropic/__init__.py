"""Anthropic Messages: the dialect's names, in the order that every dialect has.

Only this list is public; which module keeps what is nobody else's business.
"""

from fairlead.dialects.anthropic.answer import decode_answer, encode_answer, read_usage
from fairlead.dialects.anthropic.errors import decode_error, encode_error, encode_models, encode_stream_error
from fairlead.dialects.anthropic.relay import Relay
from fairlead.dialects.anthropic.request_decode import ask, decode_request, patch_request
from fairlead.dialects.anthropic.request_encode import encode_request
from fairlead.dialects.anthropic.stream_decode import Decoder
from fairlead.dialects.anthropic.stream_encode import Encoder

__all__ = [  # noqa: RUF022 - the order of docs/design.md
    "NAME",
    "TARGET",
    "PASSED_ON",
    "fields",
    "ask",
    "decode_request",
    "encode_request",
    "patch_request",
    "decode_answer",
    "encode_answer",
    "read_usage",
    "Decoder",
    "Encoder",
    "Relay",
    "decode_error",
    "encode_error",
    "encode_stream_error",
    "encode_models",
]

NAME = "anthropic"
TARGET = "/v1/messages"
PASSED_ON: tuple[bytes, ...] = (b"anthropic-beta",)
"""The client's headers that go with its own bytes to a provider of the same dialect."""
API_VERSION = "2023-06-01"
"""The version for deployments that name none."""


def fields(api_version: str | None) -> tuple[tuple[str, str], ...]:
    return (("anthropic-version", api_version or API_VERSION),)
