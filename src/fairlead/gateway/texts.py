"""The texts of one request, for a tenant that wants them in its records.

It keeps what came as bytes and makes texts of them at the end, within a bound. It must not know who reads them.
"""

from contextlib import suppress

import msgspec

from fairlead.canonical.errors import GatewayError
from fairlead.canonical.events import Broken, Finished, collect
from fairlead.canonical.routing import Content
from fairlead.gateway.upstream import Request

LONGEST = 32 * 1024
"""Bytes that are kept of a prompt, and of an answer."""
MOST_READ = 256 * 1024
"""Bytes of a prompt that are decoded, since all others wait meanwhile, and of an answer that are looked at."""


class Texts:
    """The prompt of `request`, and the answer as far as `take` was told of it."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._answer = bytearray()

    def take(self, data: bytes) -> None:
        """Bytes that go to the client."""
        if len(self._answer) < MOST_READ:
            self._answer += data

    def content(self) -> Content:
        """Prompt and answer as JSON: the messages, and the parts of the answer; cut where they are too long.

        Of a prompt that is too large to decode it is the beginning of the body as it came.
        """
        prompt, answer = self._request.body, b""
        if len(prompt) <= MOST_READ:
            with suppress(GatewayError, ValueError):
                prompt = msgspec.json.encode(self._request.chat.messages)
        with suppress(ValueError):
            answer = self._decoded()
        return Content(prompt=_cut(prompt), answer=_cut(answer))

    def _decoded(self) -> bytes:
        data = bytes(self._answer)
        if not self._request.ask.stream:
            return msgspec.json.encode(self._request.dialect.decode_answer(data).parts)
        events = [event for event in self._request.dialect.Decoder().feed(data) if not isinstance(event, Broken)]
        if not events or not isinstance(events[-1], Finished):
            events.append(Finished(reason="stop"))  # of a stream that broke, what there is
        return msgspec.json.encode(collect(events).parts)


def _cut(text: bytes) -> str:
    return text[:LONGEST].decode(errors="ignore")
