"""Requests as they are sent, answers as they are framed."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from fairlead.http.client import Client, Origin, Reply, UpstreamError

Start = Callable[..., Awaitable[Any]]
Ask = Callable[..., Coroutine[Any, Any, Reply]]
Until = Callable[[Callable[[], bool]], Awaitable[None]]
ASK, EOF, RESET = "read one request", "close", "reset"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_a_request_is_written_whole(upstream: Start, ask: Ask) -> None:
    server = await upstream([ASK, OK, ASK, OK])
    await (await ask(server, fields=b"x-a: b\r\n", body=b"{}")).read(10)
    await (await ask(server, "GET", "/v1/models?x=%20")).read(10)
    host = b"host: 127.0.0.1:%d\r\naccept-encoding: identity\r\n" % server.port
    assert server.requests == [
        b"POST /v1/x HTTP/1.1\r\n" + host + b"x-a: b\r\ncontent-length: 2\r\n\r\n{}",
        b"GET /v1/models?x=%20 HTTP/1.1\r\n" + host + b"\r\n",
    ]


async def test_a_large_body_arrives_whole(upstream: Start, ask: Ask) -> None:
    server = await upstream([ASK, OK])
    body = bytes(range(256)) * 4096 * 4
    assert await (await ask(server, body=body)).read(10) == b"ok"
    assert server.requests[0].endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize(
    ("method", "target"),
    [("GET", "/a b"), ("GET", "a"), ("GET", "/a\r\nx: y"), ("G T", "/"), ("GET", "/é"), ("", "/"), ("GET", "")],
)
async def test_a_request_line_that_would_not_be_one_is_refused(method: str, target: str, ask: Ask) -> None:
    with pytest.raises(ValueError, match=r"method|target"):
        await ask(None, method, target, origin={"port": 1})


async def test_headers_are_lower_case_and_repeated_ones_joined(upstream: Start, ask: Ask) -> None:
    head = b"HTTP/1.1 418 Tea\r\nX-A: 1\r\nx-a: 2\r\nX-Empty:\r\nContent-Length: 0\r\n\r\n"
    reply = await ask(await upstream([ASK, head]))
    assert reply.status == 418
    assert reply.headers == {b"x-a": b"1, 2", b"x-empty": b"", b"content-length": b"0"}
    assert await reply.read(0) == b""


FRAMES: dict[str, tuple[bytes, bytes, bool, bool]] = {
    "length": (OK, b"ok", True, True),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\nTrail: er\r\n\r\n",
        b"abc",
        True,
        True,
    ),
    "close": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", b"ok", True, False),
    "http/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", True, False),
    "http/1.0 kept": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        b"ok",
        True,
        True,
    ),
    "100": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok", True, True),
    "103": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + OK, b"ok", True, True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True, True),
    "204 with a body": (b"HTTP/1.1 204 No Content\r\n\r\nhello", b"", True, False),
    "304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", b"", True, True),
    "empty": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", True, True),
    "leftover": (OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"ok", True, False),
    "leftover of a word": (OK + b"x", b"ok", True, False),
}


@pytest.mark.parametrize("name", FRAMES)
async def test_an_answer_ends_where_its_framing_says(
    name: str, upstream: Start, ask: Ask, client: Client, until: Until
) -> None:
    answer, body, delimited, kept = FRAMES[name]
    server = await upstream([ASK, answer, ASK, OK], [ASK, OK])
    reply = await ask(server)
    assert (await reply.read(10), reply.delimited, reply.complete) == (body, delimited, True)
    assert client.idle_connections == int(kept)
    assert await (await ask(server)).read(10) == b"ok"
    assert server.connections == 2 - int(kept)


async def test_a_body_up_to_the_close_is_whole_but_marked(upstream: Start, ask: Ask, client: Client) -> None:
    reply = await ask(await upstream([ASK, b"HTTP/1.1 200 OK\r\n\r\nab", 0.01, b"c", EOF]))
    assert await reply.read(10) == b"abc"
    assert (reply.delimited, client.open_connections) == (False, 0)


async def test_head_has_no_body(upstream: Start, ask: Ask) -> None:
    server = await upstream([ASK, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"])
    for _ in range(2):
        reply = await ask(server, "HEAD")
        assert (reply.headers[b"content-length"], await reply.read(0)) == (b"99", b"")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_handed_over_and_not_followed(status: int, upstream: Start, ask: Ask) -> None:
    head = b"HTTP/1.1 %d Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n" % status
    server = await upstream([ASK, head])
    reply = await ask(server)
    assert (reply.status, await reply.read(0)) == (status, b"")
    assert (server.connections, len(server.requests)) == (1, 1)


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BROKEN: dict[str, tuple[str, tuple[Any, ...]]] = {
    "not http": ("protocol", (b"SECRET <html>\r\n\r\n",)),
    "http/2": ("protocol", (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",)),
    "switching": ("protocol", (b"HTTP/1.1 101 Up\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nSECRET",)),
    "status 099": ("protocol", (b"HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n",)),
    "two lengths": ("protocol", (HEAD + b"Content-Length: 6\r\nContent-Length: 6\r\n\r\nSECRET",)),
    "two other lengths": ("protocol", (HEAD + b"Content-Length: 6\r\nContent-Length: 7\r\n\r\nSECRET",)),
    "list of lengths": ("protocol", (HEAD + b"Content-Length: 6, 6\r\n\r\nSECRET",)),
    "length and chunks": (
        "protocol",
        (HEAD + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nSECRET",),
    ),
    "other coding": ("protocol", (HEAD + b"Transfer-Encoding: gzip\r\n\r\nSECRET", EOF)),
    "coding over chunks": ("protocol", (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n6\r\nSECRET",)),
    "bad chunk size": ("protocol", (CHUNKED + b"SECRET\r\n",)),
    "101 fields": ("protocol", (HEAD + b"a: b\r\n" * 101 + b"Content-Length: 0\r\n\r\n",)),
    "large head": ("protocol", (HEAD + b"a: " + b"b" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",)),
    "endless head": ("protocol", (HEAD + b"a: " + b"b" * 70_000,)),
    "endless trailer": ("protocol", (CHUNKED + b"1\r\na\r\n0\r\nx: ", *[b"y" * 70_000] * 9)),
    "endless interim": ("protocol", tuple([b"HTTP/1.1 103 Hint\r\n\r\n" * 1000] * 5)),
    "nothing": ("cut", (EOF,)),
    "reset": ("cut", (RESET,)),
    "half a head": ("cut", (HEAD, EOF)),
    "half a body": ("cut", (HEAD + b"Content-Length: 9\r\n\r\nSECRET", EOF)),
    "half a body, reset": ("cut", (HEAD + b"Content-Length: 9\r\n\r\nSECRET", 0.02, RESET)),
    "no last chunk": ("cut", (CHUNKED + b"6\r\nSECRET\r\n", EOF)),
    "half a last chunk": ("cut", (CHUNKED + b"6\r\nSECRET\r\n0\r\n", EOF)),
    "until a reset": ("cut", (HEAD + b"\r\nSECRET", 0.02, RESET)),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_answer_fails_and_its_words_stay_out(
    name: str, upstream: Start, ask: Ask, client: Client
) -> None:
    kind, steps = BROKEN[name]
    server = await upstream([ASK, *steps])
    with pytest.raises(UpstreamError) as failure:
        await (await ask(server)).read(1_000)
    assert failure.value.kind == kind
    assert "SECRET" not in str(failure.value)
    assert client.open_connections == 0
    assert server.connections == 1


async def test_an_answer_may_overtake_the_request(upstream: Start, ask: Ask, client: Client) -> None:
    """A refusal that comes before the body was read is an answer; the connection is of no more use."""
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"
    go_on = asyncio.Event()
    server = await upstream([refusal, go_on])
    reply = await ask(server, body=bytes(64 * 1024 * 1024))
    assert (reply.status, await reply.read(10)) == (413, b"no")
    assert client.open_connections == 0
    go_on.set()


async def test_environment_proxies_are_ignored(upstream: Start, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:1")
    assert await (await ask(await upstream([ASK, OK]))).read(10) == b"ok"


@pytest.mark.parametrize(
    "wrong",
    [
        {"scheme": "ftp"},
        {"host": ""},
        {"host": "a b"},
        {"host": "a/b"},
        {"host": "ä.example"},
        {"port": 0},
        {"max_connections": 0},
        {"proxy": "https://p:1"},
        {"proxy": "http://user:SECRET@p/x"},
    ],
)
def test_an_origin_is_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"origin|max_connections|proxy") as failure:
        Origin(**{"scheme": "http", "host": "a", "port": 80, **wrong})
    assert "SECRET" not in str(failure.value)


@pytest.mark.parametrize(
    ("scheme", "host", "port", "field"),
    [
        ("https", "a.example", 443, "a.example"),
        ("https", "a.example", 80, "a.example:80"),
        ("http", "a.example", 80, "a.example"),
        ("http", "::1", 80, "[::1]"),
        ("http", "[::1]", 81, "[::1]:81"),
    ],
)
def test_the_host_field_names_the_origin(scheme: str, host: str, port: int, field: str) -> None:
    assert Origin(scheme=scheme, host=host, port=port).host_field == field
