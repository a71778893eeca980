"""OpenAI chat completions: the dialect's names, in the order that every dialect has.

Only this list is public; which module keeps what is nobody else's business.
"""

from fairlead.dialects.openai_chat.answer import decode_answer, encode_answer, read_usage
from fairlead.dialects.openai_chat.errors import decode_error, encode_error, encode_models, encode_stream_error
from fairlead.dialects.openai_chat.pass_through import ask, patch_request
from fairlead.dialects.openai_chat.relay import Relay
from fairlead.dialects.openai_chat.request_decode import decode_request
from fairlead.dialects.openai_chat.request_encode import encode_request
from fairlead.dialects.openai_chat.stream_decode import Decoder
from fairlead.dialects.openai_chat.stream_encode import Encoder

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

NAME = "openai_chat"
TARGET = "/chat/completions"
PASSED_ON: tuple[bytes, ...] = ()
"""The client's headers that go with its own bytes to a provider of the same dialect."""


def fields(api_version: str | None) -> tuple[tuple[str, str], ...]:  # noqa: ARG001 - the dialects' common shape
    """Chat completions demand no header; a version, where a provider has one, is in its URL."""
    return ()
