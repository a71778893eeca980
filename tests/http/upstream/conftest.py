"""What the client's tests share: both event loops, an upstream that plays byte scripts, throw-away certificates."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvloop

from fairlead.http.client import Client, Origin, Reply

ASK, EOF, RESET, HOLD = "read one request", "close", "reset", "wait until the client closes"
Step = bytes | float | asyncio.Event | str


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Mapping[str, Callable[[], Any]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Upstream:
    """A server whose nth connection plays the nth script (the last one repeats), then waits for the client to close.

    A script's steps are bytes (sent), seconds (slept), an event (waited for) and the words above.
    """

    def __init__(self, scripts: Sequence[Sequence[Step]]) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.gone = 0
        """Connections that the client closed."""
        self.port = 0
        self._scripts = scripts
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def listen(self, tls: ssl.SSLContext | None) -> None:
        self._server = await asyncio.start_server(self._play, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self._scripts[min(self.connections, len(self._scripts) - 1)]
        self.connections += 1
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            for step in script:
                if await self._do(step, reader, writer):
                    return
        await self._do(HOLD, reader, writer)

    async def _do(self, step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        match step:
            case bytes():
                writer.write(step)
                await writer.drain()
            case float():
                await asyncio.sleep(step)
            case asyncio.Event():
                await asyncio.wait_for(step.wait(), 10)
            case "read one request":
                self.requests.append(await self._read(reader))
            case "wait until the client closes":
                with contextlib.suppress(ConnectionError):
                    while await reader.read(65536):
                        pass
                self.gone += 1
                writer.transport.abort()
                return True
            case "reset":
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                return True
            case _:
                writer.close()
                return True
        return False

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        size = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                size = int(line.partition(b":")[2])
        return head + await reader.readexactly(size)


@pytest.fixture
async def upstream() -> AsyncIterator[Callable[..., Awaitable[Upstream]]]:
    """`await upstream(script, ..., tls=None)` gives a listening `Upstream`."""
    running: list[Upstream] = []

    async def start(*scripts: Sequence[Step], tls: ssl.SSLContext | None = None) -> Upstream:
        running.append(Upstream(scripts))
        await running[-1].listen(tls)
        return running[-1]

    yield start
    for server in running:
        await server.close()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client; a test that leaves a connection busy or a request waiting fails."""
    made = Client()
    yield made
    left = (made.busy_connections, made.waiting)
    await made.close()
    assert left == (0, 0), "busy connections and waiting requests when the test was over"
    assert made.open_connections == 0


@pytest.fixture
def ask(client: Client) -> Callable[..., Awaitable[Reply]]:
    """`await ask(upstream, method=..., body=..., total=..., origin=..., **clocks)` gives a Reply."""

    async def send(
        server: Upstream | None,
        method: str = "POST",
        target: str = "/v1/x",
        *,
        fields: bytes = b"",
        body: bytes = b"",
        total: float = 5.0,
        origin: Mapping[str, Any] | None = None,
        **clocks: Any,
    ) -> Reply:
        place: dict[str, Any] = {"scheme": "http", "host": "127.0.0.1"}
        if server is not None:
            place["port"] = server.port
        limits: dict[str, Any] = {"connect": 5.0, "first_byte": 5.0, "idle": 5.0}
        deadline = asyncio.get_running_loop().time() + total
        where = Origin(**{**place, **(origin or {})})
        return await client.request(where, method, target, fields, body, deadline=deadline, **{**limits, **clocks})

    return send


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Waits until a condition holds, for five seconds at most."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.002)

    return wait


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ca.pem` and, each as certificate and key in one PEM, what it or nobody signed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command")
    place = tmp_path_factory.mktemp("certificates")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    def run(*words: str) -> None:
        subprocess.run([openssl, *words], cwd=place, check=True, capture_output=True)

    def sign(name: str, alternative: str, days: str) -> None:
        (place / f"{name}.ext").write_text(f"subjectAltName={alternative}\n")
        run("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        issuer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
        extra = ["-days", days, "-extfile", f"{name}.ext", "-out", f"{name}.crt"]
        run("x509", "-req", "-in", f"{name}.csr", *issuer, *extra)

    run("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA", "-days", "2")
    alternative = ["-addext", "subjectAltName=IP:127.0.0.1"]
    run("req", "-x509", *key, "-keyout", "self.key", "-out", "self.crt", "-subj", "/CN=self", *alternative)
    sign("good", "IP:127.0.0.1,DNS:localhost", "2")
    sign("expired", "IP:127.0.0.1,DNS:localhost", "-1")
    sign("wrong", "DNS:elsewhere.example", "2")
    for name in ("self", "good", "expired", "wrong"):
        both = (place / f"{name}.crt").read_text() + (place / f"{name}.key").read_text()
        (place / f"{name}.pem").write_text(both)
    return place
