"""What clients do, wrong or sudden, on the whole way through the gateway (cases C… of the project's fault list)."""

import asyncio
import json
import socket
import struct
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.gateway_harness import Gateway, gateway, read_response, request_bytes, until

from fairlead.canonical.routing import Backoff, Retry, Timeouts
from fairlead.fakes import Pace, Script
from fairlead.http.server import Limits

PATHS = pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"], ids=["openai", "anthropic"])
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
LONG = Timeouts(total=60.0, connect=5.0, first_token=30.0, idle=30.0)


def body_for(path: str, **more: object) -> bytes:
    body = {"model": "chat", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}], **more}
    return json.dumps(body).encode()


async def gone(gate: Gateway, path: str, stream: bool, *, reset: bool) -> None:
    """Sends a request, waits until the provider has it, and goes away."""
    before = len(gate.providers[0].seen)
    _, writer = await gate.open()
    writer.write(request_bytes(body_for(path, stream=stream), path=path))
    await until(lambda: len(gate.providers[0].seen) > before)
    if reset:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    left_at = asyncio.get_running_loop().time()
    writer.transport.abort() if reset else writer.close()
    await until(lambda: gate.providers[0].seen[-1].disconnected_at is not None)
    assert asyncio.get_running_loop().time() - left_at < 1.0
    await gate.settled()
    assert gate.records()[-1].ended == "client_gone"


@BOTH
@PATHS
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
@pytest.mark.parametrize("fault", ["stall", "stall_stream:2"])
async def test_c1_when_the_client_goes_the_provider_is_let_go(
    tmp_path: Path, path: str, stream: bool, kind: str, reset: bool, fault: str
) -> None:
    """Before the head and in the middle of a stream, on every route."""
    async with gateway(tmp_path, (kind,), [Script.of(fault)], timeouts=LONG) as gate:
        await gone(gate, path, stream, reset=reset)


async def test_c1_when_the_client_goes_during_a_pause_before_a_retry_nothing_more_is_tried(tmp_path: Path) -> None:
    retry = Retry(attempts=3, backoff=Backoff(base=30.0, cap=30.0, jitter="none"))
    async with gateway(tmp_path, ("openai",), [Script.of("500")], retry=retry, timeouts=LONG) as gate:
        _, writer = await gate.open()
        writer.write(request_bytes(body_for("/v1/chat/completions")))
        await until(lambda: gate.world.fleet.health)
        writer.close()
        await gate.settled()
        assert gate.records()[0].ended == "client_gone"
        assert len(gate.providers[0].seen) == 1


async def test_c2_a_client_that_does_not_read_stops_the_provider(tmp_path: Path) -> None:
    """The gateway holds a bounded part of the stream; the provider is read only as fast as the client reads."""
    pouring = Script(pace=Pace(chunks=200_000))
    async with gateway(tmp_path, ("openai",), [pouring], timeouts=LONG) as gate:
        reader, writer = await gate.open()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        transport: Any = writer.transport
        transport.pause_reading()
        writer.write(request_bytes(body_for("/v1/chat/completions", stream=True, max_tokens=1_000_000)))
        seen = gate.providers[0].seen
        await until(lambda: seen and seen[-1].written > 100)
        count = -1
        while seen[-1].written != count:
            count = seen[-1].written
            await asyncio.sleep(0.3)
        assert count < 100_000, "the provider got rid of everything although nobody reads"
        writer.transport.abort()
        await gate.settled()
        del reader


@PATHS
async def test_c5_too_large_is_refused_before_it_is_read(tmp_path: Path, path: str) -> None:
    async with gateway(tmp_path, ("openai",), limits=Limits(body=1000)) as gate:
        reader, writer = await gate.open()
        writer.write(request_bytes(b"", path=path, headers={"content-length": "1000000000000"}))
        answer = await read_response(reader)
        assert answer.status == 413
        assert not gate.providers[0].seen
        writer.close()
        chunked = {"content-length": "", "transfer-encoding": "chunked"}
        big = b"%x\r\n%b\r\n0\r\n\r\n" % (2000, b" " * 2000)
        assert (await gate.send(big, path=path, headers=chunked)).status == 413


async def test_c6_an_encoded_body_is_refused(tmp_path: Path) -> None:
    async with gateway(tmp_path) as gate:
        answer = await gate.send(b"\x1f\x8b", headers={"content-encoding": "gzip"})
        assert answer.status == 415
        assert answer.error["code"] == "unsupported_media_type"


BAD_JSON = {
    "broken": b'{"model": "chat", "messages": [}',
    "trailing": b'{"model": "chat", "messages": []} x',
    "quotes": b"{'model': 'chat'}",
    "nan": b'{"model": "chat", "messages": [{"role": "user", "content": "x"}], "temperature": NaN}',
    "infinite": b'{"model": "chat", "messages": [{"role": "user", "content": "x"}], "x": 1e999}',
    "surrogate": b'{"model": "chat", "messages": [{"role": "user", "content": "\\ud800"}]}',
    "utf16": '{"model": "chat"}'.encode("utf-16"),
    "bom": b'\xef\xbb\xbf{"model": "chat"}',
    "utf8": b'{"model": "chat", "messages": [{"role": "user", "content": "\xff"}]}',
    "overlong": b'{"model": "chat", "messages": [{"role": "user", "content": "\xc0\xaf"}]}',
    "deep": b'{"model": "chat", "messages": [{"role": "user", "content": "x"}], "x": ' + b"[" * 70 + b"]" * 70 + b"}",
    "deeper": b"[" * 100_000,
    "twice": b'{"model": "chat", "model": "other", "messages": [{"role": "user", "content": "x"}]}',
    "escaped": b'{"model": "chat", "mod\\u0065l": "other", "messages": [{"role": "user", "content": "x"}]}',
    "empty": b"",
}


@PATHS
@pytest.mark.parametrize("case", sorted(BAD_JSON))
async def test_c7_c8_c10_c11_bad_json_is_a_400_that_reaches_no_provider(tmp_path: Path, case: str, path: str) -> None:
    async with gateway(tmp_path) as gate:
        answer = await gate.send(BAD_JSON[case], path=path)
        assert answer.status == 400
        assert answer.error["message"]
        assert not gate.providers[0].seen
        assert gate.records()[0].code in {"invalid_json", "invalid_request_error"}


async def test_bad_json_is_told_with_its_position(tmp_path: Path) -> None:
    async with gateway(tmp_path) as gate:
        error = (await gate.send(b'{"model": "chat",\n "messages": [}')).error
        assert error["code"] == "invalid_json"
        assert "line 2" in error["message"] or "byte" in error["message"]


WRONG_SHAPES: dict[str, dict[str, object]] = {
    "stream": {"stream": "true"},
    "max_tokens": {"max_tokens": -1},
    "messages": {"messages": "hello"},
    "model": {"model": 7},
}


@PATHS
@pytest.mark.parametrize("param", sorted(WRONG_SHAPES))
async def test_c21_a_wrong_shape_names_its_parameter(tmp_path: Path, param: str, path: str) -> None:
    async with gateway(tmp_path) as gate:
        answer = await gate.send(body_for(path, **WRONG_SHAPES[param]), path=path)
        assert answer.status == 400
        assert param in answer.body.decode()
        assert not gate.providers[0].seen


async def test_c15_pipelined_requests_are_answered_in_order_each_with_its_own_key(tmp_path: Path) -> None:
    async with gateway(tmp_path) as gate:
        reader, writer = await gate.open()
        good = request_bytes(body_for("/v1/chat/completions"))
        writer.write(good + request_bytes(b"{}", headers={"authorization": "Bearer wrong"}) + good)
        assert [(await read_response(reader)).status for _ in range(3)] == [200, 401, 200]
        writer.close()


@PATHS
async def test_an_unknown_model_is_a_404_in_the_callers_dialect(tmp_path: Path, path: str) -> None:
    async with gateway(tmp_path) as gate:
        answer = await gate.chat(path=path, model="nonsense")
        assert answer.status == 404
        if path == "/v1/messages":
            assert answer.json()["type"] == "error"
            assert answer.error["type"] == "not_found_error"
        else:
            assert answer.error["code"] == "model_not_found"
            assert answer.error["source"] == "client"
            assert answer.error["request_id"] == answer.headers["x-request-id"]


@PATHS
@pytest.mark.parametrize("carrier", ["authorization", "x-api-key", "api-key", "x-goog-api-key"])
async def test_the_key_is_found_in_every_carrier_and_nowhere_else(tmp_path: Path, carrier: str, path: str) -> None:
    async with gateway(tmp_path) as gate:
        from tests.gateway.gateway_harness import KEY

        headers = {"authorization": "", carrier: f"Bearer {KEY}" if carrier == "authorization" else KEY}
        assert (await gate.chat(path=path, headers=headers)).status == 200
        headers[carrier] = headers[carrier][:-1]
        answer = await gate.chat(path=path, headers=headers)
        assert answer.status == 401
        assert KEY[:-1].encode() not in answer.body
        assert (await gate.chat(path=path, headers={"authorization": ""})).status == 401
        assert len(gate.providers[0].seen) == 1


async def test_c23_a_request_id_is_repeated_only_where_it_is_safe(tmp_path: Path) -> None:
    async with gateway(tmp_path) as gate:
        assert (await gate.chat(headers={"x-request-id": "abc-1"})).headers["x-request-id"] == "abc-1"
        for bad in ("x" * 10_000, "a b", "a,b"):
            assert (await gate.chat(headers={"x-request-id": bad})).headers["x-request-id"].startswith("req_")


async def test_the_clients_key_and_routing_headers_go_no_further(tmp_path: Path) -> None:
    async with gateway(tmp_path) as gate:
        await gate.chat(headers={"x-forwarded-for": "1.2.3.4", "openai-organization": "org", "cookie": "a=b"})
        seen = gate.providers[0].seen[-1].headers
        assert seen["authorization"] == "matched"
        assert not {"x-forwarded-for", "openai-organization", "cookie", "x-stainless-retry-count"} & set(seen)


async def test_answers_are_the_providers_bytes_and_requests_the_clients_but_for_the_model(tmp_path: Path) -> None:
    async with gateway(tmp_path) as gate:
        odd = b'{ "messages" : [ {"role":"user","content":"h\\u00e9llo"} ],  "model":"chat", "x_vendor": 1.50 }'
        answer = await gate.send(odd)
        assert answer.status == 200
        sent = gate.providers[0].seen[-1].body
        assert sent == {**json.loads(odd), "model": "model-0"}


async def test_records_say_what_happened(tmp_path: Path) -> None:
    async with gateway(tmp_path, ("openai", "anthropic"), [Script.of("500", "500")]) as gate:
        answer = await gate.chat(headers={"x-request-id": "abc"})
        record = gate.records()[0]
        usage = answer.json()["usage"]
        assert (record.id, record.tenant, record.key, record.asked) == ("abc", "acme", "k1", "chat")
        assert record.served == "anthropic-1/model-1"
        assert [attempt.outcome for attempt in record.attempts] == ["server_error", "server_error", "answered"]
        assert record.usage is not None
        assert (record.usage.input, record.usage.output) == (usage["prompt_tokens"], usage["completion_tokens"])
        assert record.cost is None
        assert 0 < record.overhead_us < record.duration * 1e6


@BOTH
@PATHS
async def test_usage_is_read_on_every_way_through(tmp_path: Path, path: str, stream: bool) -> None:
    for kind in ("openai", "anthropic"):
        async with gateway(tmp_path / kind, (kind,)) as gate:
            (tmp_path / kind).mkdir(exist_ok=True)
            answer = await gate.chat(path=path, stream=stream)
            assert answer.clean
            usage = gate.records()[0].usage
            assert usage is not None
            assert usage.input > 0
            assert usage.output > 0
            if stream and path.endswith("completions"):
                assert not any('"usage":{' in event.replace(" ", "") for event in answer.events())
                assert answer.events()[-1] == "[DONE]"


async def test_usage_is_shown_to_a_client_that_asks(tmp_path: Path) -> None:
    for kind in ("openai", "anthropic"):
        async with gateway(tmp_path / kind, (kind,)) as gate:
            answer = await gate.chat(stream=True, stream_options={"include_usage": True})
            shown = [json.loads(event) for event in answer.events()[:-1]]
            assert [chunk["usage"]["total_tokens"] > 0 for chunk in shown if chunk.get("usage")] == [True]


async def test_the_ports_own_answers(tmp_path: Path) -> None:
    async with gateway(tmp_path) as gate:
        for path in ("/", "/livez", "/readyz", "/healthz"):
            assert (await gate.send(b"", method="GET", path=path)).status == 200
        assert [entry["id"] for entry in (await gate.send(b"", method="GET", path="/v1/models")).json()["data"]] == [
            "chat"
        ]
        assert (await gate.send(b"", method="GET", path="/v1/models/chat")).json()["id"] == "chat"
        assert (await gate.send(b"", method="GET", path="/v1/models/none")).status == 404
        shape = await gate.send(b"", method="GET", path="/v1/models", headers={"anthropic-version": "2023-06-01"})
        assert "has_more" in shape.json()
        assert (await gate.send(b"", method="GET", path="/v1/chat/completions")).status == 405
        assert (await gate.send(b"{}", path="/v1/nothing")).status == 404
        for path in ("//v1/models", "/v1/%6dodels", "/V1/models", "/v1/models;x"):
            assert (await gate.send(b"", method="GET", path=path)).status in {400, 404}
        assert (await gate.send(b"", method="GET", path="/v1/models", headers={"authorization": ""})).status == 401


@PATHS
@pytest.mark.parametrize("field", ["api_base", "base_url", "api_key", "headers", "extra_headers", "proxy", "provider",
                                   "organization", "api_version", "custom_llm_provider", "API_BASE"])  # fmt: skip
async def test_x14_a_caller_cannot_turn_a_request_elsewhere(tmp_path: Path, path: str, field: str) -> None:
    """Refused by name, whatever dialect asks and whichever answers; the decoy that it points at sees nobody."""
    visits: list[int] = []
    decoy = await asyncio.start_server(lambda *_: visits.append(1), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{decoy.sockets[0].getsockname()[1]}"
    async with decoy, gateway(tmp_path, ("openai", "anthropic")) as gate:
        for value in (url, {"order": [url]}, None):
            answer = await gate.send(body_for(path, **{field: value}), path=path)
            assert answer.status == 400
            assert field in answer.error["message"]
            assert path.endswith("messages") or answer.error["param"] == field
        assert not gate.providers[0].seen
        assert not gate.providers[1].seen
    assert not visits


@PATHS
@pytest.mark.parametrize("name", ["Chat", "CHAT", "chat ", " chat", "chat\u200b", "\u0441hat", "ｃｈａｔ", "cha\u0442",
                                  "chat/", "./chat", "chat%20", "chat\u00a0", "c\u0327hat"])  # fmt: skip
async def test_x12_a_name_that_looks_like_a_model_is_not_that_model(tmp_path: Path, path: str, name: str) -> None:
    """Other case, spaces and letters that look alike do not reach a model past the limits on its name."""
    async with gateway(tmp_path) as gate:
        answer = await gate.chat(path=path, model=name)
        assert answer.status == 404
        assert not gate.providers[0].seen
        assert gate.records()[0].code == "model_not_found"
