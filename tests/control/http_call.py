"""One request over a connection of its own, for the tests of the admin port."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import msgspec


class Called(msgspec.Struct, frozen=True):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def call(
    port: int, method: str, target: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Called:
    """The whole answer."""
    lines = {"host": f"127.0.0.1:{port}", "connection": "close", "content-length": str(len(body)), **(headers or {})}
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.encode("latin-1") + b"\r\n" + body)
        answer = await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
    top, _, rest = answer.partition(b"\r\n\r\n")
    first, *fields = top.decode("latin-1").split("\r\n")
    pairs = dict(field.split(": ", 1) for field in fields)
    return Called(int(first.split(" ")[1]), pairs, rest)
