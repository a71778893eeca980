"""Every fault does on the wire what its name says, judged with raw sockets."""

import asyncio
import gzip
import json
import struct
import time
from collections.abc import AsyncIterator, Callable
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from fairlead.fakes import FAULT_NAMES, Pace, Provider, Script, serve
from fairlead.fakes.faults import ENDINGS, OTHERS, STATUSES, WHOLE_ENDINGS

BOUND = 5.0
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": (
        "/v1/chat/completions",
        {"model": "m", "messages": [{"role": "user", "content": "one two three four"}]},
    ),
    "anthropic": (
        "/v1/messages",
        {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "one two three four"}]},
    ),
}
BODIES["self_hosted"] = BODIES["openai"]
TERMINAL = {"openai": b"[DONE]", "anthropic": b"message_stop", "self_hosted": b"[DONE]"}


class Got:
    """What came back on a raw connection."""

    def __init__(self, raw: bytes, how: str) -> None:
        self.raw = raw
        self.how = how
        head, _, self.payload = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split(" ")[1]) if first.startswith("HTTP/1.1 ") else 0
        self.headers = dict(line.split(": ", 1) for line in lines)
        self.complete = self._complete()

    def _complete(self) -> bool:
        if self.headers.get("transfer-encoding") == "chunked":
            return self.payload.endswith(b"0\r\n\r\n")
        return len(self.payload) == int(self.headers.get("content-length", "-1"))

    @property
    def body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.payload
        body, rest = b"", self.payload
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        return body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request(dialect: str, *, stream: bool, fault: str = "", path: str = "", close: bool = True) -> bytes:
    target, body = BODIES[dialect]
    raw = json.dumps(body | {"stream": stream}).encode()
    lines = [
        f"POST {path or target} HTTP/1.1",
        "host: fake",
        "anthropic-version: 2023-06-01",
        f"content-length: {len(raw)}",
    ]
    lines += [f"x-fake-fault: {fault}"] if fault else []
    lines += ["connection: close"] if close else []
    return "\r\n".join([*lines, "", ""]).encode() + raw


async def ask(provider: Provider, *, stream: bool = False, fault: str = "", path: str = "", wait: float = BOUND) -> Got:
    """One request; `how` tells what ended the answer: fin, rst, refused or (nothing more within `wait`) silence."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    except ConnectionRefusedError:
        return Got(b"", "refused")
    raw, how = b"", "fin"
    try:
        writer.write(request(provider.format.name, stream=stream, fault=fault, path=path))
        while data := await asyncio.wait_for(reader.read(65536), wait):
            raw += data
    except TimeoutError:
        how = "silence"
    except ConnectionResetError:
        how = "rst"
    finally:
        writer.transport.abort()
    return Got(raw, how)


@pytest.fixture(params=["openai", "anthropic", "self_hosted"])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[Provider]:
    async with serve(request.param) as provider:
        yield provider


@pytest.fixture
async def fake() -> AsyncIterator[Provider]:
    async with serve("openai") as provider:
        yield provider


def test_every_fault_has_exactly_one_way_to_be_played() -> None:
    assert set(FAULT_NAMES) == set(STATUSES) | set(ENDINGS) | set(OTHERS)
    assert len(FAULT_NAMES) == len(STATUSES) + len(ENDINGS) + len(OTHERS)
    assert set(ENDINGS) == set(WHOLE_ENDINGS)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_good_answer_ends_as_its_format_demands(provider: Provider, stream: bool) -> None:
    got = await ask(provider, stream=stream)
    assert (got.status, got.complete, got.how) == (200, True, "fin")
    assert (TERMINAL[provider.format.name] in got.body) == stream
    assert ("text/event-stream" in got.headers["content-type"]) == stream


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", sorted({*STATUSES, "502"}))
async def test_a_refusal_has_its_status(provider: Provider, name: str, stream: bool) -> None:
    got = await ask(provider, stream=stream, fault=name)
    assert (got.status, got.complete) == (int(name[:3]), True)
    if name == "502":
        assert got.body.startswith(b"<html>")
    elif provider.format.name == "anthropic":
        assert got.json["type"] == "error"
        assert got.json["request_id"] == got.headers["request-id"]
    else:
        assert set(got.json["error"]) == {"message", "type", "param", "code"}


async def test_retry_after_comes_in_all_its_spellings(fake: Provider) -> None:
    assert (await ask(fake, fault="429:3")).headers["retry-after"] == "3"
    assert (await ask(fake, fault="429")).headers["retry-after"] == "1"
    assert (await ask(fake, fault="429_ms:70")).headers["retry-after-ms"] == "70"
    assert (await ask(fake, fault="503:2")).headers["retry-after"] == "2"
    assert "retry-after" not in (await ask(fake, fault="503")).headers
    assert "retry-after" not in (await ask(fake, fault="429_plain")).headers
    date = (await ask(fake, fault="429_date:100")).headers["retry-after"]
    assert 95 < parsedate_to_datetime(date).timestamp() - time.time() < 105


async def test_quota_is_told_apart_from_rate(fake: Provider) -> None:
    assert (await ask(fake, fault="429_quota")).json["error"]["code"] == "insufficient_quota"
    assert (await ask(fake, fault="429")).json["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fault", "how"), [("reset", "rst"), ("hangup", "fin"), ("stall", "silence")])
async def test_no_answer_comes_at_all(provider: Provider, fault: str, how: str, stream: bool) -> None:
    got = await ask(provider, stream=stream, fault=fault, wait=0.2 if how == "silence" else BOUND)
    assert (got.raw, got.how) == (b"", how)


async def test_a_refusing_port_comes_back(fake: Provider) -> None:
    assert (await ask(fake, fault="refuse:0.2")).how == "rst"
    assert (await ask(fake)).how == "refused"
    deadline = time.monotonic() + BOUND
    while (got := await ask(fake)).how == "refused" and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    assert got.status == 200


@pytest.mark.parametrize(
    ("fault", "how", "complete"),
    [
        ("cut:3", "fin", False),
        ("cut_reset:3", "rst", False),
        ("stall_stream:3", "silence", False),
        ("ended_early:3", "fin", True),
    ],
)
async def test_a_stream_breaks_after_so_many_events(provider: Provider, fault: str, how: str, complete: bool) -> None:
    provider.follow(Script(pace=Pace(interval=0.02)))
    good = (await ask(provider, stream=True)).body
    got = await ask(provider, stream=True, fault=fault, wait=0.4 if how == "silence" else BOUND)
    assert (got.status, got.how, got.complete) == (200, how, complete)
    assert got.body.count(b"\n\n") == 3
    assert good.count(b"\n\n") > 3
    assert TERMINAL[provider.format.name] not in got.body


@pytest.mark.parametrize(
    ("fault", "how", "complete"),
    [
        ("cut", "fin", False),
        ("cut_reset", "rst", False),
        ("stall_stream", "silence", False),
        ("truncated", "fin", False),
        ("ended_early", "fin", True),
        ("bad_json", "fin", True),
    ],
)
async def test_a_whole_answer_breaks_in_the_middle(provider: Provider, fault: str, how: str, complete: bool) -> None:
    got = await ask(provider, fault=fault, wait=0.2 if how == "silence" else BOUND)
    assert (got.how, got.complete) == (how, complete)
    if got.raw:
        with pytest.raises(json.JSONDecodeError):
            json.loads(got.body)


async def test_a_stream_can_end_cleanly_without_its_terminal_event(provider: Provider) -> None:
    good = await ask(provider, stream=True)
    got = await ask(provider, stream=True, fault="no_terminal")
    assert got.complete
    assert TERMINAL[provider.format.name] not in got.body
    assert got.body.count(b"\n\n") == good.body.count(b"\n\n") - 1


@pytest.mark.parametrize("after", [0, 3])
async def test_an_error_event_is_the_last_one(provider: Provider, after: int) -> None:
    got = await ask(provider, stream=True, fault=f"error_event:{after}")
    events = got.body.removesuffix(b"\n\n").split(b"\n\n")
    assert len(events) == after + 1
    assert b'"error"' in events[-1]
    assert TERMINAL[provider.format.name] not in got.body


@pytest.mark.parametrize("fault", ["bad_event", "bad_sse"])
async def test_a_broken_event_stands_among_good_ones(provider: Provider, fault: str) -> None:
    good = (await ask(provider, stream=True)).body
    got = await ask(provider, stream=True, fault=fault)
    assert got.complete
    assert TERMINAL[provider.format.name] in got.body
    assert len(got.body) > len(good)


async def test_a_slow_answer_gives_its_head_at_once_and_its_first_event_late(provider: Provider) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    began = time.monotonic()
    writer.write(request(provider.format.name, stream=True, fault="slow:0.5"))
    await reader.readuntil(b"\r\n\r\n")
    head = time.monotonic() - began
    await reader.readuntil(b"data: ")
    first = time.monotonic() - began
    writer.close()
    assert first >= 0.5
    assert first - head > 0.05


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "judge"),
    [
        ("html", lambda got: got.body.startswith(b"<html") and "text/html" in got.headers["content-type"]),
        ("empty", lambda got: got.body == b""),
        ("empty_object", lambda got: got.json == {}),
        ("error_in_200", lambda got: "error" in got.json),
        ("json_for_stream", lambda got: got.json and got.headers["content-type"] == "application/json"),
    ],
)
async def test_a_wrong_answer_comes_with_200(
    provider: Provider, fault: str, judge: Callable[[Got], bool], stream: bool
) -> None:
    got = await ask(provider, stream=stream, fault=fault)
    assert (got.status, got.complete) == (200, True)
    assert judge(got)


async def test_an_answer_can_hold_nothing(provider: Provider) -> None:
    got = await ask(provider, fault="no_choices")
    assert (got.json.get("choices", got.json.get("content")), got.status) == ([], 200)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_compressed_answer_unpacks_to_the_good_one(provider: Provider, stream: bool) -> None:
    good = await ask(provider, stream=stream)
    got = await ask(provider, stream=stream, fault="gzip")
    assert got.headers["content-encoding"] == "gzip"
    unpacked = gzip.decompress(got.body)
    assert unpacked.replace(b"000002", b"000001") == good.body


async def test_a_huge_answer_is_valid_json_of_the_stated_size(fake: Provider) -> None:
    got = await ask(fake, fault="huge:3")
    assert got.complete
    assert len(got.json["padding"]) == 3 * 1024 * 1024


async def test_a_redirect_leads_to_a_path_that_would_answer(provider: Provider) -> None:
    got = await ask(provider, fault="redirect")
    assert got.status == 302
    assert (await ask(provider, path=got.headers["location"])).status == 200


async def test_garbage_is_not_http(fake: Provider) -> None:
    got = await ask(fake, fault="garbage")
    assert not got.raw.startswith(b"HTTP/")


async def test_an_unknown_fault_is_an_error_that_names_the_known_ones(fake: Provider) -> None:
    got = await ask(fake, fault="429x")
    assert got.status == 400
    assert "429_date" in got.json["error"]["message"]


async def test_truncated_streams_state_more_than_they_send(fake: Provider) -> None:
    got = await ask(fake, stream=True, fault="truncated")
    assert (got.complete, got.how) == (False, "fin")


async def test_the_reset_is_a_real_rst(fake: Provider) -> None:
    """SO_ERROR on a blocking socket, so that asyncio has no say in it."""

    def go() -> str:
        import socket

        with socket.create_connection(("127.0.0.1", fake.port), timeout=BOUND) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 5, 0))
            sock.sendall(request("openai", stream=False, fault="reset"))
            try:
                return repr(sock.recv(100))
            except ConnectionResetError:
                return "rst"

    assert await asyncio.to_thread(go) == "rst"
