"""Opening a connection: TCP, then CONNECT where a proxy is set, then TLS.

It knows how a way is opened and proved. It must not know HTTP beyond CONNECT, nor how long it may take (pool).
"""

import asyncio
import ssl
from collections.abc import Callable

from fairlead.http.connection import Connection
from fairlead.http.errors import UpstreamError
from fairlead.http.origin import Origin, Proxy, proxy_of

MAX_CONNECT_HEAD = 16 * 1024
HANDSHAKE = 3600.0
"""Our own clock bounds the handshake; this one only has to be longer."""


def open_context(origin: Origin) -> ssl.SSLContext:
    """The TLS rules of an origin: verified against the system's roots or its own CA, TLS 1.2 or newer."""
    try:
        context = ssl.create_default_context(cafile=origin.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        if origin.client_cert is not None:
            context.load_cert_chain(origin.client_cert)
    except (OSError, ValueError) as error:
        files = " or ".join(repr(path) for path in (origin.ca, origin.client_cert) if path)
        raise UpstreamError("tls", f"the certificates in {files} cannot be used") from error
    return context


async def dial(origin: Origin, context: ssl.SSLContext | None, connection: Connection) -> None:
    """Open `connection`. UpstreamError "connect" or "tls"; cancelled, nothing stays open.

    Nothing of a request is sent here: whoever fails to prove its name never sees a credential.
    """
    if origin.proxy is None and context is None:
        await _open(lambda: connection, origin.address, origin.port)
        return
    proxy = proxy_of(origin.proxy) if origin.proxy is not None else None
    tunnel = Tunnel()
    place = (proxy.host, proxy.port) if proxy is not None else (origin.address, origin.port)
    transport = await _open(lambda: tunnel, *place)
    try:
        if proxy is not None:
            await tunnel.connect(transport, origin, proxy)
        if context is not None:
            transport = await _wrap(transport, connection, context, origin.address)
        else:
            transport.set_protocol(connection)
    except BaseException:
        transport.abort()
        raise
    connection.connection_made(transport)
    if tunnel.closed:
        connection.connection_lost(None)


async def _open(factory: "Factory", host: str, port: int) -> asyncio.Transport:
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.create_connection(factory, host, port)
    except OSError as error:
        reason = error.strerror or "no address answers"
        raise UpstreamError("connect", f"cannot connect to {host}:{port}: {reason}") from error
    return transport


async def _wrap(
    transport: asyncio.Transport, connection: Connection, context: ssl.SSLContext, name: str
) -> asyncio.Transport:
    loop = asyncio.get_running_loop()
    try:
        wrapped = await loop.start_tls(
            transport, connection, context, server_hostname=name, ssl_handshake_timeout=HANDSHAKE
        )
    except ssl.SSLCertVerificationError as error:
        raise UpstreamError("tls", f"the certificate of {name} is not valid: {error.verify_message}") from error
    except (ssl.SSLError, ssl.CertificateError) as error:
        raise UpstreamError("tls", f"TLS with {name} failed: {error.reason or 'no reason given'}") from error
    except OSError as error:
        raise UpstreamError("tls", f"{name} closed the connection during the TLS handshake") from error
    if wrapped is None:
        raise UpstreamError("tls", f"{name} closed the connection during the TLS handshake")
    return wrapped


Factory = Callable[[], asyncio.Protocol]


class Tunnel(asyncio.Protocol):
    """The first protocol of a connection: asks a proxy for a tunnel, and holds the place until TLS takes over."""

    def __init__(self) -> None:
        self._head = b""
        self._answered: asyncio.Future[bytes] | None = None
        self.closed = False

    async def connect(self, transport: asyncio.Transport, origin: Origin, proxy: Proxy) -> None:
        """Ask for a tunnel to `origin`. UpstreamError "connect": refused; what the proxy says is not repeated."""
        self._answered = asyncio.get_running_loop().create_future()
        lines = [f"CONNECT {origin.authority} HTTP/1.1", f"Host: {origin.authority}"]
        if proxy.authorization is not None:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
        transport.write("\r\n".join([*lines, "", ""]).encode("ascii"))
        place = f"the proxy {proxy.host}:{proxy.port}"
        if self.closed:
            raise UpstreamError("connect", f"{place} closed the connection")
        head = await self._answered
        version, _, rest = head.partition(b" ")
        status = rest[:3]
        if version not in (b"HTTP/1.1", b"HTTP/1.0") or not status.isdigit() or not head.endswith(b"\r\n\r\n"):
            raise UpstreamError("connect", f"{place} did not answer CONNECT")
        if not status.startswith(b"2"):
            raise UpstreamError("connect", f"{place} refused to connect: status {int(status)}")

    def data_received(self, data: bytes) -> None:
        self._head += data
        if b"\r\n\r\n" in self._head or len(self._head) > MAX_CONNECT_HEAD:
            self._answer()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.closed = True
        self._answer()

    def _answer(self) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(self._head)
