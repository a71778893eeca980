"""A fake issuer on loopback: it publishes what a test tells it to, and counts who asks."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.gateway.token_maker import public, rsa

from fairlead.canonical.tenants import Issuer
from fairlead.control.issuers import DISCOVERY
from fairlead.http.client import Client


class FakeIssuer:
    """Answers each path with a status and a body, and counts."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        self.more = b""
        self.stalls = False

    def publish(self, *keys: Any) -> None:
        self.answers["/keys"] = (200, public(*keys).encode())
        self.answers[DISCOVERY] = (200, json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/keys"}).encode())

    @property
    def fetched(self) -> int:
        return self.asked.count("/keys")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.asked.append(head.split()[1].decode())
                if self.stalls:
                    await reader.read()
                    return
                status, body = self.answers.get(self.asked[-1], (404, b""))
                writer.write(b"HTTP/1.1 %d X\r\n%bcontent-length: %d\r\n\r\n%b" % (status, self.more, len(body), body))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def start(self, port: int = 0) -> None:
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", port)
        self.port: int = self.server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def issuer(self) -> Issuer:
        return Issuer(issuer=self.url, audience=("a",))


@asynccontextmanager
async def fake() -> AsyncIterator[tuple[FakeIssuer, Client]]:
    made, client = FakeIssuer(), Client()
    await made.start()
    made.publish(rsa())
    try:
        yield made, client
    finally:
        await client.close()
        made.server.close()
