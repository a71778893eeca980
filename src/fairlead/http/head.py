"""The heads of requests and answers as values: what a request's head must be, and how an answer's begins.

Pure. It knows the rules that the parser leaves open (Host, versions, transfer codings, expectations). It must not know
a connection.
"""

import re
from functools import lru_cache
from http import HTTPStatus

METHODS: dict[bytes, str] = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE")
}
"""The methods that reach a handler. Anything else, CONNECT above all, is refused with 501."""

STATUS_LINES: dict[int, bytes] = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}
BODILESS = frozenset((204, 304))
"""Statuses whose answers have neither a body nor a length."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE = b"connection: close\r\n"
KEEP_ALIVE = b"connection: keep-alive\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"

_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")


class RequestRefused(Exception):  # noqa: N818  it is an answer, not a fault
    """A request that gets `status` and, where nothing was answered yet, nothing else. `reason` is for its sender."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def status_line(status: int) -> bytes:
    """The first line of an answer."""
    return STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def check(version: str, method: str, headers: dict[bytes, bytes]) -> None:
    """Raises RequestRefused for a head that the parser lets through and that we do not."""
    if version != "1.1" and version != "1.0":
        raise RequestRefused(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    if not method:
        raise RequestRefused(501, "this method is not implemented")
    host = headers.get(b"host")
    if host is None:
        if version == "1.1":
            raise RequestRefused(400, "the Host header is missing")
    elif not _is_host(host):
        raise RequestRefused(400, "the Host header is not one host")
    if b"transfer-encoding" in headers:
        _check_coding(version, headers)
    if b"expect" in headers and version == "1.1" and headers[b"expect"].lower() != b"100-continue":
        raise RequestRefused(417, "only the expectation 100-continue is understood")


@lru_cache(256)
def split(target: bytes) -> tuple[str, str]:
    """Path and query of a request target, both as sent. An absolute target loses its scheme and host."""
    path, _, query = target.decode("ascii").partition("?")
    if "#" in path or "#" in query:
        raise RequestRefused(400, "the request target has a fragment")
    if not path.startswith("/") and path != "*":
        path = _origin_form(path)
    return path, query


def body_head(headers: dict[bytes, bytes], keep_alive: bool) -> bytes:
    """A head that announces the same body as `headers` do, and nothing else."""
    lines = [b"POST / HTTP/1.1\r\n"]
    lines += [
        b"%b: %b\r\n" % (name, headers[name]) for name in (b"content-length", b"transfer-encoding") if name in headers
    ]
    lines.append(b"\r\n" if keep_alive else CLOSE + b"\r\n")
    return b"".join(lines)


@lru_cache(1024)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


def _check_coding(version: str, headers: dict[bytes, bytes]) -> None:
    """A body whose end two readers could see in different places is refused, whatever the RFC would allow."""
    if version == "1.0":
        raise RequestRefused(400, "Transfer-Encoding needs HTTP/1.1")
    if headers[b"transfer-encoding"].lower() != b"chunked":
        raise RequestRefused(400, "the only transfer coding understood is chunked")
    if b"content-length" in headers:
        raise RequestRefused(400, "Content-Length and Transfer-Encoding exclude each other")


def _origin_form(path: str) -> str:
    scheme, separator, rest = path.partition("://")
    authority, slash, tail = rest.partition("/")
    if not separator or scheme.lower() not in ("http", "https") or not _is_host(authority.encode()):
        raise RequestRefused(400, "the request target is malformed")
    return slash + tail or "/"
