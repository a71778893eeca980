"""JSON over HTTP to one store, with bounded time and size.

It must not repeat what the store says in an error: only the status and our own words travel.
"""

import asyncio
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from fairlead.control.secrets.store import StoreError
from fairlead.http import fields
from fairlead.http.client import Client
from fairlead.http.errors import UpstreamError
from fairlead.http.origin import Origin

CONNECT = 2.0
ANSWER = 4.0
"""Seconds."""
LARGEST = 1024 * 1024


class Rest:
    """The REST interface at `address`. `name` stands for it in messages."""

    def __init__(self, name: str, address: str, ca: str | None = None) -> None:
        url = urlsplit(address)
        try:
            self._origin = Origin.of(address, ca=ca, max_connections=8)
        except ValueError:
            raise StoreError("unconfigured", f"the address of {name} is not an http:// or https:// URL") from None
        self.place = f"{name} at {url.scheme}://{self._origin.authority}"
        self._path = url.path.rstrip("/")
        self._client = Client()

    async def call(
        self, method: str, target: str, headers: Iterable[tuple[str, str]] = (), body: object = None
    ) -> tuple[int, Any]:
        """The status and the JSON value of the answer; None where it is not JSON. Raises StoreError: no answer."""
        until = asyncio.get_running_loop().time() + CONNECT + ANSWER
        payload = b"" if body is None else msgspec.json.encode(body)
        try:
            lines = fields.encode((("accept", "application/json"), ("content-type", "application/json"), *headers))
        except ValueError as error:
            raise StoreError("unconfigured", f"what opens {self.place} cannot be sent: {error}") from None
        try:
            reply = await self._client.request(
                self._origin, method, self._path + target, lines, payload,
                connect=CONNECT, first_byte=ANSWER, idle=ANSWER, deadline=until,
            )  # fmt: skip
            answer = await reply.read(LARGEST)
        except UpstreamError as error:
            raise StoreError("unreachable", f"{self.place} does not answer: {error.message}") from None
        try:
            return reply.status, msgspec.json.decode(answer) if answer else None
        except msgspec.DecodeError:
            return reply.status, None

    async def close(self) -> None:
        await self._client.close()


def refused(status: int, place: str, denied: str, missing: str) -> StoreError:
    """What an answer without a value means. `denied` and `missing` are the ways out of a 401 or 403, and of a 404."""
    if status in {401, 403}:
        return StoreError("denied", f"{place} denies it (status {status}); {denied}")
    if status == 404:
        return StoreError("missing", f"{place} does not have it; {missing}")
    return StoreError("unreachable", f"{place} answers with status {status}")
