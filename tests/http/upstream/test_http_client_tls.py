"""TLS and proxies: whoever does not prove its name gets nothing."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from fairlead.http.client import Client, Reply, UpstreamError

Start = Callable[..., Awaitable[Any]]
Ask = Callable[..., Coroutine[Any, Any, Reply]]
Until = Callable[[Callable[[], bool]], Awaitable[None]]
ASK, EOF, HOLD = "read one request", "close", "wait until the client closes"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def serving(certificate: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def secure(certificates: Path, **more: Any) -> dict[str, Any]:
    return {"scheme": "https", "ca": str(certificates / "ca.pem"), **more}


async def test_a_custom_ca_is_trusted_and_the_connection_kept(
    upstream: Start, ask: Ask, certificates: Path, client: Client
) -> None:
    server = await upstream([ASK, OK] * 3, tls=serving(certificates / "good.pem"))
    for _ in range(3):
        assert await (await ask(server, body=b"x" * 100_000, origin=secure(certificates))).read(2) == b"ok"
    assert (server.connections, client.idle_connections) == (1, 1)


@pytest.mark.parametrize("name", ["expired", "wrong", "self"])
async def test_a_wrong_certificate_gets_nothing(
    name: str, upstream: Start, ask: Ask, certificates: Path, client: Client
) -> None:
    server = await upstream([ASK, OK], tls=serving(certificates / f"{name}.pem"))
    with pytest.raises(UpstreamError) as failure:
        await ask(server, origin=secure(certificates), fields=b"authorization: Bearer s\r\n")
    assert failure.value.kind == "tls"
    assert (server.requests, client.open_connections) == ([], 0)


async def test_the_systems_roots_are_used_without_a_ca(upstream: Start, ask: Ask, certificates: Path) -> None:
    server = await upstream([ASK, OK], tls=serving(certificates / "good.pem"))
    with pytest.raises(UpstreamError) as failure:
        await ask(server, origin={"scheme": "https"})
    assert (failure.value.kind, server.requests) == ("tls", [])


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_old_tls_is_refused(upstream: Start, ask: Ask, certificates: Path) -> None:
    context = serving(certificates / "good.pem")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    server = await upstream([ASK, OK], tls=context)
    with pytest.raises(UpstreamError) as failure:
        await ask(server, origin=secure(certificates))
    assert (failure.value.kind, server.requests) == ("tls", [])


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad\r\n\r\n", EOF, b"\x16\x03\x01"])
async def test_a_server_without_tls_gets_nothing(reply: Any, upstream: Start, ask: Ask, client: Client) -> None:
    server = await upstream([0.01, reply, EOF])
    with pytest.raises(UpstreamError) as failure:
        await ask(server, origin={"scheme": "https"})
    assert (failure.value.kind, client.open_connections) == ("tls", 0)


async def test_a_client_certificate_is_shown(upstream: Start, ask: Ask, certificates: Path) -> None:
    server = await upstream([ASK, OK], tls=serving(certificates / "good.pem", certificates / "ca.pem"))
    mine = secure(certificates, client_cert=str(certificates / "good.pem"))
    assert await (await ask(server, origin=mine)).read(2) == b"ok"


async def test_a_missing_client_certificate_is_a_tls_failure(
    upstream: Start, ask: Ask, certificates: Path, client: Client
) -> None:
    server = await upstream([ASK, OK], tls=serving(certificates / "good.pem", certificates / "ca.pem"))
    with pytest.raises(UpstreamError) as failure:
        await ask(server, origin=secure(certificates))
    assert failure.value.kind in ("tls", "cut")  # TLS 1.3 tells only after the handshake, perhaps with a reset
    assert client.open_connections == 0


@pytest.mark.parametrize("files", [{"ca": "/nowhere/ca.pem"}, {"client_cert": "/nowhere/me.pem"}])
async def test_a_missing_file_is_named(files: dict[str, str], ask: Ask, client: Client) -> None:
    with pytest.raises(UpstreamError, match="/nowhere/") as failure:
        await ask(None, origin={"scheme": "https", "port": 1, **files})
    assert (failure.value.kind, client.open_connections) == ("tls", 0)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n\r\nabc", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"])
async def test_an_answer_cut_under_tls(answer: bytes, upstream: Start, ask: Ask, certificates: Path) -> None:
    server = await upstream([ASK, answer, EOF], tls=serving(certificates / "good.pem"))
    reply = await ask(server, origin=secure(certificates))
    if b"Length" not in answer:
        assert (await reply.read(9), reply.delimited) == (b"abc", False)
        return
    with pytest.raises(UpstreamError) as failure:
        await reply.read(9)
    assert failure.value.kind == "cut"


class Proxy:
    """Answers CONNECT with `answer`, then, if that is a yes, relays bytes to wherever it was asked to."""

    def __init__(self, answer: bytes) -> None:
        self.heads: list[bytes] = []
        self.port = 0
        self._answer = answer
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            writer.write(self._answer)
            if b" 200 " not in self._answer:
                await reader.read()
                return
            host, _, port = head.split(b" ")[1].decode().rpartition(":")
            there, back = await asyncio.open_connection(host, int(port))
            self._writers.append(back)
            await asyncio.gather(self._relay(reader, back), self._relay(there, writer))

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.transport.abort()


@pytest.fixture
async def proxy() -> Any:
    running: list[Proxy] = []

    async def start(answer: bytes = b"HTTP/1.1 200 Connected\r\n\r\n") -> Proxy:
        running.append(Proxy(answer))
        await running[-1].listen()
        return running[-1]

    yield start
    for one in running:
        await one.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_is_asked_to_connect(
    scheme: str, proxy: Start, upstream: Start, ask: Ask, certificates: Path, client: Client
) -> None:
    tls = serving(certificates / "good.pem") if scheme == "https" else None
    server, between = await upstream([ASK, OK] * 2, tls=tls), await proxy()
    way = f"http://me:p%40ss@127.0.0.1:{between.port}"
    origin = {**secure(certificates), "scheme": scheme, "proxy": way}
    for _ in range(2):
        assert await (await ask(server, origin=origin)).read(2) == b"ok"
    place = b"127.0.0.1:%d" % server.port
    assert between.heads == [
        b"CONNECT %b HTTP/1.1\r\nHost: %b\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n\r\n" % (place, place)
    ]
    assert server.requests[0].startswith(b"POST /v1/x HTTP/1.1\r\n")
    assert b"bWU6" not in server.requests[0]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 SECRET\r\nContent-Length: 6\r\n\r\nSECRET",
        b"HTTP/1.1 502 No\r\n\r\n",
        b"SECRET\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"x" * 20_000,
        b"HTTP/1.1 204 Ok\r\n\r\nSECRET",
    ],
)
async def test_a_proxy_that_refuses_gets_nothing(answer: bytes, proxy: Start, ask: Ask, client: Client) -> None:
    between = await proxy(answer)
    for scheme in ("http", "https"):
        way = {"scheme": scheme, "port": 9, "proxy": f"http://127.0.0.1:{between.port}"}
        with pytest.raises(UpstreamError) as failure:
            await ask(None, origin=way)
        assert failure.value.kind == "connect"
        assert "SECRET" not in str(failure.value)
    assert client.open_connections == 0
    assert all(head.startswith(b"CONNECT ") for head in between.heads)


async def test_a_silent_proxy_runs_into_the_connect_clock(proxy: Start, ask: Ask, client: Client) -> None:
    between = await proxy(b"")
    with pytest.raises(UpstreamError) as failure:
        await ask(None, origin={"port": 9, "proxy": f"http://127.0.0.1:{between.port}"}, connect=0.05)
    assert (failure.value.phase, client.open_connections) == ("connect", 0)


async def test_the_name_behind_a_proxy_is_checked(proxy: Start, upstream: Start, ask: Ask, certificates: Path) -> None:
    server, between = await upstream([ASK, OK], tls=serving(certificates / "wrong.pem")), await proxy()
    way = secure(certificates, proxy=f"http://127.0.0.1:{between.port}")
    with pytest.raises(UpstreamError) as failure:
        await ask(server, origin=way)
    assert (failure.value.kind, server.requests) == ("tls", [])
